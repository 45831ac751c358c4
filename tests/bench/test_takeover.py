"""The figures of a takeover, from ticks that are made up; the whole, with the devices, is slow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.takeover import Tick, figures
from robot.sim import sim_contract
from teleop.events import TeleopEvent
from teleop.takeover import Control

CONTRACT = sim_contract()
NAMES = [dimension.name for dimension in CONTRACT.proprioception]
PERIOD_S = 0.1


def ticks(controls: str, moved: float = 1.0) -> list[Tick]:
    """One a letter, `p` or `h`: a hand that moves all axes to and fro, and an arm that follows so far."""
    made = []
    seen = np.zeros(len(NAMES), np.float32)
    columns = [NAMES.index(name) for name in ("tool.x", "tool.y", "tool.z", "joint.gripper")]
    for index, letter in enumerate(controls):
        action = np.full(4, float(np.sin(index)) if letter == "h" else 0.0, np.float32)
        after = seen.copy()
        after[columns] += moved * action * CONTRACT.action_scale
        control = Control.HUMAN if letter == "h" else Control.POLICY
        commanded = np.full(6, np.radians(float(index if letter == "h" else 0)))
        made.append(
            Tick(index * PERIOD_S, index * PERIOD_S + 0.005, control, action, seen.copy(), after.copy(), commanded)
        )
        seen = after
    return made


def test_latency_counts_commands_from_the_press_to_the_hand() -> None:
    pressed = [(0.25, TeleopEvent.TAKE_OVER), (0.6, TeleopEvent.RELEASE), (0.81, TeleopEvent.TOGGLE)]
    found = figures(ticks("ppphhhpppphhhhhhhp"), pressed, CONTRACT)
    # Pressed at 0.25, driven at 0.3: the first command. Pressed at 0.81, commands at 0.9 and 1.0: the second.
    assert found["takeovers"] == 2
    assert found["latency_ticks"] == 2
    assert found["latency_ms"] == {"p50": pytest.approx(125.0), "max": pytest.approx(195.0)}


def test_a_jump_of_the_goals_at_a_takeover_is_found() -> None:
    found = figures(ticks("pphhhp"), [(0.15, TeleopEvent.TAKE_OVER)], CONTRACT)
    assert found["max_joint_step_deg"] == pytest.approx(4.0)  # from 4° back to 0° at the release


def test_an_arm_that_does_as_it_is_told_correlates_and_one_that_does_the_contrary_does_not() -> None:
    pressed = [(0.15, TeleopEvent.TAKE_OVER)]
    assert figures(ticks("pp" + 20 * "h" + "p"), pressed, CONTRACT)["action_motion_correlation"] > 0.99
    assert figures(ticks("pp" + 20 * "h" + "p", moved=-1.0), pressed, CONTRACT)["action_motion_correlation"] < -0.99


@pytest.mark.slow
def test_the_command_ends_with_one_json_object_and_nobody_jumps() -> None:
    command = [sys.executable, "bench/takeover.py", "--takeovers", "2", "--json"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for device in ("leader", "gamepad", "keyboard"):
        assert found[device]["takeovers"] == 3
        assert found[device]["latency_ticks"] == 1
        assert found[device]["max_joint_step_deg"] <= 2.0
        assert found[device]["action_motion_correlation"] > 0.8
