"""One interface for the real, the simulated and the virtual arm: whoever sits above never knows which one it drives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

JOINT_NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@dataclass(frozen=True, slots=True)
class ArmReading:
    """What the arm and its cameras say now.

    joint_rad: (6,) in the order of `JOINT_NAMES`; the gripper's 0 is closed, positive is open
    frames: camera name -> native uint8 RGB (height, width, 3)
    sim_only: (S,) what only a simulator knows; empty on a real arm
    """

    joint_rad: NDArray[np.float64]
    frames: dict[str, NDArray[np.uint8]]
    sim_only: NDArray[np.float32]


class Arm(Protocol):
    """An SO-101 that takes joint targets at a fixed rate."""

    def read(self) -> ArmReading:
        """Measured joints and the latest frames. Never waits for a camera."""
        ...

    def command(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Send joint targets [rad] (6,) and let one control period pass (physics, or the absolute deadline)."""
        ...

    def reset(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Bring the arm to a start pose [rad] (6,), safely and without an operator."""
        ...

    def close(self) -> None:
        """Park, release torque, and free the devices. Safe to call twice."""
        ...
