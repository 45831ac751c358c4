"""The rehearsal on the simulated arm, in real time: who moves everything is done, who stops is not."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from console.rehearse import rehearse
from robot.env import ArmEnv, make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from teleop.takeover import Control, Decision, OperatorView, Verdict

CONTRACT = sim_contract(control_hz=25)
MOVE_TICKS = 8


class Mover:
    """Takes over, moves the axes of a list both ways, and releases."""

    paused = False

    def __init__(self, axes: tuple[int, ...], ends_with: Verdict | None = None) -> None:
        self._moves = [(axis, sign) for axis in axes for sign in ((1, -1) if axis < 3 else (-1, 1))]
        self._ends_with = ends_with
        self._tick = 0

    def awaits(self, _view: OperatorView, *, demonstrating: bool) -> str:
        return ""

    def begin_episode(self, *, demonstrating: bool) -> None:
        self._tick = 0

    def poll(self, _view: OperatorView) -> Decision:
        self._tick += 1
        if self._tick < 3:
            return Decision(Control.POLICY)
        move, within = divmod(self._tick - 3, 2 * MOVE_TICKS)
        if move >= len(self._moves):
            return Decision(Control.RELEASING, verdict=self._ends_with if within > 3 else None)
        action: NDArray[np.float32] = np.zeros(4, np.float32)
        if within < MOVE_TICKS:
            axis, sign = self._moves[move]
            action[axis] = 0.6 * sign
        return Decision(Control.HUMAN, action)


@pytest.fixture(scope="module")
def env() -> Iterator[ArmEnv]:
    made = make_env(CONTRACT, ArmSettings(), TaskSettings(), seed=0)
    yield made
    made.close()


def run(env: ArmEnv, mover: Mover, stop: threading.Event | None = None) -> tuple[bool, str]:
    output = io.StringIO()
    done = rehearse(env, mover, CONTRACT, Console(file=output, width=200), stop or threading.Event())
    return done, output.getvalue()


def test_who_has_moved_everything_is_done(env: ArmEnv) -> None:
    done, output = run(env, Mover((0, 1, 2, 3)))
    assert done
    assert output.count("✓") == 10
    assert "·" not in output


def test_who_says_success_goes_on_without_the_rest(env: ArmEnv) -> None:
    done, output = run(env, Mover((2,), ends_with=Verdict.SUCCESS))
    assert done
    assert "✓ up" in output
    assert "· open the gripper" in output


def test_who_says_failure_or_stops_has_not_rehearsed(env: ArmEnv) -> None:
    assert not run(env, Mover((2,), ends_with=Verdict.FAILURE))[0]
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    assert not run(env, Mover((2,)), stop)[0]
