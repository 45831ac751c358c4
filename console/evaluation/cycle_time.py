"""How long the policy takes for a task that it does: median and quartiles of successful trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from console.report.data import Evaluation
from policy.contract import Frozen


class CycleTime(Frozen):
    """Of those that succeeded; who fails quickly is not fast."""

    trials: int = Field(gt=0, description="successful trials")
    median_s: float = Field(ge=0, description="median [s]")
    low_s: float = Field(ge=0, description="first quartile [s]")
    high_s: float = Field(ge=0, description="third quartile [s]")

    def __str__(self) -> str:
        return f"{self.median_s:.1f} s (middle half {self.low_s:.1f} to {self.high_s:.1f} s)"


def cycle_time(seconds: Sequence[float]) -> CycleTime | None:
    """Of durations [s]; None where there are none."""
    if not seconds:
        return None
    low_s, median_s, high_s = (float(value) for value in np.percentile(seconds, (25, 50, 75)))
    return CycleTime(trials=len(seconds), median_s=median_s, low_s=low_s, high_s=high_s)


def evaluated_cycle(evaluation: Evaluation) -> CycleTime | None:
    """Of the successful trials of an evaluation; None where none succeeded."""
    return cycle_time([trial.robot_time_s for trial in evaluation.trials if trial.success])
