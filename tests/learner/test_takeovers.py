"""Takeovers as the store tells them: where each began, and how long it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learner.store import ExperienceStore
from learner.takeovers import takeovers
from policy.experience import Source
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=2, size_px=8)
P, H, D, S = Source.POLICY, Source.HUMAN, Source.DEMO, Source.HOLD


def test_each_row_of_human_steps_is_one_takeover(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    episodes = [(D, D), (P, H, H, P, H), (P, P), (H, S, H)]
    begun = []
    with ExperienceStore(tmp_path / "experience.sqlite", CONTRACT) as store:
        for index, sources in enumerate(episodes):
            made = fake_episode(CONTRACT, len(sources), rng, episode=index, terminated=index != 2)
            steps = [replace(step, source=source) for step, source in zip(made, sources, strict=True)]
            store.append([pack_step(step) for step in steps])
            begun.append([step.observation.proprioception for step in steps])
        found = takeovers(store)
    assert [(it.episode, it.first_step, it.steps) for it in found] == [(1, 1, 2), (1, 4, 1), (3, 0, 1), (3, 2, 1)]
    for it in found:
        assert it.begun == pytest.approx(begun[it.episode][it.first_step])
