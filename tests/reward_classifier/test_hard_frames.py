"""Which frames a person is asked about next."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from judged_episodes import SESSION, contract, outcome
from reward_classifier.errors import TrainingRefused
from reward_classifier.frames import FrameTable, relabelled
from reward_classifier.gate import BoundGate, Gate, Limits
from reward_classifier.hard_frames import HardSettings, Suggestion, Why, dealt_with, hard_frames
from reward_classifier.judge import Rule
from reward_classifier.label_acts import EDIT, HOLD, KEY, Act
from reward_classifier.labels import EpisodeKey, Label, Said, Sayings
from reward_classifier.threshold import paid_at, seen_episodes

STEPS = 9  # 10 frames each
RULE = Rule(threshold=0.6, k=2, n=3, minimum_step=0)
MADE_NS = 100
P, N, U = Label.POSITIVE, Label.NEGATIVE, Label.UNSURE


def said(label: Label, frames: range, source: str = KEY, wall_ns: int = 50) -> dict[int, Said]:
    return dict.fromkeys(frames, Said(label, Act(1, source, "anna", wall_ns, None)))


def sayings(*episodes: dict[int, Said]) -> Sayings:
    return {EpisodeKey(SESSION, index): frames for index, frames in enumerate(episodes) if frames}


def table(told: Sayings, episodes: int) -> FrameTable:
    outcomes = tuple(outcome(index, STEPS) for index in range(episodes))
    frames = episodes * (STEPS + 1)
    bare = FrameTable(
        outcomes=outcomes,
        digests=tuple(str(index) for index in range(episodes)),
        episode=np.repeat(np.arange(episodes), STEPS + 1),
        step=np.tile(np.arange(STEPS + 1), episodes),
        label=np.full(frames, -1),
        proprioception=np.tile(np.array([0.3, 0.05], np.float32), (frames, 1)),
    )
    labels = {key: {frame: each.label for frame, each in frames.items()} for key, frames in told.items()}
    return relabelled(bare, labels)


def found(
    told: Sayings, probability: NDArray[np.float64], rule: Rule = RULE, settings: HardSettings | None = None
) -> list[Suggestion]:
    made = table(told, len(probability))
    settings = settings or HardSettings()
    flat = probability.reshape(-1)
    paid = [paid_at(seen, rule) for seen in seen_episodes(made, flat, BoundGate(rule.gate, contract()))]
    return hard_frames(made, flat, dealt_with(made, told, MADE_NS), rule.threshold, paid, settings)


def flat(episodes: int = 1, probability: float = 0.0) -> NDArray[np.float64]:
    return np.full((episodes, STEPS + 1), probability)


def places(suggestions: list[Suggestion]) -> list[tuple[Why, int, int]]:
    return [(each.why, each.episode, each.step) for each in suggestions]


class TestMistakes:
    def test_the_surest_comes_first_on_either_side_of_the_threshold(self) -> None:
        told = sayings(said(N, range(10)), said(P, range(10)))
        probability = np.stack([flat()[0], flat(probability=1.0)[0]])
        probability[0, 2] = 0.7  # said to be a success, by 0.7
        probability[1, 8] = 0.1  # said to be none, by 1 - 0.1 = 0.9
        probability[1, 2] = 0.59  # just below 0.6: none, by 0.41
        assert places(found(told, probability)) == [(Why.MISTAKE, 1, 8), (Why.MISTAKE, 0, 2), (Why.MISTAKE, 1, 2)]
        assert found(told, probability)[0].told == "labelled positive, but its probability is 0.10"

    def test_what_a_hand_has_said_since_the_classifier_was_made_is_settled(self) -> None:
        probability = flat(probability=0.9)
        for source, wall_ns, expected in ((EDIT, 150, 0), (HOLD, 150, 0), (EDIT, 50, 2), (KEY, 150, 2)):
            assert len(found(sayings(said(N, range(10), source, wall_ns)), probability)) == expected

    def test_neighbours_of_an_episode_are_one_question(self) -> None:
        told, probability = sayings(said(N, range(10))), flat(probability=0.9)
        probability[0, 4] = 0.99
        # 4 is the surest; 5 frames away from it there is only 9
        assert places(found(told, probability)) == [(Why.MISTAKE, 0, 4), (Why.MISTAKE, 0, 9)]
        assert len(found(told, probability, settings=HardSettings(apart=1, per_episode=2))) == 2


class TestEpisodesOfWhichNothingIsSaid:
    def test_are_asked_about_where_they_would_be_paid(self) -> None:
        probability = flat(2)
        probability[0, 3:6] = 0.8, 0.2, 0.9  # 2 of the last 3 at frame 5
        assert places(found({}, probability))[0] == (Why.PAID, 0, 5)
        assert found({}, probability)[0].told == "nothing is said of this episode; probability 0.90"

    def test_are_not_where_the_gate_refuses(self) -> None:
        gate = Gate(limits=(Limits(dimension="tool.z", unit="m", low=0.06, high=None),))  # all are at 0.05
        assert not found({}, flat(probability=0.99), RULE.model_copy(update={"gate": gate}))

    def test_are_not_once_anything_is_said(self) -> None:
        assert places(found(sayings(said(U, range(1))), flat(probability=0.99))) == []


class TestDoubts:
    def test_are_frames_without_a_label_the_nearest_to_the_threshold_first(self) -> None:
        told, probability = sayings(said(N, range(3))), flat()
        probability[0, [3, 8]] = 0.4, 0.62  # 0.2 and 0.02 away
        assert places(found(told, probability)) == [(Why.DOUBT, 0, 8), (Why.DOUBT, 0, 3)]
        assert places(found(told, probability, settings=HardSettings(doubt=0.1))) == [(Why.DOUBT, 0, 8)]

    def test_who_was_unsure_is_not_asked_again(self) -> None:
        assert not found(sayings(said(U, range(10))), flat(probability=0.6))


def test_kinds_take_turns_and_no_more_than_asked_for_come() -> None:
    told = sayings({}, said(N, range(10)), said(N, range(5)))
    probability = flat(3)
    probability[0, 4:6] = 0.9
    probability[1, [0, 9]] = 0.8, 0.7
    probability[2, 7] = 0.55
    expected = [(Why.PAID, 0, 5), (Why.MISTAKE, 1, 0), (Why.DOUBT, 2, 7), (Why.MISTAKE, 1, 9)]
    assert places(found(told, probability)) == expected
    assert places(found(told, probability, settings=HardSettings(most=2))) == expected[:2]


def test_probabilities_of_other_frames_are_refused() -> None:
    made = table({}, 1)
    with pytest.raises(TrainingRefused, match="one of each of 10 frames"):
        hard_frames(made, np.zeros(9), dealt_with(made, {}, 0), RULE.threshold, [None])
