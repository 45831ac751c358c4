"""Where the leader is to stand while the policy acts: beside the follower, and on its way there without haste."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Mirror:
    """Goals (6,) [rad] that walk towards the follower's joints, no faster than a person likes to see.

    They stay near the measured joints, too: who holds the leader back and lets go of it is not hit.
    """

    def __init__(self, speed_rad_s: float, lead_rad: float) -> None:
        self._speed_rad_s, self._lead_rad = speed_rad_s, lead_rad
        self.goal_rad: Vector = np.zeros(6)

    def begin(self, measured_rad: Vector) -> None:
        """Stand where it is."""
        self.goal_rad = measured_rad.copy()

    def step(self, follower_rad: Vector, measured_rad: Vector, elapsed_s: float) -> Vector:
        """The next goals, `elapsed_s` after the last ones."""
        farthest = self._speed_rad_s * elapsed_s
        goal_rad = self.goal_rad + np.clip(follower_rad - self.goal_rad, -farthest, farthest)
        self.goal_rad = np.clip(goal_rad, measured_rad - self._lead_rad, measured_rad + self._lead_rad)
        return self.goal_rad
