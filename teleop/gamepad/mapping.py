"""Mapping strings: how SDL is told which control of a pad is which, found out from what a person moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MOVED = 0.6  # of an axis, -1..1: far more than any noise
HAT_BITS = {(0, 1): 1, (1, 0): 2, (0, -1): 4, (-1, 0): 8}  # pygame's (x, y) of a hat, up is 1; SDL's bit

Control = Literal["stick", "trigger", "button"]


@dataclass(frozen=True, slots=True)
class RawState:
    """How a joystick stands: its axes -1..1, its buttons, its hats (x, y) of -1, 0, 1."""

    axes: tuple[float, ...]
    buttons: tuple[bool, ...]
    hats: tuple[tuple[int, int], ...]

    def is_near(self, other: RawState) -> bool:
        """Whether nothing is moved or pressed from one to the other."""
        axes = all(abs(one - two) < MOVED / 2 for one, two in zip(self.axes, other.axes, strict=True))
        return axes and self.buttons == other.buttons and self.hats == other.hats


def moved_input(rest: RawState, moved: RawState, control: Control, *, grows: bool = True) -> str | None:
    """SDL's name of the input that was moved: `b3`, `h0.1`, `a1`, `+a1`; None where none was that suits the control.

    rest: how the joystick stood before or after
    grows: for a stick, whether SDL's axis grows with what was asked for: to the right, towards the person
    """
    axis = _axis(rest, moved)
    if control == "stick":
        if axis is None:
            return None
        return f"a{axis}" if (moved.axes[axis] > rest.axes[axis]) == grows else f"a{axis}~"
    of_axis = None if axis is None else _of_axis(axis, rest.axes[axis], moved.axes[axis])
    inputs = [*_buttons(rest, moved), *_hats(rest, moved)]
    # Triggers of many pads are an axis and a button: the axis tells how far.
    ordered = [of_axis, *inputs] if control == "trigger" else [*inputs, of_axis]
    return next((it for it in ordered if it is not None), None)


def mapping_string(guid: str, name: str, inputs: Mapping[str, str]) -> str:
    """The mapping of a pad. inputs: SDL's name of a control, and of the input that it is."""
    return ",".join([guid, name.replace(",", " "), *(f"{control}:{it}" for control, it in inputs.items())]) + ","


def _axis(rest: RawState, moved: RawState) -> int | None:
    """The axis that went furthest."""
    went = [abs(after - before) for before, after in zip(rest.axes, moved.axes, strict=True)]
    return went.index(max(went)) if went and max(went) > MOVED else None


def _of_axis(axis: int, rest: float, moved: float) -> str:
    """The whole of an axis that rests at one of its ends, else the half of it that was moved into."""
    if rest < -MOVED:
        return f"a{axis}"
    if rest > MOVED:
        return f"a{axis}~"
    return f"+a{axis}" if moved > rest else f"-a{axis}"


def _buttons(rest: RawState, moved: RawState) -> list[str]:
    pairs = enumerate(zip(rest.buttons, moved.buttons, strict=True))
    return [f"b{index}" for index, (before, after) in pairs if after and not before]


def _hats(rest: RawState, moved: RawState) -> list[str]:
    pairs = enumerate(zip(rest.hats, moved.hats, strict=True))
    return [f"h{index}.{HAT_BITS[after]}" for index, (before, after) in pairs if before != after and after in HAT_BITS]
