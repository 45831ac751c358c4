"""What the health checks of training found over a whole run, from the flags in its metrics."""

from __future__ import annotations

from collections.abc import Sequence

from console.report.data import HealthFinding, MetricsRecord
from learner.health import CHECKS, FLAG


def was_checked(metrics: Sequence[MetricsRecord]) -> bool:
    """Whether the learner judged its health at all: earlier releases did not."""
    return any(name.startswith(FLAG) for record in metrics for name in record.metrics)


def health_findings(metrics: Sequence[MetricsRecord]) -> tuple[HealthFinding, ...]:
    """Each check that found something, in the order of `CHECKS`."""
    found = []
    for name, check in CHECKS.items():
        flagged = [record.updates for record in metrics if record.metrics.get(FLAG + name, 0.0) > 0]
        if flagged:
            found.append(
                HealthFinding(
                    name=name,
                    title=check.title,
                    cure=check.cure,
                    first_updates=flagged[0],
                    last_updates=flagged[-1],
                    readings=len(flagged),
                    still_there=flagged[-1] == metrics[-1].updates,
                )
            )
    return tuple(found)
