"""Simulated and virtual arms for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from console.stopping import Child
from robot.env import ArmEnv, make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from robot.virtual.commands import Reset
from robot.virtual.control import Remote
from robot.virtual.station import CONTROL_SOCKET


@pytest.fixture(scope="module")
def env() -> Iterator[ArmEnv]:
    made = make_env(sim_contract(), ArmSettings(), TaskSettings(), seed=0)
    yield made
    made.close()


@pytest.fixture(scope="session")
def _station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("virtual")
    arguments = ["virtual", "--folder", str(folder), "--camera-port", "0", "--camera-width-px", "160"]
    with (
        Child("virtual arm", [*arguments, "--camera-height-px", "120"], folder / "log"),
        Remote.when_ready(folder / CONTROL_SOCKET, within_s=60) as remote,
    ):
        yield remote


@pytest.fixture
def virtual(_station: Remote) -> Remote:
    """A `nudge virtual` in a process of its own, at rest and sound; its ports are `follower` and `leader`."""
    _station.tell(Reset())
    return _station


@pytest.fixture
def patiently() -> Callable[[Any, Callable[[], None]], None]:
    """Connects a LeRobot device: its driver gives up a servo after 50 ms, for which a busy machine may let it sleep."""

    def connect(bus: Any, act: Callable[[], None]) -> None:
        for attempts_left in reversed(range(5)):
            try:
                act()
                return
            except (ConnectionError, RuntimeError):
                if not attempts_left:
                    raise
                bus.port_handler.closePort()

    return connect
