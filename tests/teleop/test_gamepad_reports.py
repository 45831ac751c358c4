"""What the reports of common pads say, byte for byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from teleop.gamepad.hid_reports import model_of
from teleop.gamepad.state import BUTTONS, Button, PadState


@dataclass(frozen=True)
class Case:
    """A kind of report: whose it is, how it looks at rest, and which bytes each control changes.

    sticks: first byte of left x, left y, right x, right y
    triggers: bytes to set, and their values when pulled, left and right
    hat: byte; buttons: byte and its whole value when only that button is pressed
    """

    name: str
    ids: tuple[int, int]
    rest: bytes
    sticks: tuple[int, int, int, int]
    triggers: tuple[dict[int, int], dict[int, int]]
    hat: int
    buttons: dict[Button, tuple[int, int]]
    hat_up: int = 0
    wide: bool = False
    sealed: bool = False  # ends in a checksum

    def report(self, changes: dict[int, int] | None = None) -> bytes:
        data = bytearray(self.rest)
        for byte, value in (changes or {}).items():
            data[byte] = value
        if self.sealed:
            data[-4:] = struct.pack("<I", zlib.crc32(b"\xa1" + bytes(data[:-4])))
        return bytes(data)

    def state(self, changes: dict[int, int] | None = None) -> PadState:
        model, report = model_of(*self.ids), self.report(changes)
        assert model is not None
        layout = model.layout_of(report)
        assert layout is not None
        return layout.state(report)


def padded(start: str, length: int) -> bytes:
    return bytes.fromhex(start).ljust(length, b"\x00")


SONY_BUTTONS: dict[Button, tuple[int, int]] = {
    "x": (5, 0x18),  # square; the hat at rest is 8
    "a": (5, 0x28),
    "b": (5, 0x48),
    "y": (5, 0x88),
    "leftshoulder": (6, 0x01),
    "rightshoulder": (6, 0x02),
    "back": (6, 0x10),  # share
    "start": (6, 0x20),  # options
    "leftstick": (6, 0x40),
    "rightstick": (6, 0x80),
    "guide": (7, 0x01),
}


def later(buttons: dict[Button, tuple[int, int]], by: int) -> dict[Button, tuple[int, int]]:
    return {button: (byte + by, value) for button, (byte, value) in buttons.items()}


DUALSHOCK4 = Case(
    "DualShock 4, USB",
    (0x054C, 0x09CC),
    padded("01 80 80 80 80 08 00 00 00 00", 64),
    (1, 2, 3, 4),
    ({8: 0xFF, 6: 0x04}, {9: 0xFF, 6: 0x08}),  # pulled, they are buttons too
    5,
    SONY_BUTTONS,
)
DUALSENSE = Case(
    "DualSense, USB",
    (0x054C, 0x0CE6),
    padded("01 80 80 80 80 00 00 17 08 00 00 00", 64),
    (1, 2, 3, 4),
    ({5: 0xFF}, {6: 0xFF}),
    8,
    later(SONY_BUTTONS, 3),
)
XBOX = Case(
    "Xbox One S, Bluetooth, firmware 5",
    (0x045E, 0x0B20),
    padded("01 00 80 00 80 00 80 00 80 00 00 00 00 00 00 00 00", 17),
    (1, 3, 5, 7),
    ({9: 0xFF, 10: 0x03}, {11: 0xFF, 12: 0x03}),
    13,
    {
        "a": (14, 0x01),
        "b": (14, 0x02),
        "x": (14, 0x08),
        "y": (14, 0x10),
        "leftshoulder": (14, 0x40),
        "rightshoulder": (14, 0x80),
        "back": (15, 0x04),
        "start": (15, 0x08),
        "guide": (15, 0x10),
        "leftstick": (15, 0x20),
        "rightstick": (15, 0x40),
    },
    hat_up=1,
    wide=True,
)
F310 = Case(
    "Logitech F310",
    (0x046D, 0xC216),
    bytes.fromhex("80 80 80 80 08 00 04 ff"),
    (0, 1, 2, 3),
    ({5: 0x04}, {5: 0x08}),
    4,
    {
        "x": (4, 0x18),
        "a": (4, 0x28),
        "b": (4, 0x48),
        "y": (4, 0x88),
        "leftshoulder": (5, 0x01),
        "rightshoulder": (5, 0x02),
        "back": (5, 0x10),
        "start": (5, 0x20),
        "leftstick": (5, 0x40),
        "rightstick": (5, 0x80),
    },
)
CASES = (
    DUALSHOCK4,
    replace(DUALSHOCK4, name="DualShock 4, Bluetooth, simple", rest=bytes.fromhex("01 80 80 80 80 08 00 00 00 00")),
    replace(
        DUALSHOCK4,
        name="DualShock 4, Bluetooth",
        rest=padded("11 c0 00 80 80 80 80 08 00 00 00 00", 78),
        sticks=(3, 4, 5, 6),
        triggers=({10: 0xFF}, {11: 0xFF}),
        hat=7,
        buttons=later(SONY_BUTTONS, 2),
        sealed=True,
    ),
    DUALSENSE,
    replace(
        DUALSHOCK4,
        name="DualSense, Bluetooth, simple",
        ids=(0x054C, 0x0CE6),
        rest=bytes.fromhex("01 80 80 80 80 08 00 00 00 00"),
    ),
    replace(
        DUALSENSE,
        name="DualSense, Bluetooth",
        rest=padded("31 41 80 80 80 80 00 00 01 08 00 00 00", 78),
        sticks=(2, 3, 4, 5),
        triggers=({6: 0xFF}, {7: 0xFF}),
        hat=9,
        buttons=later(SONY_BUTTONS, 4),
        sealed=True,
    ),
    XBOX,
    replace(
        XBOX,
        name="Xbox One S, Bluetooth, firmware 4",
        ids=(0x045E, 0x02FD),
        buttons=XBOX.buttons | {"back": (16, 0x01)},
    ),
    replace(
        XBOX,
        name="Xbox One S, Bluetooth, firmware 3",
        ids=(0x045E, 0x02E0),
        rest=XBOX.rest[:16],
        buttons={
            "a": (14, 0x01),
            "b": (14, 0x02),
            "x": (14, 0x04),
            "y": (14, 0x08),
            "leftshoulder": (14, 0x10),
            "rightshoulder": (14, 0x20),
            "back": (14, 0x40),
            "start": (14, 0x80),
            "leftstick": (15, 0x01),
            "rightstick": (15, 0x02),
        },
    ),
    replace(XBOX, name="Xbox Series, Bluetooth", ids=(0x045E, 0x0B13)),
    F310,
    replace(
        F310,
        name="Logitech F710",
        ids=(0x046D, 0xC219),
        rest=bytes.fromhex("01 80 80 80 80 08 00 06"),
        sticks=(1, 2, 3, 4),
        triggers=({6: 0x04}, {6: 0x08}),
        hat=5,
        buttons=later(F310.buttons, 1),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestEveryPad:
    def test_at_rest_nothing_is_asked_for(self, case: Case) -> None:
        assert case.state() == PadState()

    def test_sticks_have_their_signs_and_ends(self, case: Case) -> None:
        made: tuple[Callable[[float], PadState], ...] = (
            lambda value: PadState(left_x=value),
            lambda value: PadState(left_y=-value),  # a low y is away from the person
            lambda value: PadState(right_x=value),
            lambda value: PadState(right_y=-value),
        )
        for make, byte in zip(made, case.sticks, strict=True):
            assert case.state(dict.fromkeys((byte, byte + case.wide), 0x00)) == make(-1.0)
            assert case.state(dict.fromkeys((byte, byte + case.wide), 0xFF)) == make(1.0)

    def test_triggers_are_pulled(self, case: Case) -> None:
        left, right = case.triggers
        assert case.state(left) == PadState(left_trigger=1.0)
        assert case.state(right) == PadState(right_trigger=1.0)

    def test_every_button_is_itself(self, case: Case) -> None:
        hats = {button for button in BUTTONS if button.startswith("dp")}
        assert set(BUTTONS) - hats - set(case.buttons) <= {"guide"}, "not every pad tells of that one"
        for button, (byte, value) in case.buttons.items():
            assert case.state({byte: value}) == PadState(pressed=frozenset({button}))

    def test_the_hat_goes_round(self, case: Case) -> None:
        ways: list[set[str]] = [
            {"dpup"},
            {"dpup", "dpright"},
            {"dpright"},
            {"dpright", "dpdown"},
            {"dpdown"},
            {"dpdown", "dpleft"},
            {"dpleft"},
            {"dpleft", "dpup"},
        ]
        for index, pressed in enumerate(ways):
            assert case.state({case.hat: case.hat_up + index}).pressed == pressed


def test_a_half_pulled_trigger_is_half() -> None:
    assert DUALSHOCK4.state({8: 0x80}).left_trigger == pytest.approx(128 / 255)
    # 0x0200 of 0x03FF
    assert XBOX.state({12: 0x02}).right_trigger == pytest.approx(512 / 1023)


@pytest.mark.parametrize("case", [case for case in CASES if case.sealed], ids=lambda case: case.name)
def test_a_report_that_came_to_harm_or_has_no_controls_is_left_alone(case: Case) -> None:
    model = model_of(*case.ids)
    assert model is not None
    harmed = bytearray(case.report())
    harmed[6] ^= 0x10
    assert model.layout_of(bytes(harmed)) is None
    assert model.layout_of(case.report({1: 0x00})) is None, "sound only"


@pytest.mark.parametrize("report", [b"", b"\x01", b"\x04\x88", bytes(200)])
def test_other_reports_are_left_alone(report: bytes) -> None:
    for case in CASES:
        model = model_of(*case.ids)
        assert model is not None
        assert model.layout_of(report) is None


def test_a_share_button_is_not_back() -> None:
    series = next(case for case in CASES if case.name.startswith("Xbox Series"))
    assert series.state({16: 0x01}) == PadState()


def test_an_unknown_pad_has_no_model() -> None:
    assert model_of(0x1209, 0x0001) is None
