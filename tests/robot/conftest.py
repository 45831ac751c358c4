"""A simulated arm for the tests of this room, and patience with LeRobot's drivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from robot.env import ArmEnv, make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract


@pytest.fixture(scope="module")
def env() -> Iterator[ArmEnv]:
    made = make_env(sim_contract(), ArmSettings(), TaskSettings(), seed=0)
    yield made
    made.close()


@pytest.fixture
def patiently() -> Callable[[Any, Callable[[], None]], None]:
    """Connects a LeRobot device: its driver gives up a servo after 50 ms, for which a busy machine may let it sleep."""

    def connect(bus: Any, act: Callable[[], None]) -> None:
        for attempts_left in reversed(range(5)):
            try:
                act()
                return
            except (ConnectionError, RuntimeError, IndexError):  # the last where an answer is cut short
                if not attempts_left:
                    raise
                bus.port_handler.closePort()

    return connect
