"""What a hand tells by what it does to the leader: it takes hold of it, or it keeps still."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from teleop.leader.settings import LeaderSettings

Vector = NDArray[np.float64]


class GrabDetector:
    """Tells a hand from a motor that is late: a joint in a hand is beyond all of its goals of the last moment."""

    def __init__(self, settings: LeaderSettings) -> None:
        self._settings = settings
        self._goals: deque[tuple[float, Vector]] = deque()
        self._reads = 0

    def begin(self) -> None:
        """Forget what was seen: the torque has just come on."""
        self._goals.clear()
        self._reads = 0

    def aim(self, goal_rad: Vector, now_s: float) -> None:
        """Goals (6,) [rad] have been sent."""
        self._goals.append((now_s, goal_rad.copy()))

    def sees_a_hand(self, joint_rad: Vector, load: Vector, now_s: float) -> bool:
        """Whether the joints (6,) [rad] have been in a hand for long enough. load: share of the torque (6,), -1..1."""
        pulled = self._deflection_rad(joint_rad, now_s) > self._settings.grab_rad
        pressed = 0 < self._settings.grab_load < float(np.abs(load).max())
        self._reads = self._reads + 1 if pulled or pressed else 0
        return self._reads >= self._settings.grab_reads

    def _deflection_rad(self, joint_rad: Vector, now_s: float) -> float:
        """Largest distance of a joint from where its goals of the window have been."""
        # The last goals before the window were in force when it began.
        while len(self._goals) > 1 and self._goals[1][0] <= now_s - self._settings.grab_window_s:
            self._goals.popleft()
        if not self._goals:
            return 0.0
        goals_rad = np.array([goal for _, goal in self._goals])  # (N, 6)
        beyond = np.maximum(goals_rad.min(axis=0) - joint_rad, joint_rad - goals_rad.max(axis=0))
        return float(beyond.max())


class Stillness:
    """For how long a hand has kept the leader where it is."""

    def __init__(self, still_rad: float) -> None:
        self._still_rad = still_rad
        self._pose_rad: Vector | None = None
        self._since_s = 0.0

    def begin(self) -> None:
        """Count anew."""
        self._pose_rad = None

    def seconds(self, joint_rad: Vector, now_s: float) -> float:
        """Since when no joint (6,) [rad] has gone farther than `still_rad` from where it was then [s]."""
        if self._pose_rad is None or np.abs(joint_rad - self._pose_rad).max() > self._still_rad:
            self._pose_rad, self._since_s = joint_rad.copy(), now_s
        return now_s - self._since_s
