"""Tests and intervals of a difference, against figures by hand and against SciPy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.compare.statistics import (
    Pairs,
    fisher_exact,
    mcnemar_exact,
    newcombe_difference,
    newcombe_paired,
)
from console.statistics import StatisticsError

counts = st.integers(0, 40)


def test_mcnemar_by_hand() -> None:
    # 1 of 9 discordant trials: 2 (C(9,0) + C(9,1)) / 2^9 = 2 · 10 / 512 = 0.0390625
    assert mcnemar_exact(8, 1) == mcnemar_exact(1, 8) == 0.0390625
    # 0 of 5: 2 / 32
    assert mcnemar_exact(5, 0) == 0.0625
    assert mcnemar_exact(3, 3) == 1.0
    assert mcnemar_exact(0, 0) == 1.0


def test_fisher_by_hand() -> None:
    # The lady tasting tea, 3 of 4: tables 4-0 and 0-4 have 1 of 70 each, 3-1 and 1-3 have 16: (16 + 1 + 1 + 16) / 70
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher_exact(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert fisher_exact(4, 4, 4, 4) == 1.0


@given(counts, counts, counts, counts)
@settings(deadline=None, max_examples=50)  # the first imports SciPy
def test_both_are_as_scipy_has_them(a: int, b: int, c: int, d: int) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    if a + b:
        assert mcnemar_exact(a, b) == pytest.approx(scipy_stats.binomtest(a, a + b, 0.5).pvalue)
    if min(a + b, c + d):
        assert fisher_exact(a, a + b, c, c + d) == pytest.approx(scipy_stats.fisher_exact([[a, b], [c, d]]).pvalue)


def test_newcombes_interval_of_independent_rates() -> None:
    # His example (1998, table II): 56/70 against 48/80, method 10: 0.2 with 0.0524 to 0.3339.
    assert newcombe_difference(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_newcombes_interval_of_paired_rates() -> None:
    # Wilson of 32/50: 0.50141..0.75860; of 22/50: 0.31155..0.57693. phi: (20·16 - 12·2 - 25) / sqrt(32·18·22·28)
    # = 271 / 595.67 = 0.45495. Below: .13859² - 2·.45495·.13859·.13693 + .13693² = .020690, root .14384.
    # Above: .11860² - 2·.45495·.11860·.12845 + .12845² = .016703, root .12924.
    found = newcombe_paired(Pairs(both=20, first_only=12, second_only=2, neither=16))
    assert found == pytest.approx((0.2, 0.2 - 0.14384, 0.2 + 0.12924), abs=1e-4)


def test_pairs_that_agree_make_the_interval_narrow_and_the_same_outcomes_as_wide_as_unpaired() -> None:
    paired = newcombe_paired(Pairs(both=60, first_only=10, second_only=0, neither=30))
    unpaired = newcombe_difference(70, 100, 60, 100)
    assert paired.value == pytest.approx(unpaired.value)
    assert unpaired.low < 0 < paired.low < paired.high < unpaired.high
    # Where one policy always succeeds there is no correlation to use.
    assert newcombe_paired(Pairs(100, 0, 0, 0)) == newcombe_difference(100, 100, 100, 100)


@given(counts, counts, counts, counts)
def test_the_interval_holds_the_difference_and_turns_over_with_it(a: int, b: int, c: int, d: int) -> None:
    if a + b + c + d == 0:
        return
    one, other = newcombe_paired(Pairs(a, b, c, d)), newcombe_paired(Pairs(a, c, b, d))
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(StatisticsError, match="got 5 of 4 and 1 of 4"):
        newcombe_difference(5, 4, 1, 4)
    with pytest.raises(StatisticsError, match="at least one trial"):
        newcombe_paired(Pairs(0, 0, 0, 0))
