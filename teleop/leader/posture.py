"""Whether the leader is stiff or limp: the loop says so at each tick, and a grab does before the loop knows of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from teleop.takeover import Control

# A grab that the loop has heard of without giving the arm away was none: nobody may drive at that time.
GRAB_COUNTS_S = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """What the loop told at a tick.

    follower_rad: (6,) measured joints
    told_s: when [monotonic s]
    """

    control: Control
    follower_rad: NDArray[np.float64]
    told_s: float


class Posture:
    """Stiff while the policy acts, limp in a hand, and limp until the loop has said anything."""

    def __init__(self) -> None:
        self._grabbed_s: float | None = None

    def grabbed(self, now_s: float) -> None:
        """A hand has taken hold of it: limp, and the loop has a moment to agree."""
        self._grabbed_s = now_s

    def is_stiff(self, order: Order | None) -> bool:
        """How it should be."""
        if order is None:
            return False
        if order.control.by_hand:
            self._grabbed_s = None
            return False
        if self._grabbed_s is not None and order.told_s < self._grabbed_s + GRAB_COUNTS_S:
            return False
        self._grabbed_s = None
        return True
