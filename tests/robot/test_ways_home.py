"""The real driver on virtual servos comes home from what would otherwise drop it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import pytest

import waiting
from robot.arm import JOINT_NAMES
from robot.errors import ArmFault, Reaction, SafetyStop, ServoTripped
from robot.kinematics import Kinematics
from robot.motions import REST_RAD, SAFE_RAD, MotionSettings, travel
from robot.safety.reactions import react
from robot.settings import ControllerSettings
from robot.so101.arm import So101Arm
from robot.so101.settings import So101Settings
from robot.virtual.commands import Command, Heat, Overload, State
from robot.virtual.control import Remote

eventually = partial(waiting.eventually, within_s=60.0)

pytestmark = pytest.mark.slow  # each travels in real time


@pytest.fixture
def raised(virtual: Remote) -> Iterator[So101Arm]:
    """A driver without cameras whose arm has risen."""
    settings = So101Settings(
        port=virtual.folder / "follower",
        calibration_dir=virtual.folder / "calibration",
        answer_timeout_s=0.1,  # on a busy machine the station may sleep
        tries=15,
    )
    with closing(So101Arm(settings, (), Kinematics(ControllerSettings()), MotionSettings())) as arm:
        travel(arm, [SAFE_RAD], MotionSettings())
        yield arm


def follower(virtual: Remote) -> dict[str, Any]:
    found: dict[str, Any] = virtual.tell(State())["arms"]["follower"]
    return found


def off_rest_rad(virtual: Remote) -> float:
    joints = np.array([follower(virtual)["joint_rad"][name] for name in JOINT_NAMES])
    return float(np.abs(joints - REST_RAD)[:5].max())


@pytest.mark.parametrize(
    "accident", [Overload(arm="follower", joint="gripper"), Heat(arm="follower", joint="gripper", temperature_c=75.0)]
)
def test_an_arm_whose_gripper_has_tripped_is_parked_before_it_is_let_go(
    virtual: Remote, raised: So101Arm, accident: Command
) -> None:
    virtual.tell(accident)
    with pytest.raises(ServoTripped, match="gripper") as tripped:
        raised.read()
    assert tripped.value.reaction is Reaction.PARK
    assert react(raised, tripped.value, SAFE_RAD) is Reaction.PARK
    assert not any(follower(virtual)["has_torque"].values())
    assert off_rest_rad(virtual) < 0.05


def test_an_arm_that_is_pressed_onto_the_table_is_stuck_and_then_comes_home(virtual: Remote, raised: So101Arm) -> None:
    with pytest.raises(SafetyStop, match="stuck"):
        travel(raised, [np.array([0.0, 1.0, -0.2, 1.2, 0.0, 0.3])], MotionSettings())
    lags = (
        raised.bus.fetch(["Goal_Position"])["Goal_Position"]
        - raised.bus.fetch(["Present_Position"])["Present_Position"]
    )
    assert np.abs(lags).max() < 40  # ticks, 0.06 rad: it pushes no more
    raised.close()
    assert off_rest_rad(virtual) < 0.05


def test_an_arm_with_a_limp_shoulder_cannot_be_parked_and_is_let_go(virtual: Remote, raised: So101Arm) -> None:
    virtual.tell(Overload(arm="follower", joint="shoulder_lift"))
    with pytest.raises(ArmFault) as tripped:
        raised.read()
    eventually(lambda: abs(follower(virtual)["joint_rad"]["shoulder_lift"] - SAFE_RAD[1]) > 0.3, "it falls")
    assert react(raised, tripped.value, SAFE_RAD) is Reaction.RELEASE
    assert "stuck" in tripped.value.__notes__[0]
    assert not any(follower(virtual)["has_torque"].values())
