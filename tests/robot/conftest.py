"""Simulated arms for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from robot.env import ArmEnv, make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract


@pytest.fixture(scope="module")
def env() -> Iterator[ArmEnv]:
    made = make_env(sim_contract(), ArmSettings(), TaskSettings(), seed=0)
    yield made
    made.close()
