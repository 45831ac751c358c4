"""The reports of common pads, byte for byte. Sources: the drivers of Linux and SDL, and the pads' report descriptors.

DualShock 4, DualSense: drivers/hid/hid-playstation.c of Linux (structs dualshock4_input_report_common and _bt,
dualsense_input_report; ps_check_crc32), SDL's SDL_hidapi_ps4.c and SDL_hidapi_ps5.c (simple reports over Bluetooth).
Xbox One S and Series over Bluetooth: SDL's SDL_hidapi_xboxone.c (HandleButtons16, HandleButtons, HandleStatePacket).
Logitech F310, F710 in D mode: the descriptor (four axes of 8 bit, a hat of 4, twelve buttons; the F710 numbers its
reports), and the order of the buttons in SDL_GameControllerDB.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from teleop.gamepad.state import Button, PadState

# The ways of a hat, clockwise from up.
HAT: tuple[tuple[Button, ...], ...] = (
    ("dpup",),
    ("dpup", "dpright"),
    ("dpright",),
    ("dpright", "dpdown"),
    ("dpdown",),
    ("dpdown", "dpleft"),
    ("dpleft",),
    ("dpleft", "dpup"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a report each control stands; bytes count from 0, the report's number included where it has one.

    number: first byte of the report; None where the pad numbers none
    sizes: shortest and longest report of this layout [bytes]
    sticks: bytes of left x, left y, right x, right y; y grows towards the person
    wide: a stick has 16 bits, low byte first, instead of 8
    triggers: byte and mask of left and right, of 16 bits, low byte first
    hat, hat_up: the byte with the hat in its low four bits, and its value for up
    bits: byte, mask and button
    streams: such reports come at rest too
    present: byte and mask of the bit that says that the report has controls at all
    checked: the last four bytes are the CRC-32 of what went over the air, 0xA1 and the report
    """

    number: int | None
    sizes: tuple[int, int]
    sticks: tuple[int, int, int, int]
    triggers: tuple[tuple[int, int], tuple[int, int]]
    hat: int
    bits: tuple[tuple[int, int, Button], ...]
    wide: bool = False
    hat_up: int = 0
    streams: bool = False
    present: tuple[int, int] | None = None
    checked: bool = False

    def fits(self, report: bytes) -> bool:
        """Whether a report is of this layout, unharmed, and tells of the controls."""
        numbered = self.number is None or report[0] == self.number
        sized = self.sizes[0] <= len(report) <= self.sizes[1]
        return (
            numbered
            and sized
            and (self.present is None or bool(report[self.present[0]] & self.present[1]))
            and (not self.checked or zlib.crc32(b"\xa1" + report[:-4]) == int.from_bytes(report[-4:], "little"))
        )

    def state(self, report: bytes) -> PadState:
        """How the controls stand."""
        left_x, left_y, right_x, right_y = (self._stick(report, byte) for byte in self.sticks)
        left, right = ((_word(report, byte) & mask) / mask for byte, mask in self.triggers)
        way = (report[self.hat] & 0x0F) - self.hat_up
        hat = HAT[way] if 0 <= way < len(HAT) else ()
        pressed = frozenset(hat) | {button for byte, mask, button in self.bits if report[byte] & mask}
        return PadState(left_x, -left_y, right_x, -right_y, left, right, pressed)

    def _stick(self, report: bytes, byte: int) -> float:
        value, middle = (_word(report, byte), 0x8000) if self.wide else (report[byte], 0x80)
        return max(-1.0, (value - middle) / (middle - 1))


@dataclass(frozen=True, slots=True)
class PadModel:
    """A pad, by the numbers of its USB or Bluetooth identity, and the reports that it may send."""

    name: str
    ids: tuple[tuple[int, int], ...]  # vendor, product
    layouts: tuple[Layout, ...]

    def layout_of(self, report: bytes) -> Layout | None:
        """The layout of a report; None for one that tells nothing of the controls: battery, audio."""
        return next((it for it in self.layouts if report and it.fits(report)), None)


def _word(report: bytes, byte: int) -> int:
    return int.from_bytes(report[byte : byte + 2], "little")


def _bits(byte: int, *buttons: Button | None) -> tuple[tuple[int, int, Button], ...]:
    """Eight buttons of a byte, from its lowest bit; None for a bit that is something else."""
    return tuple((byte, 1 << bit, button) for bit, button in enumerate(buttons) if button is not None)


def _shifted(layout: Layout, by: int, **changes: object) -> Layout:
    """The same controls, so many bytes later."""
    (left, left_mask), (right, right_mask) = layout.triggers
    left_x, left_y, right_x, right_y = layout.sticks
    moved = replace(
        layout,
        sticks=(left_x + by, left_y + by, right_x + by, right_y + by),
        triggers=((left + by, left_mask), (right + by, right_mask)),
        hat=layout.hat + by,
        bits=tuple((byte + by, mask, button) for byte, mask, button in layout.bits),
    )
    return replace(moved, **changes)  # type: ignore[arg-type]  # `changes` are fields of it


