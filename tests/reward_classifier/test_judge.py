"""The judge: against a literal model of its rule, frame by frame, and against the faster way to try thresholds."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from judged_episodes import contract
from policy.errors import InvalidExperience
from policy.experience import Reason
from reward_classifier.errors import TrainingRefused
from reward_classifier.gate import BoundGate, Gate, Limits, learn_gate
from reward_classifier.judge import Judge, Opinion, Rule
from reward_classifier.settings import GateSettings
from reward_classifier.threshold import Seen, paid_at

CONTRACT = contract()
HELD, EMPTY, LOW = (np.array(each, np.float32) for each in ([0.3, 0.09], [-0.1, 0.09], [0.3, 0.02]))
GATE = Gate(
    limits=(
        Limits(dimension="joint.gripper", unit="rad", low=0.2, high=0.5),
        Limits(dimension="tool.z", unit="m", low=0.06, high=None),
    )
)
TICKS = st.lists(st.tuples(st.sampled_from((0.0, 0.3, 0.7, 0.9, 1.0)), st.sampled_from((0, 0, 0, 1, 2))), max_size=25)
RULES = st.builds(
    lambda threshold, k, more, step: Rule(threshold=threshold, k=k, n=k + more, minimum_step=step, gate=GATE),
    st.sampled_from((0.3, 0.8)), st.integers(1, 4), st.integers(0, 3), st.integers(0, 6),
)  # fmt: skip


def watched(rule: Rule, ticks: list[tuple[float, int]]) -> list[Opinion]:
    judge = Judge(rule, CONTRACT)
    return [judge.tick(probability, (HELD, EMPTY, LOW)[body]) for probability, body in ticks]


@given(RULES, TICKS)
@settings(deadline=None)
def test_it_pays_at_the_first_frame_at_which_all_that_the_rule_says_holds_and_never_again(
    rule: Rule, ticks: list[tuple[float, int]]
) -> None:
    paid = False
    for number, opinion in enumerate(watched(rule, ticks)):
        last = [probability for probability, _ in ticks[max(0, number + 1 - rule.n) : number + 1]]
        enough = len([each for each in last if each >= rule.threshold]) >= rule.k
        holds = ticks[number][1] == 0
        assert opinion.pays == (enough and holds and number >= rule.minimum_step and not paid)
        assert opinion.pays == (opinion.judgement.reason is Reason.SUCCESS)
        if not enough and not paid:
            assert opinion.judgement.reason in (Reason.UNLIKELY, Reason.TOO_FEW)
        if enough and not paid and not holds:
            assert opinion.judgement.reason is Reason.GATE
        paid |= opinion.pays


@given(RULES, TICKS)
@settings(deadline=None)
def test_trying_thresholds_comes_to_what_the_judge_does(rule: Rule, ticks: list[tuple[float, int]]) -> None:
    pays = [opinion.pays for opinion in watched(rule, ticks)]
    probability, passes = np.array([each for each, _ in ticks]), np.array([body == 0 for _, body in ticks], bool)
    seen = Seen(probability, passes, negative=np.ones(len(ticks), bool), success=False)
    assert paid_at(seen, rule) == (pays.index(True) if True in pays else None)


def rule(**changes: object) -> Rule:
    return Rule.model_validate({"threshold": 0.8, "k": 2, "n": 3, "minimum_step": 2, "gate": GATE} | changes)


def test_each_tick_says_why_with_its_figures() -> None:
    opinions = watched(rule(), [(0.1, 0), (0.9, 0), (0.9, 1), (0.9, 0), (1.0, 0)])
    assert [each.judgement.reason for each in opinions] == [
        Reason.UNLIKELY, Reason.TOO_FEW, Reason.GATE, Reason.SUCCESS, Reason.PAID,
    ]  # fmt: skip
    assert opinions[0].told == "probability 0.10 below 0.80"
    assert opinions[1].told == "1 of the last 3 frames look like success, 2 must"
    assert opinions[2].told == "joint.gripper -0.100, expected 0.200..0.500 rad"
    assert opinions[3].told == "2 of the last 3 frames look like success" or opinions[3].told.startswith("3 of")


def test_a_success_that_comes_too_early_waits_for_its_step() -> None:
    reasons = [each.judgement.reason for each in watched(rule(minimum_step=3), [(1.0, 0)] * 4)]
    assert reasons == [Reason.TOO_FEW, Reason.TOO_EARLY, Reason.TOO_EARLY, Reason.SUCCESS]


def test_the_next_episode_knows_nothing_of_this_one() -> None:
    judge = Judge(rule(minimum_step=0), CONTRACT)
    for _ in range(3):
        judge.tick(1.0, HELD)
    judge.begin()
    assert judge.tick(1.0, HELD).judgement.reason is Reason.TOO_FEW
    assert judge.tick(1.0, HELD).pays


@pytest.mark.parametrize("probability", [float("nan"), -0.1, 1.1])
def test_a_probability_that_is_none_is_refused(probability: float) -> None:
    with pytest.raises(InvalidExperience, match=r"expected 0\.\.1"):
        Judge(rule(), CONTRACT).tick(probability, HELD)


def test_more_frames_than_there_are_to_look_at_are_refused() -> None:
    with pytest.raises(ValueError, match="got 4 of 3"):
        rule(k=4)


class TestGate:
    def positives(self, jaws: list[float], heights: list[float]) -> NDArray[np.float32]:
        return np.array([jaws, heights], np.float32).T

    def test_it_learns_what_positive_frames_have_and_a_margin(self) -> None:
        settings = GateSettings(quantile=0.0, jaw_margin=0.05, height_margin=0.005)
        gate = learn_gate(CONTRACT, self.positives([0.25, 0.40, 0.30], [0.08, 0.11, 0.09]), settings)
        jaw, height = gate.limits
        assert (jaw.dimension, height.dimension, height.high) == ("joint.gripper", "tool.z", None)
        assert [jaw.low, jaw.high, height.low] == pytest.approx([0.20, 0.45, 0.075])
        bound = BoundGate(gate, CONTRACT)
        frames = np.array([[0.3, 0.2], [0.19, 0.2], [0.46, 0.2], [0.3, 0.07]], np.float32)
        assert bound.passes(frames).tolist() == [True, False, False, False]
        assert [bool(bound.refusal(frame)) for frame in frames] == [False, True, True, True]

    def test_some_wrong_labels_do_not_open_it(self) -> None:
        jaws = [0.3] * 98 + [-0.1, 1.0]
        gate = learn_gate(CONTRACT, self.positives(jaws, [0.09] * 100), GateSettings())
        assert not BoundGate(gate, CONTRACT).passes(EMPTY[None]).any()

    def test_a_dimension_that_is_not_there_is_refused_and_none_is_a_choice(self) -> None:
        with pytest.raises(TrainingRefused, match=r"gate.jaw: got 'jaw', .* has joint.gripper, tool.z"):
            learn_gate(CONTRACT, self.positives([0.3], [0.09]), GateSettings(jaw="jaw"))
        gate = learn_gate(CONTRACT, self.positives([0.3], [0.09]), GateSettings(jaw="", height=""))
        assert gate.limits == ()
        assert BoundGate(gate, CONTRACT).passes(EMPTY[None]).all()
