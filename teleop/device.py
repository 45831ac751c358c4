"""What a device that drives the arm is to the operator's session: leader arm, gamepad, keyboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from teleop.takeover import Control, OperatorView


@dataclass(frozen=True, slots=True)
class HandReading:
    """What the hand on a device asks for at a tick.

    action: (A,) of -1..1 in the policy's units; zeros while the hand is still
    ready: the device follows the hand; a leader arm that still has its torque does not
    settled: nothing is left of the last takeover; a leader arm mirrors the follower again
    age_s: how long ago the device was heard last; infinite when it is gone
    """

    action: NDArray[np.float32]
    ready: bool = True
    settled: bool = True
    age_s: float = 0.0


class TeleopDevice(Protocol):
    """A device with a thread of its own, entered as a context. What its keys mean goes into the `EventLatch`.

    None of the calls waits, none raises once it is entered: a device that is gone is told by `HandReading.age_s`, and
    comes back by itself.
    """

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    def __enter__(self) -> Self:
        """Find the device. Raises `TeleopError` with the cure where there is none."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Let go of it."""
        ...

    def read(self, view: OperatorView) -> HandReading:
        """What the hand asks for since the last call, as an action upon the follower that `view` shows."""
        ...

    def follow(self, control: Control, view: OperatorView) -> None:
        """Hear, at each tick after `read`, who is in control, and how the follower stands."""
        ...
