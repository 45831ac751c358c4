"""Figures of the report, against arithmetic done by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.statistics import StatisticsError, binomial_tail, running_average, running_ratio, wilson_interval


class TestWilsonInterval:
    def test_ninety_five_of_a_hundred(self) -> None:
        # z² = 3.841459; centre = (.95 + 3.841459/200) / 1.03841459 = .9692073 / 1.0384146 = .9333529
        # half = 1.959964 · sqrt(.95·.05/100 + 3.841459/40000) / 1.0384146 = 1.959964 · .0238964 / 1.0384146 = .0451035
        low, high = wilson_interval(95, 100)
        assert low == pytest.approx(0.888249, abs=1e-6)
        assert high == pytest.approx(0.978456, abs=1e-6)

    def test_no_success_still_says_how_bad_it_may_be(self) -> None:
        # p = 0: low = 0, high = (z²/n) / (1 + z²/n) = .3841459 / 1.3841459 with n = 10
        low, high = wilson_interval(0, 10)
        assert low == 0.0
        assert high == pytest.approx(0.277533, abs=1e-6)

    def test_ten_of_ten_is_not_certainty(self) -> None:
        low, high = wilson_interval(10, 10)
        assert low == pytest.approx(1 - 0.277533, abs=1e-6)
        assert high == 1.0

    @given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
    def test_it_holds_the_rate_and_mirrors_failures(self, counts: tuple[int, int]) -> None:
        successes, trials = counts
        low, high = wilson_interval(successes, trials)
        mirrored = wilson_interval(trials - successes, trials)
        assert 0.0 <= low <= successes / trials <= high <= 1.0
        assert (1 - high, 1 - low) == pytest.approx((mirrored.low, mirrored.high), abs=1e-12)

    @pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
    def test_impossible_counts_are_refused(self, successes: int, trials: int) -> None:
        with pytest.raises(StatisticsError, match=f"got {successes} successes of {trials} trials"):
            wilson_interval(successes, trials)


class TestRunningFigures:
    def test_average_of_a_filling_then_sliding_window(self) -> None:
        # window 2: 1, (1+0)/2, (0+0)/2, (0+1)/2
        assert running_average([1, 0, 0, 1], 2).tolist() == [1.0, 0.5, 0.0, 0.5]

    def test_ratio_weighs_episodes_by_their_steps(self) -> None:
        # window 2: 0/80, (0+10)/(80+20), (10+0)/(20+20)
        assert running_ratio([0, 10, 0], [80, 20, 20], 2).tolist() == [0.0, 0.1, 0.25]

    def test_no_steps_give_no_share(self) -> None:
        assert np.isnan(running_ratio([0], [0], 5)).all()

    def test_nothing_in_nothing_out(self) -> None:
        assert running_average([], 20).shape == (0,)

    @given(st.lists(st.booleans(), max_size=60), st.integers(1, 70))
    def test_average_equals_the_naive_one(self, values: list[bool], window: int) -> None:
        naive = [float(np.mean(values[max(0, i + 1 - window) : i + 1])) for i in range(len(values))]
        assert running_average(values, window).tolist() == pytest.approx(naive)

    def test_unequal_lengths_and_empty_windows_are_refused(self) -> None:
        with pytest.raises(StatisticsError, match="expected two"):
            running_ratio([1.0], [1.0, 2.0], 3)
        with pytest.raises(StatisticsError, match="window of 0"):
            running_average([1.0], 0)


def test_the_chance_of_so_few_successes_is_the_binomial_distributions() -> None:
    assert binomial_tail(0, 4, 0.5) == pytest.approx(1 / 16)
    assert binomial_tail(1, 4, 0.5) == pytest.approx(5 / 16)
    assert binomial_tail(4, 6, 0.94) == pytest.approx(1 - 0.94**6 - 6 * 0.06 * 0.94**5)
    assert binomial_tail(3, 3, 0.2) == pytest.approx(1.0)
    assert binomial_tail(2, 3, 1.0) == 0.0
