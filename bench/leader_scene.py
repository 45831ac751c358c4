"""What somebody beside a virtual station sees: both arms and the cube, when an episode begins, and what is to come."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.kinematics import Kinematics
from robot.settings import TaskSettings

Vector = NDArray[np.float64]

CUBE_JUMP_M, CUBE_JUMP_RAD = 0.005, 0.1  # farther between two looks: moved, by a jaw or by who begins an episode
START_SPARE_M, START_SPARE_RAD = 0.01, 0.1  # how far an arm at its start may be off
ARM_STILL_M, ARM_MOVED_M = 0.002, 0.01
FOLLOWER_DELAY_LOOKS = 3  # device, control loop and servos, at ten looks a second
CORRECTED_SHARE = 0.3  # of what was foreseen wrongly, at each look


@dataclass(frozen=True, slots=True)
class Scene:
    """One look at the station.

    follower_rad, leader_rad: (6,) joints
    follower: (4,) its tool [m] and gripper [rad]
    limp: no motor of the leader has torque
    cube: position [m], yaw [rad], and 1 while both jaws touch it (5,)
    """

    follower_rad: Vector
    leader_rad: Vector
    follower: Vector
    limp: bool
    cube: Vector

    @classmethod
    def of(cls, state: dict[str, Any], kinematics: Kinematics) -> Scene:
        """From what the station answers."""
        arms = state["arms"]
        follower_rad, leader_rad = (
            np.array([arms[arm]["joint_rad"][name] for name in JOINT_NAMES]) for arm in ("follower", "leader")
        )
        torque = arms["leader"]["has_torque"].values()
        follower = hand_pose(kinematics, follower_rad)
        return cls(follower_rad, leader_rad, follower, not any(torque), np.array(state["cube"]))

    @property
    def mirrors(self) -> bool:
        """Whether the leader has torque and stands as the follower does."""
        return not self.limp and float(np.abs(self.follower_rad - self.leader_rad).max()) < 0.08


def hand_pose(kinematics: Kinematics, joint_rad: Vector) -> Vector:
    """Tool [m] and gripper [rad] of an arm (4,)."""
    return np.append(kinematics.tool_pose(joint_rad).position_m, joint_rad[-1])


class EpisodeWatch:
    """Tells the beginning of an episode by the cube, which is laid elsewhere, and its kind by whether the arm waits.

    The cube is laid while the arm is at its start, out of reach of it.

    still_s: for how long the arm has stood still
    moved: it has gone elsewhere since the episode began
    lifted_s: for how long both jaws have held the cube above the table
    """

    def __init__(self, task: TaskSettings) -> None:
        self._task = task
        self.still_s = self.lifted_s = 0.0
        self.moved = False
        self._cube: Vector | None = None
        self._stands_m: Vector = np.zeros(3)
        self._began_m: Vector = np.zeros(3)
        self._rest_m = 0.0
        self._since_s = self._lifted_since_s = 0.0

    def sees_a_beginning(self, scene: Scene, now_s: float) -> bool:
        """Take a look in; whether an episode has begun since the last one."""
        cube_m, tool_m = scene.cube[:3], scene.follower[:3]
        began = self._cube is not None and _was_moved(self._cube, scene.cube) and self.at_start(scene)
        self._cube = scene.cube
        if began:
            self._began_m, self._rest_m = tool_m, float(cube_m[2])
        if began or np.linalg.norm(tool_m - self._stands_m) > ARM_STILL_M:
            self._stands_m, self._since_s = tool_m, now_s
        if began or scene.cube[4] < 0.5 or cube_m[2] < self._rest_m + 0.03:
            self._lifted_since_s = now_s
        self.still_s, self.lifted_s = now_s - self._since_s, now_s - self._lifted_since_s
        self.moved = not began and (self.moved or float(np.linalg.norm(tool_m - self._began_m)) > ARM_MOVED_M)
        return began

    def at_start(self, scene: Scene) -> bool:
        """Whether the arm is where episodes start."""
        off_m = np.abs(scene.follower[:3] - self._task.start_m) - self._task.start_noise_m
        off_rad = abs(float(scene.follower[3]) - self._task.start_gripper_rad)
        return bool((off_m < START_SPARE_M).all() and off_rad < START_SPARE_RAD)


def _was_moved(before: Vector, cube: Vector) -> bool:
    """Both are (5,), see `Scene.cube`."""
    turned_rad = abs((cube[3] - before[3] + np.pi) % (2 * np.pi) - np.pi)
    return bool(np.linalg.norm(cube[:2] - before[:2]) > CUBE_JUMP_M or turned_rad > CUBE_JUMP_RAD)


class Foresight:
    """Where the follower will be once it has done all that the hand has shown it: what a practised hand aims with.

    All poses are (4,): tool [m] and gripper [rad].
    """

    def __init__(self, hand: Vector, follower: Vector) -> None:
        self._offset = follower - hand
        self._foreseen: deque[Vector] = deque(maxlen=FOLLOWER_DELAY_LOOKS)

    def follower(self, hand: Vector, seen: Vector) -> Vector:
        """hand: where it is now; seen: where the follower is now. Once a look."""
        if len(self._foreseen) == FOLLOWER_DELAY_LOOKS:
            correction = CORRECTED_SHARE * (seen - self._foreseen[0])
            self._offset = self._offset + correction
            self._foreseen = deque((past + correction for past in self._foreseen), maxlen=FOLLOWER_DELAY_LOOKS)
        foreseen = hand + self._offset
        self._foreseen.append(foreseen)
        return foreseen
