"""The store benchmark: its figures are complete and fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.store import GROUPS, Appends, measure
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=16)


def test_a_step_costs_the_part_of_its_group() -> None:
    # 2 calls with 8 steps each in 0.5 s: 32 steps/s
    figures = Appends(8, [0.2, 0.3]).figures()
    assert figures["steps_per_s"] == pytest.approx(32)
    assert figures["append_p50_ms"] == pytest.approx(250)


def test_every_figure_is_measured(tmp_path: Path) -> None:
    recorded = [pack_step(step) for step in fake_episode(CONTRACT, 5, np.random.default_rng(0))]
    figures = measure(recorded, CONTRACT, tmp_path, seconds=0.2)
    assert set(figures["groups"]) == set(map(str, GROUPS))
    assert figures["steps_stored"] % 1 == 0
    assert figures["steps_stored"] >= sum(GROUPS)
    assert figures["writers_steps_per_s"] > 0
    assert figures["bytes_per_step"] > 16 * 16 * 3  # frames of noise do not shrink
