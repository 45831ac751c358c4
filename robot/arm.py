"""One interface for the real, the simulated and the virtual arm: whoever sits above never knows which one it drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

JOINT_NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@dataclass(frozen=True, slots=True)
class ServoReading:
    """What the servos say of themselves, each (6,) in the order of `JOINT_NAMES`.

    velocity_rad_s: [rad/s]
    load: share of the largest torque, -1..1
    temperature_c: [°C]
    voltage_v: [V]
    status: the status byte; 0 is sound, its bits are `robot.so101.registers.StatusBit`
    """

    velocity_rad_s: NDArray[np.float64]
    load: NDArray[np.float64]
    temperature_c: NDArray[np.float64]
    voltage_v: NDArray[np.float64]
    status: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ArmReading:
    """What the arm and its cameras say now.

    joint_rad: (6,) in the order of `JOINT_NAMES`; the gripper's 0 is closed, positive is open
    frames: camera name -> native uint8 RGB (height, width, 3)
    sim_only: (S,) what only a simulator knows; empty on a real arm
    frame_age_s: camera name -> how long ago its frame was seen for the first time; empty where frames are drawn now
    servos: what the servos say of themselves; None where there are none
    """

    joint_rad: NDArray[np.float64]
    frames: dict[str, NDArray[np.uint8]]
    sim_only: NDArray[np.float32]
    frame_age_s: Mapping[str, float] = field(default_factory=dict)
    servos: ServoReading | None = None


class JointBus(Protocol):
    """What a motion needs of an arm: joints in, joints out. Both raise `ArmFault` when the arm does not answer."""

    def read_joints(self) -> NDArray[np.float64]:
        """Measured joints (6,) [rad]."""
        ...

    def write_goals(self, joint_rad: NDArray[np.float64]) -> None:
        """Goal positions (6,) [rad], at once and unramped."""
        ...


class Arm(JointBus, Protocol):
    """An SO-101 that takes joint targets at a fixed rate. Any of these may raise `ArmFault`."""

    def read(self) -> ArmReading:
        """Measured joints and the latest frames. Never waits for a camera."""
        ...

    def command(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Send joint targets [rad] (6,). A simulated arm lets one control period pass; a real one returns at once."""
        ...

    def reset(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Bring the arm to a start pose [rad] (6,), safely and without an operator."""
        ...

    def recover(self) -> None:
        """After an `ArmFault`: make the arm usable again, from wherever it is now; raises it again while it is not."""
        ...

    def park(self) -> None:
        """Travel to rest, as far as the joints have torque; `release` comes next."""
        ...

    def release(self) -> None:
        """Switch all torque off at once: the arm falls. `recover` stiffens it again."""
        ...

    def close(self) -> None:
        """Park, release torque, and free the devices. Safe to call twice."""
        ...
