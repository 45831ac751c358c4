"""How sure a difference of two success rates is: exact tests and Newcombe's intervals. Nothing here reads a file.

SciPy has the tests, but comes only with the simulator; on a machine that just trains there is none.
"""

from __future__ import annotations

from math import comb, sqrt
from typing import NamedTuple

from console.statistics import StatisticsError, wilson_interval

# Probabilities that differ by less are equal: they are sums of binary fractions.
_EQUAL = 1 + 1e-9


class Difference(NamedTuple):
    """The first rate less the second, with its 95 % interval [1], -1..1."""

    value: float
    low: float
    high: float


class Pairs(NamedTuple):
    """Outcomes of two policies on the same trials."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def trials(self) -> int:
        """How many pairs there are."""
        return sum(self)


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """Two-sided p of McNemar's exact test: are the trials in which only one succeeded split like coin tosses?

        p = min(1, 2 Σ_{i ≤ min(b, c)} C(b + c, i) / 2^(b + c))

    Trials in which both or neither succeeded say nothing of who is better. 1 where there is no other.
    """
    tosses = first_only + second_only
    tail = sum(comb(tosses, successes) for successes in range(min(first_only, second_only) + 1))
    return min(1.0, 2 * tail / (1 << tosses))


def fisher_exact(successes_1: int, trials_1: int, successes_2: int, trials_2: int) -> float:
    """Two-sided p of Fisher's exact test: the tables with the same margins that are no likelier than this one."""
    _require_counts(successes_1, trials_1, successes_2, trials_2)
    successes, trials = successes_1 + successes_2, trials_1 + trials_2
    low, high = max(0, successes - trials_2), min(successes, trials_1)
    ways = {k: comb(trials_1, k) * comb(trials_2, successes - k) for k in range(low, high + 1)}
    as_extreme = sum(way for way in ways.values() if way <= ways[successes_1] * _EQUAL)
    return min(1.0, as_extreme / comb(trials, successes))


def newcombe_difference(successes_1: int, trials_1: int, successes_2: int, trials_2: int) -> Difference:
    """Newcombe's interval of a difference of independent rates (1998, method 10), from their Wilson intervals l..u.

    p1 - p2 - sqrt((p1 - l1)² + (u2 - p2)²)  ..  p1 - p2 + sqrt((u1 - p1)² + (p2 - l2)²)
    """
    _require_counts(successes_1, trials_1, successes_2, trials_2)
    return _around(successes_1 / trials_1, wilson_interval(successes_1, trials_1),
                   successes_2 / trials_2, wilson_interval(successes_2, trials_2), 0.0)  # fmt: skip


def newcombe_paired(pairs: Pairs) -> Difference:
    """The same for rates on the same trials (Newcombe 1998, paired data, method 10), which also uses how they agree."""
    n = pairs.trials
    if n == 0 or min(pairs) < 0:
        raise StatisticsError(f"paired difference: got {pairs}, expected counts of at least one trial")
    first, second = pairs.both + pairs.first_only, pairs.both + pairs.second_only
    return _around(first / n, wilson_interval(first, n), second / n, wilson_interval(second, n), _correlation(pairs))


def _around(
    p1: float, wilson_1: tuple[float, float], p2: float, wilson_2: tuple[float, float], phi: float
) -> Difference:
    (l1, u1), (l2, u2) = wilson_1, wilson_2
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    value = p1 - p2
    return Difference(value, max(-1.0, value - sqrt(max(below, 0.0))), min(1.0, value + sqrt(max(above, 0.0))))


def _correlation(pairs: Pairs) -> float:
    """Newcombe's phi, corrected for continuity; 0 where one policy always did the same."""
    a, b, c, d = pairs
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    product = float(a * d - b * c)
    if product > 0:
        product = max(product - pairs.trials / 2, 0.0)
    return product / sqrt(margins)


def _require_counts(successes_1: int, trials_1: int, successes_2: int, trials_2: int) -> None:
    if not (0 <= successes_1 <= trials_1 and 0 <= successes_2 <= trials_2 and min(trials_1, trials_2) > 0):
        raise StatisticsError(
            f"two rates: got {successes_1} of {trials_1} and {successes_2} of {trials_2}, expected successes of at "
            f"least one trial each"
        )
