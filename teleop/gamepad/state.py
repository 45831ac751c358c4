"""What a gamepad's controls are called, and how they stand at a moment, whichever backend tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# SDL's names. The face buttons go by their place on an Xbox pad: a below, b right, x left, y above.
Button = Literal[
    "a",
    "b",
    "x",
    "y",
    "back",
    "guide",
    "start",
    "leftstick",
    "rightstick",
    "leftshoulder",
    "rightshoulder",
    "dpup",
    "dpdown",
    "dpleft",
    "dpright",
]
# In SDL's order: the index of one is its number.
BUTTONS: tuple[Button, ...] = get_args(Button)


@dataclass(frozen=True, slots=True)
class PadState:
    """How the controls stand.

    left_x, right_x: -1..1, to the right is positive
    left_y, right_y: -1..1, away from the person is positive
    left_trigger, right_trigger: 0..1, pulled is 1
    """

    left_x: float = 0.0
    left_y: float = 0.0
    right_x: float = 0.0
    right_y: float = 0.0
    left_trigger: float = 0.0
    right_trigger: float = 0.0
    pressed: frozenset[Button] = frozenset()


AT_REST = PadState()
