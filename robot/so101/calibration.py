"""LeRobot's calibration of an arm, and the one place where ticks become radians of the model and back.

LeRobot reads a body joint as degrees from the middle of its calibrated range, and the gripper as a share of it. The
model's zero is the middle of each body joint too; the gripper's calibrated range is the model's, from closed to open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from policy.contract import Frozen
from robot.arm import JOINT_NAMES
from robot.so101.errors import CalibrationRefused
from robot.so101.registers import TICKS
from robot.so101.settings import BusSettings

Vector = NDArray[np.float64]
Ticks = NDArray[np.int64]
Role = Literal["follower", "leader"]

# The joints' ranges in the Menagerie MJCF [rad]; a test compares them. Here, so that MuJoCo is not needed for them.
MODEL_RANGES_RAD: Vector = np.array(
    [
        *((-1.91986, 1.91986), (-1.7453293, 1.7453293), (-1.69, 1.69)),
        *((-1.658063, 1.658063), (-2.7438473, 2.7438473), (-0.174533, 1.7453292)),
    ]
)
GRIPPER = JOINT_NAMES.index("gripper")
FULL_TURN_JOINT = "wrist_roll"  # LeRobot takes its range to be the whole turn
_RAD_PER_TICK = 2 * math.pi / TICKS
# LeRobot's folders below that of all calibrations.
_FOLDERS: dict[Role, tuple[str, str]] = {
    "follower": ("robots", "so_follower"),
    "leader": ("teleoperators", "so_leader"),
}


class JointCalibration(Frozen):
    """One joint as LeRobot's file has it.

    homing_offset: what the servo subtracts from its bare encoder [ticks]
    range_min, range_max: ends of the joint [ticks]
    """

    id: int
    drive_mode: int
    homing_offset: int
    range_min: int
    range_max: int


_FILE = TypeAdapter(dict[str, JointCalibration])


@dataclass(frozen=True, slots=True)
class Scale:
    """Ticks and radians of all joints of a calibration; everything is (6,) in the order of `JOINT_NAMES`."""

    low_ticks: Ticks
    high_ticks: Ticks
    zero_ticks: Vector
    rad_per_tick: Vector

    @classmethod
    def of(cls, joints: Mapping[str, JointCalibration]) -> Scale:
        """That of a sound calibration, see `robot.so101.lint`."""
        low = np.array([joints[name].range_min for name in JOINT_NAMES], np.int64)
        high = np.array([joints[name].range_max for name in JOINT_NAMES], np.int64)
        rad_per_tick = np.full(len(JOINT_NAMES), _RAD_PER_TICK)
        zero = (low + high) / 2
        closed_rad, open_rad = MODEL_RANGES_RAD[GRIPPER]
        rad_per_tick[GRIPPER] = (open_rad - closed_rad) / (high[GRIPPER] - low[GRIPPER])
        zero[GRIPPER] = low[GRIPPER] - closed_rad / rad_per_tick[GRIPPER]
        return cls(low, high, zero, rad_per_tick)

    def radians(self, ticks: NDArray[np.int64] | Vector) -> Vector:
        """Angles of the model [rad]."""
        return (ticks - self.zero_ticks) * self.rad_per_tick

    def ticks(self, joint_rad: Vector) -> Ticks:
        """The nearest position within the calibrated range."""
        nearest = np.rint(joint_rad / self.rad_per_tick + self.zero_ticks).astype(np.int64)
        return np.clip(nearest, self.low_ticks, self.high_ticks)


def calibration_path(settings: BusSettings, role: Role) -> Path:
    """Where LeRobot has the calibration of an arm, or would write it."""
    if settings.calibration_dir is not None:
        return settings.calibration_dir / f"{settings.id}.json"
    from lerobot.utils.constants import HF_LEROBOT_CALIBRATION

    folder = Path(HF_LEROBOT_CALIBRATION)
    for part in _FOLDERS[role]:
        folder /= part
    return folder / f"{settings.id}.json"


def load_calibration(path: Path) -> dict[str, JointCalibration]:
    """Read LeRobot's file. Raises `CalibrationRefused` where it is missing or something else."""
    cure = "calibrate the arm with `nudge calibrate`, or name its id and folder"
    try:
        joints = _FILE.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise CalibrationRefused(f"{path}: there is no calibration; {cure}") from error
    except (OSError, ValidationError) as error:
        raise CalibrationRefused(f"{path}: expected a calibration that LeRobot wrote, got {error}; {cure}") from error
    if set(joints) != set(JOINT_NAMES):
        raise CalibrationRefused(
            f"{path}: got the joints {', '.join(joints) or 'none'}, expected {', '.join(JOINT_NAMES)}; {cure}"
        )
    return {name: joints[name] for name in JOINT_NAMES}
