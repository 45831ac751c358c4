"""Means with intervals of a few repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

# Two-sided 95 % quantiles of Student's t with 1, 2, ... degrees of freedom.
_T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class Estimate(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean ± t s / sqrt(n) of 2 to 10 repetitions, s their standard deviation."""
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = _T_95[len(values) - 2] * spread / sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)
