"""The rule that is chosen, the split that it is chosen on, and figures worked out by hand."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from judged_episodes import outcome
from reward_classifier.calibration import fit_temperature, probability_of, reliability
from reward_classifier.figures import CurvePoint, frame_figures, worst_mistakes
from reward_classifier.fit import balanced_loss
from reward_classifier.frames import FrameTable
from reward_classifier.gate import Gate
from reward_classifier.judge import Rule
from reward_classifier.learning_curve import advice
from reward_classifier.settings import RuleSettings
from reward_classifier.split import kind_of_episodes, parts, rows_of
from reward_classifier.threshold import Seen, choose_rule, episode_figures

OPEN = Gate()


def seen(probabilities: list[float], *, success: bool, last_negative: int) -> Seen:
    count = len(probabilities)
    return Seen(np.array(probabilities), np.ones(count, bool), np.arange(count) <= last_negative, success)


def table_of(*episodes: tuple[bool, list[int]]) -> FrameTable:
    """Episodes by success and the labels of their frames."""
    labels = [label for _, each in episodes for label in each]
    return FrameTable(
        outcomes=tuple(outcome(i, len(each) - 1, success=s) for i, (s, each) in enumerate(episodes)),
        digests=tuple(str(i) for i in range(len(episodes))),
        episode=np.repeat(np.arange(len(episodes)), [len(each) for _, each in episodes]),
        step=np.concatenate([np.arange(len(each)) for _, each in episodes]),
        label=np.array(labels, np.int64),
        proprioception=np.zeros((len(labels), 2), np.float32),
    )


class TestRule:
    SETTINGS = RuleSettings(windows=((1, 1), (2, 2)), minimum_step=0, false_positives_per_episode=0.0)

    def test_a_flicker_is_outvoted_where_a_threshold_cannot_tell_it(self) -> None:
        # The failure flickers to 0.99 once; the success stays at 0.9: one frame of one must fail, two of two need not.
        episodes = [seen([0.1, 0.99, 0.1, 0.1], success=False, last_negative=3),
                    seen([0.1, 0.1, 0.9, 0.9], success=True, last_negative=0)]  # fmt: skip
        chosen = choose_rule(episodes, OPEN, self.SETTINGS)
        assert (chosen.k, chosen.n) == (2, 2)
        assert 0.1 < chosen.threshold <= 0.9

    def test_of_thresholds_that_do_equally_well_it_takes_the_middle_one(self) -> None:
        # Every threshold above 0.5 and up to 0.982 (logits 0 to 4) does it: the middle is logit 2, probability 0.88.
        sure = float(probability_of(np.array([4.0]), 1.0)[0])
        episodes = [seen([0.5, 0.5], success=False, last_negative=1), seen([0, sure], success=True, last_negative=0)]
        settings = self.SETTINGS.model_copy(update={"windows": ((1, 1),)})
        assert choose_rule(episodes, OPEN, settings).threshold == pytest.approx(0.88, abs=0.02)

    def test_what_was_asked_for_goes_before_what_is_found(self) -> None:
        episodes = [seen([0.95], success=False, last_negative=0), seen([0.9], success=True, last_negative=-1)]
        strict = choose_rule(episodes, OPEN, self.SETTINGS.model_copy(update={"windows": ((1, 1),)}))
        assert episode_figures(episodes, strict).false_positives == 0
        lax = self.SETTINGS.model_copy(update={"windows": ((1, 1),), "false_positives_per_episode": 0.5})
        assert episode_figures(episodes, choose_rule(episodes, OPEN, lax)).found == 1

    def test_a_success_may_be_missed_for_a_safer_threshold_where_that_is_allowed(self) -> None:
        # One success of ten reaches 0.2 only, the others 0.9, failures 0.1.
        episodes = [seen([0.1], success=False, last_negative=0)] * 10 + [seen([0.2], success=True, last_negative=-1)]
        episodes += [seen([0.9], success=True, last_negative=-1)] * 9
        eager = self.SETTINGS.model_copy(update={"windows": ((1, 1),), "missed_successes": 0.0})
        assert choose_rule(episodes, OPEN, eager).threshold < 0.2
        calm = choose_rule(episodes, OPEN, eager.model_copy(update={"missed_successes": 0.1}))
        assert calm.threshold == pytest.approx(0.5, abs=0.05)  # the middle of 0.1 and 0.9, in logits

    def test_what_nobody_says_is_no_success_may_be_paid_for_in_the_midst_of_a_failure(self) -> None:
        rule = Rule(threshold=0.5, k=1, n=1, minimum_step=0)
        doubtful = Seen(np.array([0.1, 0.9, 0.1]), np.ones(3, bool), np.array([True, False, True]), success=False)
        figures = episode_figures([doubtful], rule)
        assert (figures.false_positives, figures.found, figures.successes) == (0, 0, 0)

    def test_a_success_that_is_paid_long_before_it_was_one_is_a_false_positive(self) -> None:
        rule = Rule(threshold=0.5, k=1, n=1, minimum_step=0)
        early = seen([0.1, 0.9, 0.1, 0.9], success=True, last_negative=2)
        figures = episode_figures([early, seen([0.1, 0.1, 0.9, 0.9], success=True, last_negative=1)], rule)
        assert (figures.false_positives, figures.found, figures.successes) == (1, 1, 2)
        assert figures.early_steps == 1.0  # frame 2 of 0..3


class TestSplit:
    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), min_size=8, max_size=40), st.integers(0, 5))
    def test_no_episode_is_on_two_sides_and_each_is_predicted_once(
        self, episodes: list[tuple[bool, int]], seed: int
    ) -> None:
        both = [(True, [0, 1])] * 3
        table = table_of(*both, *((success, [int(success)] * frames) for success, frames in episodes))
        turns = parts(table, 5, seed)
        for turn in turns:
            sides = [set(rows_of(table, each).tolist()) for each in (turn.teaching, turn.stopping, turn.predicted)]
            assert sorted(row for side in sides for row in side) == list(range(len(table)))
            for side in sides:
                assert {0, 1} <= set(table.label[sorted(side)].tolist())  # of either class on each side
        assert sorted(np.concatenate([turn.predicted for turn in turns]).tolist()) == list(range(len(table.outcomes)))

    def test_it_is_the_same_split_each_time_and_another_one_for_another_seed(self) -> None:
        table = table_of(*[(index % 3 == 0, [0, 1]) for index in range(30)])
        first, again, other = (parts(table, 5, seed)[0].predicted.tolist() for seed in (1, 1, 2))
        assert first == again != other

    def test_kinds_are_spread_evenly(self) -> None:
        table = table_of(*[(True, [0, 1])] * 10, *[(False, [0])] * 25)
        kinds = kind_of_episodes(table)
        for turn in parts(table, 5, 0):
            assert (kinds[turn.predicted] == 1).sum() == 2  # 10 / 5
            assert (kinds[turn.predicted] == 2).sum() == 5  # 25 / 5


class TestFigures:
    PROBABILITY, LABEL = np.array([0.9, 0.8, 0.6, 0.4, 0.2]), np.array([1, 0, 1, 0, 0])

    def test_shares_by_hand(self) -> None:
        # At 0.5 three look like success: 0.9 and 0.6 are, 0.8 is not; of the negative ones 1 of 3.
        found = frame_figures(self.PROBABILITY, self.LABEL, 0.5)
        assert (found.accuracy, found.precision, found.recall) == pytest.approx((4 / 5, 2 / 3, 1.0))
        assert found.false_positive_rate == pytest.approx(1 / 3)
        # Pairs of a positive and a negative in the right order: 0.9 over all 3, 0.6 over 2: 5 of 6.
        assert found.area == pytest.approx(5 / 6)
        assert (found.roc[0], found.roc[-1]) == ((0.0, 0.0), (1.0, 1.0))

    def test_equal_probabilities_are_one_point(self) -> None:
        assert frame_figures(np.full(4, 0.5), np.array([1, 0, 1, 0]), 0.5).area == pytest.approx(0.5)

    def test_nothing_that_looks_like_success_has_no_precision(self) -> None:
        assert frame_figures(np.zeros(2), np.array([0, 1]), 0.5).precision is None

    def test_the_worst_mistakes_come_first_and_few_of_an_episode(self) -> None:
        table = table_of((False, [0, 0, 0, -1]), (True, [1, 0]))
        found = worst_mistakes(table, np.array([0.99, 0.98, 0.97, 1.0, 0.05, 0.2]))
        assert [(each.episode, each.step, each.positive) for each in found] == [
            (0, 0, False), (0, 1, False), (1, 0, True),
        ]  # fmt: skip

    def test_classes_count_alike_however_rare(self) -> None:
        # log(1 + e^0) = log 2 for either class, whatever their numbers
        assert balanced_loss(np.zeros(4), np.array([1, 0, 0, 0])) == pytest.approx(np.log(2))
        # log(1 + e^-1) = 0.3133 for the positive one, log(1 + e^-3) = 0.0486 for three negative ones
        assert balanced_loss(np.array([1.0, -3, -3, -3]), np.array([1, 0, 0, 0])) == pytest.approx(
            (0.313262 + 0.048587) / 2, abs=1e-5
        )

    def test_a_temperature_undoes_overconfidence(self) -> None:
        rng = np.random.default_rng(0)
        logits = rng.normal(0, 2, 20_000)
        labels = (rng.random(20_000) < probability_of(logits, 1.0)).astype(np.int64)
        assert fit_temperature(3 * logits, labels) == pytest.approx(3.0, rel=0.05)
        said = reliability(probability_of(3 * logits, 3.0), labels)
        assert all(each.said == pytest.approx(each.true, abs=0.05) for each in said)


class TestAdvice:
    FIGURES = frame_figures(np.array([0.9, 0.8, 0.6, 0.4]), np.array([1, 0, 1, 0]), 0.5)

    def curve(self, *errors: float) -> list[CurvePoint]:
        return [CurvePoint(episodes=10.0 * 2**i, error=error, spread=0.005) for i, error in enumerate(errors)]

    def test_a_falling_error_asks_for_more_of_what_is_mistaken(self) -> None:
        assert "record failures that look like success" in advice(self.curve(0.2, 0.1), self.FIGURES)
        missed = self.FIGURES.model_copy(update={"recall": 0.5, "false_positive_rate": 0.1})
        assert "record successes" in advice(self.curve(0.2, 0.1), missed)

    def test_a_flat_one_does_not(self) -> None:
        assert "hardly help" in advice(self.curve(0.101, 0.1), self.FIGURES)
        assert "not among the episodes yet" in advice(self.curve(0.02, 0.001), self.FIGURES)