def _sony(byte: int) -> tuple[tuple[int, int, Button], ...]:
    """Square, cross, circle, triangle above the hat; L1, R1, L2 and R2 (as buttons), share, options, sticks; PS."""
    return (
        *_bits(byte, None, None, None, None, "x", "a", "b", "y"),
        *_bits(byte + 1, "leftshoulder", "rightshoulder", None, None, "back", "start", "leftstick", "rightstick"),
        *_bits(byte + 2, "guide"),
    )


DUALSHOCK4_USB = Layout(
    number=0x01,
    sizes=(64, 64),
    sticks=(1, 2, 3, 4),
    triggers=((8, 0xFF), (9, 0xFF)),
    hat=5,
    bits=_sony(5),
    streams=True,
)
# Until a host asks for more, a pad of Sony sends ten bytes over Bluetooth, the DualSense too.
SONY_SIMPLE = replace(DUALSHOCK4_USB, sizes=(10, 10), streams=False)
DUALSHOCK4_BLUETOOTH = _shifted(DUALSHOCK4_USB, 2, number=0x11, sizes=(78, 78), present=(1, 0x80), checked=True)
DUALSENSE_USB = replace(DUALSHOCK4_USB, triggers=((5, 0xFF), (6, 0xFF)), hat=8, bits=_sony(8))
DUALSENSE_BLUETOOTH = _shifted(DUALSENSE_USB, 1, number=0x31, sizes=(78, 78), present=(1, 0x01), checked=True)

_XBOX_FACES = _bits(14, "a", "b", None, "x", "y", None, "leftshoulder", "rightshoulder")
_XBOX_MIDDLE = _bits(15, None, None, "back", "start", "guide", "leftstick", "rightstick")
# Firmware 3.1: sixteen bytes; what came later has seventeen and more, the first of it with `back` in the last one.
XBOX_FIRST = Layout(
    number=0x01,
    sizes=(16, 16),
    sticks=(1, 3, 5, 7),
    wide=True,
    triggers=((9, 0x3FF), (11, 0x3FF)),
    hat=13,
    hat_up=1,
    bits=(
        *_bits(14, "a", "b", "x", "y", "leftshoulder", "rightshoulder", "back", "start"),
        *_bits(15, "leftstick", "rightstick"),
    ),
)
XBOX = replace(XBOX_FIRST, sizes=(17, 64), bits=(*_XBOX_FACES, *_XBOX_MIDDLE, (16, 0x01, "back")))
XBOX_SERIES = replace(XBOX, bits=(*_XBOX_FACES, *_XBOX_MIDDLE))  # that bit is its share button

LOGITECH_F310 = Layout(
    number=None,
    sizes=(6, 8),
    sticks=(0, 1, 2, 3),
    triggers=((5, 0x04), (5, 0x08)),  # buttons in D mode
    hat=4,
    bits=(
        *_bits(4, None, None, None, None, "x", "a", "b", "y"),
        *_bits(5, "leftshoulder", "rightshoulder", None, None, "back", "start", "leftstick", "rightstick"),
    ),
)
LOGITECH_F710 = _shifted(LOGITECH_F310, 1, number=0x01, sizes=(7, 9))

MODELS = (
    PadModel(
        "DualShock 4",
        ((0x054C, 0x05C4), (0x054C, 0x09CC), (0x054C, 0x0BA0)),
        (DUALSHOCK4_USB, DUALSHOCK4_BLUETOOTH, SONY_SIMPLE),
    ),
    PadModel("DualSense", ((0x054C, 0x0CE6), (0x054C, 0x0DF2)), (DUALSENSE_USB, DUALSENSE_BLUETOOTH, SONY_SIMPLE)),
    PadModel("Xbox One S, Bluetooth", ((0x045E, 0x02E0), (0x045E, 0x02FD), (0x045E, 0x0B20)), (XBOX_FIRST, XBOX)),
    PadModel("Xbox Series, Bluetooth", ((0x045E, 0x0B13),), (XBOX_SERIES,)),
    PadModel("Logitech F310, D mode", ((0x046D, 0xC216),), (LOGITECH_F310,)),
    PadModel("Logitech F710, D mode", ((0x046D, 0xC219),), (LOGITECH_F710,)),
)


def model_of(vendor: int, product: int, models: Sequence[PadModel] = MODELS) -> PadModel | None:
    """The pad with these numbers; None where its reports are not known."""
    return next((model for model in models if (vendor, product) in model.ids), None)
