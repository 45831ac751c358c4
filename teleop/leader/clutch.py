"""From the motion of a hand to actions: relative to where the hand took over, without jumps and without winding up.

All poses here are (4,): tool x, y, z [m] in the base frame, and the gripper [rad], positive is open.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot.settings import ControllerSettings
from teleop.leader.settings import LeaderSettings

Vector = NDArray[np.float64]
TOOL, GRIPPER = slice(0, 3), 3


class DeadZone:
    """Play between the hand and what it drives: small motions are lost, slow ones are not, only late by the play."""

    def __init__(self, play_m: float, play_rad: float) -> None:
        self._play_m, self._play_rad = play_m, play_rad
        self.pose: Vector = np.zeros(4)

    def begin(self, hand: Vector) -> None:
        """The hand is in the middle of its play."""
        self.pose = hand.copy()

    def moved(self, hand: Vector) -> Vector:
        """What the hand's pose (4,) drags along (4,)."""
        ahead = hand - self.pose
        ahead[TOOL] *= _beyond(float(np.linalg.norm(ahead[TOOL])), self._play_m)
        ahead[GRIPPER] *= _beyond(abs(float(ahead[GRIPPER])), self._play_rad)
        self.pose = self.pose + ahead
        return ahead


class Clutch:
    """Carries the follower's target along with the hand from where both were when it engaged.

    scale: (4,) what an action of 1 moves, see `Contract.action_scale`
    """

    def __init__(self, settings: LeaderSettings, controller: ControllerSettings, scale: NDArray[np.float32]) -> None:
        self._scale: Vector = scale.astype(np.float64)
        self._leash: Vector = np.array([settings.leash_m] * 3 + [settings.leash_rad])
        self._motion_scale = settings.motion_scale
        self._closed_rad, self._open_rad = controller.gripper_low_rad, controller.gripper_high_rad
        self._hand = DeadZone(settings.dead_zone_m, settings.dead_zone_rad)
        self._wanted: Vector = np.zeros(4)

    def engage(self, hand: Vector, target: Vector) -> None:
        """From here on the follower's target (4,) goes with the hand (4,)."""
        self._hand.begin(hand)
        self._wanted = target.copy()

    def action(self, hand: Vector, target: Vector) -> NDArray[np.float32]:
        """What brings the follower's target (4,) to where the hand (4,) wants it: (4,) of -1..1."""
        jaw_rad = float(self._hand.pose[GRIPPER])
        moved = self._hand.moved(hand)
        moved[TOOL] *= self._motion_scale
        moved[GRIPPER] *= self._gain(jaw_rad, opening=bool(moved[GRIPPER] > 0))
        # What is too far ahead slips: neither a box nor a fast hand is made up for later.
        wanted = np.clip(self._wanted + moved, target - self._leash, target + self._leash)
        wanted[GRIPPER] = np.clip(wanted[GRIPPER], self._closed_rad, self._open_rad)
        self._wanted = wanted
        return np.clip((wanted - target) / self._scale, -1.0, 1.0).astype(np.float32)

    def _gain(self, jaw_rad: float, *, opening: bool) -> float:
        """How far the follower's jaw goes for the hand's: such that both arrive at their end together."""
        end_rad = self._open_rad if opening else self._closed_rad
        left_rad = abs(end_rad - float(self._wanted[GRIPPER]))
        hand_left_rad = end_rad - jaw_rad if opening else jaw_rad - end_rad
        return max(1.0, left_rad / max(hand_left_rad, 1e-3))


def _beyond(distance: float, play: float) -> float:
    """The share of a distance that is more than the play."""
    return 1.0 - play / distance if distance > play else 0.0
