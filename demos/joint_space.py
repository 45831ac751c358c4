"""Joint angles of LeRobot as observations and actions of the contract: no files here, only numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from demos.errors import ExchangeRefused
from robot.arm import JOINT_NAMES
from robot.so101.calibration import GRIPPER, MODEL_RANGES_RAD, JointCalibration, Scale
from robot.so101.registers import TICKS

if TYPE_CHECKING:
    from robot.kinematics import Kinematics
    from robot.settings import ControllerSettings

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

BODY = slice(0, 5)
CLIPPED_M, CLIPPED_RAD = 1e-3, 0.01  # smaller differences between a wish and what is executed are rounding
BEYOND_RAD = math.radians(8.0)  # an arm that is calibrated by hand goes so far beyond the model's limits


@dataclass(frozen=True, slots=True)
class Motion:
    """An episode of T steps in the contract's terms.

    proprioception: float32 (T + 1, 13), the last one seen after the last step
    action: float32 (T, 4), as our controller would have executed it
    clipped: (T,) whether a step or the leash was too short for what the dataset commands
    outside, wide: (T,) whether it sends the tool out of the controller's box, or the jaw beyond its limits
    lag_m: (T,) how far the target is behind the dataset's afterwards [m]
    tilt_rad: (T + 1,) of the measured tool
    """

    proprioception: NDArray[np.float32]
    action: NDArray[np.float32]
    clipped: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    wide: NDArray[np.bool_]
    lag_m: Vector
    tilt_rad: Vector


def joint_order(names: Sequence[str], where: str) -> list[int]:
    """Where each of our joints stands among names such as `shoulder_pan.pos`. Raise `ExchangeRefused` without one."""
    if any(name.startswith("main_") for name in names):
        raise ExchangeRefused(
            f"{where}: got the dimensions {', '.join(names)}, as LeRobot called them until June 2025, when zero was "
            f"the stretched arm (its pull request 777); bring the angles to the middle of each joint first"
        )
    bare = [name.removesuffix(".pos") for name in names]
    if sorted(bare) != sorted(JOINT_NAMES):
        raise ExchangeRefused(
            f"{where}: got the dimensions {', '.join(names) or 'without names'}, expected the six joints "
            f"{', '.join(f'{name}.pos' for name in JOINT_NAMES)}; only joint angles of an SO-101 can be imported"
        )
    return [bare.index(name) for name in JOINT_NAMES]


def to_radians(
    values: Vector, units: Literal["degrees", "normalised"], calibration: Mapping[str, JointCalibration] | None
) -> Vector:
    """LeRobot's joint values (N, 6) as angles of the model [rad].

    Degrees count from the middle of the calibrated range, normalised values are -100..100 of it; the gripper is 0..100.
    calibration: of that arm; without it its ranges are taken to be the model's
    """
    low, high = MODEL_RANGES_RAD.T if calibration is None else _ranges_rad(Scale.of(calibration))
    radians = np.empty(values.shape)
    if units == "degrees":  # LeRobot takes a turn to have one tick less than the servo does
        radians[:, BODY] = values[:, BODY] * (2 * math.pi / 360 * (TICKS - 1) / TICKS)
    else:
        radians[:, BODY] = (low + (values + 100) / 200 * (high - low))[:, BODY]
    radians[:, GRIPPER] = low[GRIPPER] + values[:, GRIPPER] / 100 * (high - low)[GRIPPER]
    return radians


def require_plausible(joint_rad: Vector, where: str) -> None:
    """Raise `ExchangeRefused` for joint angles (N, 6) [rad] that no calibrated SO-101 can have."""
    if not np.isfinite(joint_rad).all():
        raise ExchangeRefused(f"{where}: not all joint values are finite numbers; the recording is damaged")
    low, high = MODEL_RANGES_RAD.T
    beyond = np.maximum(low - joint_rad, joint_rad - high)  # (N, 6)
    row, joint = np.unravel_index(np.argmax(beyond), beyond.shape)
    if beyond[row, joint] > BEYOND_RAD:
        raise ExchangeRefused(
            f"{where}: {JOINT_NAMES[joint]} would be at {math.degrees(joint_rad[row, joint]):.0f} deg, the joint goes "
            f"from {math.degrees(low[joint]):.0f} to {math.degrees(high[joint]):.0f}; the units are others, or the arm "
            f"was calibrated before LeRobot put the zero into the middle of each joint"
        )


def resample(frames: int, fps: float, control_hz: float) -> tuple[Indices, Indices]:
    """Which rows of an episode are seen, and which hold the last command of each step.

    returns: seen (T + 1,), the last one after the last step; commanded (T,), the row before the next one that is seen
    """
    if fps < control_hz:
        raise ExchangeRefused(
            f"rate: got {fps:g} rows per second, the contract asks for {control_hz:g}; what was between two rows "
            f"cannot be known"
        )
    count = math.floor((frames - 1) * control_hz / fps + 1e-9) + 1 if frames else 0
    seen = np.rint(np.arange(count) * (fps / control_hz)).astype(np.int64)
    seen = seen[seen < frames]
    return seen, seen[1:] - 1


def to_motion(
    measured_rad: Vector, commanded_rad: Vector, kinematics: Kinematics, settings: ControllerSettings, scale: Vector
) -> Motion:
    """Tool deltas of commanded joints, executed as our controller would.

    measured_rad: (T + 1, 6) at each observation [rad]; commanded_rad: (T, 6) the last command of each step [rad]
    scale: (4,) what one unit of action means [m, m, m, rad]

    The target starts at the measured pose and is integrated; what a step cannot reach, the next ones catch up with.
    """
    steps = len(commanded_rad)
    target = np.append(kinematics.tool_pose(measured_rad[0]).position_m, measured_rad[0, GRIPPER])  # (4,)
    low = np.append(settings.box_low_m, settings.gripper_low_rad)
    high = np.append(settings.box_high_m, settings.gripper_high_rad)
    leash = np.array([*3 * [settings.leash_m], np.inf])
    tolerance = np.array([*3 * [CLIPPED_M], CLIPPED_RAD])
    proprioception, action = np.empty((steps + 1, 13)), np.empty((steps, 4), np.float32)
    clipped, beyond, lag_m = np.empty(steps, bool), np.empty((steps, 4), bool), np.empty(steps)
    tilt_rad = np.empty(steps + 1)
    for index, joint_rad in enumerate(measured_rad):
        pose = kinematics.tool_pose(joint_rad)
        tool = np.append(pose.position_m, joint_rad[GRIPPER])
        proprioception[index] = np.concatenate([joint_rad, pose.position_m, target - tool])
        tilt_rad[index] = math.acos(np.clip(-pose.approach[2], -1.0, 1.0))
        if index == steps:
            break
        command_rad = commanded_rad[index]
        wanted = np.append(kinematics.tool_pose(command_rad).position_m, command_rad[GRIPPER])
        within = np.clip(wanted, low, high)
        near = np.clip(np.clip(within, tool - leash, tool + leash), low, high)
        action[index] = np.clip((near - target) / scale, -1.0, 1.0)
        target = target + action[index] * scale
        beyond[index] = np.abs(wanted - within) > tolerance
        clipped[index] = (np.abs(within - target) > tolerance).any()
        lag_m[index] = np.linalg.norm((within - target)[:3])
    outside, wide = np.asarray(beyond[:, :3].any(axis=1)), beyond[:, 3]
    return Motion(proprioception.astype(np.float32), action, clipped, outside, wide, lag_m, tilt_rad)


def _ranges_rad(scale: Scale) -> tuple[Vector, Vector]:
    return scale.radians(scale.low_ticks), scale.radians(scale.high_ticks)
