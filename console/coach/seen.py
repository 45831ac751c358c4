"""What a rule of the coach returns, and the charts that several of them need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite

from console.coach.advice import Chart, Curve, Histogram, Severity
from console.coach.settings import LearnerThresholds
from console.report.data import MetricsRecord
from learner.health import FLAG

_MOST_POINTS = 200  # of a curve: more is not seen


@dataclass(frozen=True, slots=True)
class Seen:
    """A rule's finding: what was seen in words and figures, and the data behind it."""

    severity: Severity
    text: str
    figures: dict[str, float] = field(default_factory=dict)
    evidence: Chart | None = None


@dataclass(frozen=True, slots=True)
class Lacks:
    """A rule cannot judge, because this is not there."""

    what: str


# None: judged, and nothing to say.
Outcome = Seen | Lacks | None


def histogram(
    title: str, x_name: str, values: Iterable[int], width: int, top: int, limit: float | None = None
) -> Histogram:
    """Counts of whole values in bins of `width` from 0; the last bin ends at `top` and holds all that is beyond."""
    bins = max(1, ceil(top / width))
    counts = [0] * bins
    for value in values:
        counts[min(value // width, bins - 1)] += 1
    edges = tuple(float(width * edge) for edge in range(bins + 1))
    return Histogram(title=title, x_name=x_name, edges=edges, counts=tuple(counts), limit=limit)


def thinned(title: str, x_name: str, x: Sequence[float], y: Sequence[float], limit: float | None = None) -> Curve:
    """A curve of at most some hundred points; the last one is among them."""
    every = max(1, ceil(len(x) / _MOST_POINTS))
    chosen = range((len(x) - 1) % every, len(x), every)
    return Curve(title=title, x_name=x_name, x=tuple(x[i] for i in chosen), y=tuple(y[i] for i in chosen), limit=limit)


def metric_curve(metrics: Sequence[MetricsRecord], name: str, title: str, limit: float | None = None) -> Curve | None:
    """A metric against updates, where it is a number; None where it never was one."""
    readings = [record for record in metrics if isfinite(record.metrics.get(name, float("nan")))]
    if not readings:
        return None
    x, y = [float(record.updates) for record in readings], [record.metrics[name] for record in readings]
    return thinned(title, "updates", x, y, limit)


def flagged_share(metrics: Sequence[MetricsRecord], check: str, thresholds: LearnerThresholds) -> float | None:
    """In which share of the newest readings a health check found something; None where too few were judged by it."""
    name = FLAG + check
    judged = [record.metrics[name] > 0 for record in metrics[-thresholds.readings :] if name in record.metrics]
    return sum(judged) / len(judged) if len(judged) >= thresholds.fewest else None
