"""The real arm's driver on the virtual arm's port, and what is true there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy.contract import Camera
from robot.arm import JOINT_NAMES
from robot.errors import ArmFault
from robot.kinematics import Kinematics
from robot.motions import MotionSettings
from robot.settings import ControllerSettings
from robot.so101.arm import So101Arm
from robot.so101.settings import So101Settings
from robot.virtual.commands import State
from robot.virtual.control import Remote

# Half the time that an arm should take beside people.
BRISK = MotionSettings(step_s=0.05, settle_s=0.0, fold_s=0.5)


def driver_settings(virtual: Remote, **changes: Any) -> So101Settings:
    """Settings for the follower, patient with a busy machine."""
    given = {
        "port": virtual.folder / "follower",
        "calibration_dir": virtual.folder / "calibration",
        "answer_timeout_s": 0.1,
        "tries": 10,
        **changes,
    }
    return So101Settings.model_validate(given)


@contextmanager
def driven(virtual: Remote, seen_by: tuple[Camera, ...] = (), **changes: Any) -> Iterator[So101Arm]:
    """The arm, let go of afterwards as it is: whoever wants it parked closes it."""
    arm = So101Arm(driver_settings(virtual, **changes), seen_by, Kinematics(ControllerSettings()), BRISK)
    try:
        yield arm
    finally:
        try:
            arm.release()  # nothing to park then
        except ArmFault:
            arm.bus.close()  # the test has broken it
        finally:
            quietly_closed(arm)


def quietly_closed(arm: So101Arm) -> None:
    """Close an arm that a test may have left without bus or power."""
    try:
        arm.close()
    except ArmFault:
        assert not arm.bus.is_open


def true_rad(virtual: Remote) -> NDArray[np.float64]:
    """Joint angles (6,) of the follower as MuJoCo has them."""
    joints = virtual.tell(State())["arms"]["follower"]["joint_rad"]
    return np.array([joints[name] for name in JOINT_NAMES])


def stands_still(virtual: Remote) -> bool:
    """Whether no joint of the follower has turned for a while."""
    before = true_rad(virtual)
    time.sleep(0.2)
    return bool(np.abs(true_rad(virtual) - before).max() < 0.001)


def torque_of(virtual: Remote) -> list[str]:
    """The joints that a motor holds."""
    held = virtual.tell(State())["arms"]["follower"]["has_torque"]
    return [name for name in JOINT_NAMES if held[name]]
