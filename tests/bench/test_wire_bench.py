"""The wire benchmark: recorded steps follow one another, bytes are within their targets, and nothing is lost."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from bench.recorded import Recording, record
from bench.wire import Settings, measure_bytes
from console.presets.load import load_preset
from console.settings import Settings as RunSettings
from policy.experience import check_step
from policy.fakes import fake_contract, fake_episode

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "latency_p50_ms",
    "latency_p99_ms",
    "drawable_p50_ms",
    "bytes_per_step",
    "bytes_per_push",
    "steps_per_s",
    "lerobot_bytes_per_step",
    "lerobot_bytes_per_push",
}
RUN = load_preset(RunSettings, "fast")


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(RUN, least_steps=20)


def test_a_recording_goes_on_for_ever_in_whole_episodes() -> None:
    contract, rng = fake_contract(cameras=1, size_px=8), np.random.default_rng(0)
    steps = fake_episode(contract, 2, rng) + fake_episode(contract, 1, rng)
    sent = list(islice(Recording(steps).endless("a" * 32), 7))
    # Episodes of 2, 1, 2, 1, ... steps.
    assert [(each.id.episode, each.id.step) for each in sent] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (2, 0),
        (2, 1),
        (3, 0),
        (4, 0),
    ]
    assert all(earlier.monotonic_ns <= later.monotonic_ns for earlier, later in pairwise(sent))


def test_the_simulated_arm_is_recorded_as_its_contract_says(recording: Recording) -> None:
    for step in recording.steps:
        check_step(step, RUN.contract)
    assert recording.steps[-1].last
    assert recording.counts().demo_episodes == sum(step.last for step in recording.steps)


def test_a_simulated_step_takes_less_than_40_kb_and_a_push_less_than_6_mb(recording: Recording) -> None:
    found = measure_bytes(RUN, recording, Settings())
    # From below too: two pictures of the scene were really sent, and 0.3 million float16 weights.
    assert 5_000 < found["bytes_per_step"] < 40_000
    assert 300_000 < found["bytes_per_push"] < found["paper_bytes_per_push"] < 6_000_000


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None,
    reason="LeRobot's rl modules need the extra lerobot[dataset]; `make` installs it",
)
def test_the_command_ends_with_one_json_object_and_loses_nothing() -> None:
    command = [sys.executable, str(ROOT / "bench/wire.py"), "--json", "--seconds=1", "--recorded-steps=20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() >= KEYS
    assert found["steps_lost"] == 0
    assert found["drawable_p50_ms"] > found["latency_p50_ms"] > 0
    # 2 frames of 3 * 128 * 128 float32, as state and as next state: 786,432 bytes, and less than 1 % beside them.
    assert 786_432 < found["lerobot_bytes_per_step"] < 794_000
