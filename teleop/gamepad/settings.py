"""Settings of the gamepad: which one, how its sticks move the tool, and which button does what."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from policy.contract import Frozen
from teleop.gamepad.state import Button

# A stick, and where it is pushed; `left` and `right` as the person who holds the pad sees them.
Push = Literal[
    "left_stick_forward",
    "left_stick_back",
    "left_stick_left",
    "left_stick_right",
    "right_stick_forward",
    "right_stick_back",
    "right_stick_left",
    "right_stick_right",
]
# GUID, name, then `control:input` pairs, as SDL_GameControllerAddMapping takes them. SDL says nothing of others.
MAPPING = re.compile(r"[0-9a-fA-F]{32},[^,\n]+(,[^,:\n]+:[^,\n]+)+,?")


class GamepadButtons(Frozen):
    """Which button does what, by SDL's names: those of an Xbox pad."""

    take_over: Button = Field(default="rightshoulder", description="Takes over from the policy, see `take_over`.")
    success: Button = Field(default="a", description="Ends the episode as a success.")
    failure: Button = Field(default="b", description="Ends the episode as a failure.")
    rerecord: Button = Field(default="x", description="Throws the episode away, to be made anew.")
    pause: Button = Field(default="start", description="The arm holds still; pressed again, it goes on.")
    emergency_stop: tuple[Button, ...] = Field(
        default=("back",), min_length=1, description="Each of these stops the arm at once."
    )

    @model_validator(mode="after")
    def _each_stands_once(self) -> Self:
        dumped = self.model_dump(exclude={"emergency_stop"})
        twice = [button for button, count in Counter((*dumped.values(), *self.emergency_stop)).items() if count > 1]
        if twice:
            raise ValueError(f"a button does one thing, got {', '.join(twice)} for several; give each its own")
        return self


class GamepadSettings(Frozen):
    """Which gamepad, and how its sticks move the tool."""

    backend: Literal["auto", "sdl", "hid"] = Field(
        default="auto",
        description="Who reads the pad: SDL, or the pad's own reports through hidapi; `auto`: hidapi where SDL sees "
        "none.",
    )
    device: str = Field(
        default="",
        description="Which pad, where there are several: part of its name, its GUID or its serial number, as `nudge "
        "gamepad --list` shows them.",
    )
    mapping: str = Field(
        default="",
        description="SDL's mapping string of a pad that it does not know or knows wrongly; `nudge gamepad --map` "
        "makes it.",
    )
    poll_hz: float = Field(default=200.0, ge=20, le=1000, description="How often the pad is looked at [Hz].")
    take_over: Literal["hold", "toggle"] = Field(
        default="hold",
        description="The person drives while the button is held down (let go, and the policy has the arm), or from one "
        "press to the next.",
    )
    buttons: GamepadButtons = Field(default=GamepadButtons(), description="Which button does what.")
    x: Push = Field(default="left_stick_forward", description="What moves the tool away from the base, +x.")
    y: Push = Field(default="left_stick_left", description="What moves it to the left as seen from the base, +y.")
    z: Push = Field(default="right_stick_forward", description="What moves it up, +z.")
    closing_trigger: Literal["left", "right"] = Field(
        default="right", description="Which trigger closes the gripper; the other one opens it."
    )
    speed: float = Field(
        default=0.6, gt=0, le=1, description="Action of a stick that is pushed to its end, as a share of 1."
    )
    gripper_speed: float = Field(
        default=1.0, gt=0, le=1, description="Action of a trigger that is pulled to its end, as a share of 1."
    )
    dead_zone: float = Field(default=0.12, ge=0, lt=1, description="Deflection of a stick that counts as none (0..1).")
    full_at: float = Field(
        default=0.95, gt=0, le=1, description="Deflection that counts as the end: worn sticks reach no more (0..1)."
    )
    exponent: float = Field(
        default=1.5,
        ge=1,
        le=5,
        description="How the action grows with the deflection; 1 is evenly, more is finer near the middle.",
    )

    @field_validator("mapping")
    @classmethod
    def _mapping_is_one(cls, mapping: str) -> str:
        if mapping and not MAPPING.fullmatch(mapping):
            raise ValueError(
                f"mapping: got {mapping!r}, expected a GUID of 32 hex digits, a name, and controls such as `a:b0`, "
                f"with commas between; `nudge gamepad --map` makes one"
            )
        return mapping

    @model_validator(mode="after")
    def _directions_make_sense(self) -> Self:
        if self.full_at <= self.dead_zone:
            raise ValueError(f"full_at: got {self.full_at}, expected more than the dead zone, {self.dead_zone}")
        axes = {name: axis_of(push)[0] for name, push in (("x", self.x), ("y", self.y), ("z", self.z))}
        if len(set(axes.values())) < len(axes):
            raise ValueError(f"x, y, z: got {self.x}, {self.y}, {self.z}, expected three different axes of the sticks")
        return self


def axis_of(push: Push) -> tuple[str, float]:
    """The axis of `PadState` that a push moves, and the sign of it."""
    stick, way = push.split("_stick_")
    return f"{stick}_{'y' if way in ('forward', 'back') else 'x'}", 1.0 if way in ("forward", "right") else -1.0
