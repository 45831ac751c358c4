"""The control loop's benchmark: LeRobot's moments are judged by our loop's rules, and all figures are there."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.control_lerobot import Entry, rhythm

ROOT = Path(__file__).resolve().parents[2]
SIDE = {
    "p50_late_ms",
    "p99_late_ms",
    "p99_9_late_ms",
    "overruns",
    "observation_to_action_ms",
    "period_error_ms",
    "ticks",
}


def tick(begin_s: float, *, act_s: float = 0.02, observe_s: float = 0.03) -> list[Entry]:
    """A tick as LeRobot makes it: its policy, then the action, then the next observation."""
    acted_s = begin_s + act_s
    return [
        ("tick", begin_s),
        ("act", acted_s - 0.001),
        ("acted", acted_s),
        ("observe", acted_s),
        ("observed", acted_s + observe_s),
    ]


def reset(at_s: float) -> list[Entry]:
    """What the reset sees; another reading is that of LeRobot's constructor."""
    return [("observe", at_s), ("observed", at_s + 0.01)]


def moments(*starts_s: float) -> list[Entry]:
    return [entry for start_s in starts_s for entry in tick(start_s)]


def test_a_drifting_loop_is_later_and_later_with_the_same_period_error() -> None:
    found = rhythm([*reset(0), *moments(1.0, 1.102, 1.204, 1.306)], 0.1)
    # Deadlines 1.1, 1.2, 1.3.
    assert [found.late.percentile_ms(percent) for percent in (0, 50, 100)] == pytest.approx([2, 4, 6])
    assert found.period_error.percentile_ms(0) == pytest.approx(2)
    assert found.period_error.percentile_ms(100) == pytest.approx(2)


def test_after_more_than_a_period_the_deadlines_start_afresh() -> None:
    found = rhythm([*reset(0), *moments(1.0, 1.25, 1.35)], 0.1)
    # 150 ms late, and then on time.
    assert [found.late.percentile_ms(percent) for percent in (0, 100)] == pytest.approx([0, 150])


def test_it_acts_upon_what_it_saw_at_the_end_of_the_tick_before() -> None:
    found = rhythm([*reset(0), *moments(1.0, 1.1, 1.2)], 0.1)
    # Observed 20 ms after a tick's beginning, acted upon 20 ms after the next one's: a whole period.
    assert found.observation_to_action.count == 2
    assert found.observation_to_action.percentile_ms(50) == pytest.approx(100)


def test_resets_and_the_first_observation_after_them_do_not_count() -> None:
    first, second = moments(1.0, 1.1), moments(7.0, 7.1, 7.2)
    found = rhythm([*reset(0), *reset(0.5), *first, *reset(1.14), *second], 0.1)
    assert (found.late.count, found.period_error.count, found.observation_to_action.count) == (3, 3, 3)
    assert found.late.longest_s == pytest.approx(0, abs=1e-9)


def test_an_observation_that_comes_after_the_period_is_an_overrun() -> None:
    entries = [*reset(0), *tick(1.0), *tick(1.1, observe_s=0.09), *tick(1.25)]
    assert rhythm(entries, 0.1).overruns == 1


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None,
    reason="LeRobot's rl modules need the extra lerobot[dataset]; `make` installs it",
)
def test_the_command_ends_with_one_json_object_that_has_both_sides() -> None:
    command = [sys.executable, str(ROOT / "bench/control_loop.py"), "--json", "--seconds=5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() >= SIDE | {f"lerobot_{key}" for key in SIDE} | {"hz", "machine", "load_before", "load"}
    assert 0 < found["ticks"] <= 50
    assert found["observation_to_action_ms"]["p50"] > 0
