"""How sure a rate is that was counted."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from policy.errors import NudgeError

Z_95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal distribution


class StatisticsError(NudgeError):
    """Counts or windows from which no figure follows."""


class Interval(NamedTuple):
    """A confidence interval of a probability [1], 0..1."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> Interval:
    """Wilson's score interval of a success probability [1].

    With p = successes / trials and n = trials (Wilson 1927, eq. for the roots of |p - P| = z sqrt(P(1-P)/n)):

        (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)

    Unlike p ± z·sqrt(p(1-p)/n) it stays within 0..1 and says something at 0 or n successes.
    Raises `StatisticsError` unless 0 <= successes <= trials and trials > 0.
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise StatisticsError(
            f"Wilson interval: got {successes} successes of {trials} trials, expected 0 <= successes <= trials and at "
            f"least one trial; run the evaluation first"
        )
    p, n = successes / trials, float(trials)
    centre = p + z * z / (2 * n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The interval holds p; at 0 or n successes it ends there, but for rounding by some 1e-17.
    return Interval(min(p, max(0.0, (centre - half) / scale)), max(p, min(1.0, (centre + half) / scale)))
