"""The benchmark of the reward classifier: its hands fail or succeed as their names say, and the simulator judges."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bench.classifier import RECORDED, labelled
from bench.classifier_truth import truth_of
from console.presets.load import load_preset
from console.settings import Settings
from demos.scripted_episodes import SUCCESS, kinds_of, record_episodes
from policy.experience_file import ExperienceFile
from reward_classifier.frames import POSITIVE
from teleop.hands import ADVERSARIES

FAST = load_preset(Settings, "fast")


def test_adversaries_come_in_turn_and_successes_last() -> None:
    assert kinds_of(("push", "hover"), 3, 2) == ["push", "hover", "push", SUCCESS, SUCCESS]
    assert set(RECORDED) < set(ADVERSARIES)  # some kinds are never recorded


@pytest.mark.slow
def test_the_key_says_success_of_what_the_simulator_calls_one_and_of_nothing_else(tmp_path: Path) -> None:
    kinds = [*kinds_of(ADVERSARIES, 7, 0), SUCCESS, SUCCESS]  # all but `slip`
    record_episodes(tmp_path / "some.sqlite", FAST.contract, FAST.arm, FAST.task, kinds, seed=3)
    with closing(ExperienceFile(tmp_path / "some.sqlite")) as experience:
        table = labelled(experience, tmp_path / "labels.sqlite")
        truth = truth_of(experience, table, FAST.task)
    assert truth.success.tolist() == table.success.tolist() == [False] * 7 + [True] * 2
    assert (truth.label[table.label == POSITIVE] == POSITIVE).all()
    held = np.array([(truth.label[table.rows(episode)] == POSITIVE).any() for episode in range(9)])
    assert held.tolist() == [False] * 7 + [True] * 2
