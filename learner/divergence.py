"""Training that has gone wrong for good: what is kept of it, and what is said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from policy.errors import NudgeError

DIVERGED = "diverged"
EVIDENCE_FILE = "evidence.json"


class TrainingDiverged(NudgeError):
    """A loss or a weight is no longer finite."""


def raise_diverged(
    bad: Sequence[str], updates: int, metrics: Mapping[str, float], kept: Path, checkpoints: Path
) -> NoReturn:
    """Write the evidence beside the state that was kept, and raise `TrainingDiverged`.

    bad: names of the tensors that are not finite
    metrics: the reading before
    """
    evidence = {"not_finite": list(bad), "updates": updates, "metrics_before": dict(metrics)}
    (kept / EVIDENCE_FILE).write_text(json.dumps(evidence, indent=1) + "\n")
    raise TrainingDiverged(
        f"after {updates} updates {bad[0]} is not finite ({len(bad)} tensors in all); the state is kept in {kept}; "
        f"lower the learning rates or the reward scale, and resume from {checkpoints}"
    )
