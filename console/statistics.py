"""The few statistics that the report and the dashboard share: nothing here reads a file or draws."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from policy.statistics import Interval, StatisticsError, wilson_interval

__all__ = ["Interval", "StatisticsError", "binomial_tail", "running_average", "running_ratio", "wilson_interval"]


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """Chance of at most so many successes in independent trials, each of which succeeds at the rate [1]."""
    return sum(comb(trials, n) * rate**n * (1 - rate) ** (trials - n) for n in range(successes + 1))


def running_average(values: Sequence[float] | NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean of the last `window` values at each position, of all so far where there are fewer: (N,) -> (N,)."""
    values_array = np.asarray(values, np.float64)  # (N,)
    return running_ratio(values_array, np.ones_like(values_array), window)


def running_ratio(
    parts: Sequence[float] | NDArray[np.float64], wholes: Sequence[float] | NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Sum of the last `window` parts over the sum of the last `window` wholes: (N,), (N,) -> (N,).

    Episodes of unequal length weigh by their steps, as they should in a share of steps. Where the wholes sum to
    zero there is no share: NaN. Raises `StatisticsError` on a window below 1 or unequal lengths.
    """
    parts_array, wholes_array = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)  # (N,), (N,)
    if window < 1 or parts_array.shape != wholes_array.shape or parts_array.ndim != 1:
        raise StatisticsError(
            f"running ratio: got shapes {parts_array.shape} and {wholes_array.shape} with a window of {window}, "
            f"expected two (N,) of equal length and a window of at least 1"
        )
    part_sums, whole_sums = _windowed_sum(parts_array, window), _windowed_sum(wholes_array, window)
    shares: NDArray[np.float64] = np.divide(
        part_sums, whole_sums, out=np.full(len(parts_array), np.nan), where=whole_sums != 0
    )
    return shares


def _windowed_sum(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Sum of the last `window` values at each position: (N,) -> (N,)."""
    total = np.zeros(len(values) + 1)  # (N + 1,)
    np.cumsum(values, out=total[1:])
    stop = np.arange(1, len(values) + 1)
    sums: NDArray[np.float64] = total[stop] - total[np.maximum(stop - window, 0)]
    return sums
