"""The one guard between any source of actions and the servos: what it changes it counts, what it doubts it refuses."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.errors import InvalidTarget
from robot.settings import ControllerSettings

Vector = NDArray[np.float64]


class SafetyGuard:
    """Clamps joint targets to the joints' limits and to a largest step, and counts each clamp by joint."""

    def __init__(self, settings: ControllerSettings, lower_rad: Vector, upper_rad: Vector) -> None:
        self._largest_step_rad = settings.largest_joint_step_rad
        self._lower_rad, self._upper_rad = lower_rad, upper_rad
        self.clamps: Counter[str] = Counter()

    def clamp(self, target_rad: Vector, measured_rad: Vector) -> Vector:
        """The nearest allowed target (6,) [rad]. Raises `InvalidTarget` when it is not a finite number."""
        if not np.isfinite(target_rad).all():
            index = int(np.argmax(~np.isfinite(target_rad)))
            raise InvalidTarget(
                f"joint {JOINT_NAMES[index]}: got the target {target_rad[index]} rad, expected a finite number; "
                f"the arm holds its last target"
            )
        within = np.clip(target_rad, self._lower_rad, self._upper_rad)
        near = np.clip(within, measured_rad - self._largest_step_rad, measured_rad + self._largest_step_rad)
        for index in np.flatnonzero(np.abs(within - target_rad) > 1e-9):
            self.clamps[f"limit.{JOINT_NAMES[index]}"] += 1
        for index in np.flatnonzero(np.abs(near - within) > 1e-9):
            self.clamps[f"step.{JOINT_NAMES[index]}"] += 1
        return near
