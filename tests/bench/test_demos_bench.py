"""The benchmark of demonstrations: what it counts is what it claims to count."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from bench.demos import successes, whole_episodes
from bench.recorded import Recording
from policy.fakes import fake_contract, fake_episode

CONTRACT = fake_contract(cameras=1, proprioception=2, size_px=8)


def recorded() -> Recording:
    """Three demonstrations, the second of which failed."""
    rng = np.random.default_rng(0)
    good, bad, other = (fake_episode(CONTRACT, steps, rng, terminated=steps != 3) for steps in (4, 3, 5))
    return Recording([*good, *bad, *other])


def test_what_failed_is_left_out() -> None:
    kept = successes(recorded()).steps
    assert len(kept) == 4 + 5
    assert [step.reward for step in kept if step.last] == [1, 1]


def test_whole_demonstrations_come_again_as_new_ones_in_the_rhythm_of_the_contract() -> None:
    recording = successes(recorded())
    again = list(whole_episodes(recording, 3, CONTRACT.control_hz))
    assert [place for place, _ in again] == [*range(9), *range(4)]
    assert [step.id.episode for _, step in again] == [0] * 4 + [1] * 5 + [2] * 4
    assert all(step.observation is recording.steps[place].observation for place, step in again)
    assert {after.monotonic_ns - before.monotonic_ns for (_, before), (_, after) in pairwise(again)} == {100_000_000}


@pytest.mark.slow
def test_a_small_run_measures_everything() -> None:
    command = [sys.executable, "bench/demos.py", "--json", "--steps", "100", "--kills", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["frames"] > 100
    assert found["warm_s"] > 0
    assert found["cold"]["first_update_s"] == found["cold_s"]
    assert found["round_trip_equal"] is True
    assert (found["kills"], found["steps_lost"]) == (1, 0)
