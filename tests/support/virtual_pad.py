"""A gamepad that is not there: SDL's virtual joystick, in the SDL that pygame brought into this process."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

from teleop.gamepad.device import Gamepad
from teleop.gamepad.sdl import import_pygame
from teleop.gamepad.state import BUTTONS, Button
from waiting import SOON_S, eventually

INIT_JOYSTICK = 0x200
ENDS = 8  # each user of pygame's joysticks that leaves ends one start of them, even one that is not its own
UNKNOWN, GAME_CONTROLLER = 0, 1  # SDL_JoystickType: SDL makes a mapping for the second by itself
AXES = ("leftx", "lefty", "rightx", "righty", "lefttrigger", "righttrigger")  # of a game controller, in SDL's order


class _Description(ctypes.Structure):
    """SDL_VirtualJoystickDesc, version 1."""

    _fields_ = (
        *((name, ctypes.c_uint16) for name in ("version", "type", "naxes", "nbuttons", "nhats", "vendor", "product")),
        ("padding", ctypes.c_uint16),
        ("button_mask", ctypes.c_uint32),
        ("axis_mask", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("userdata", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("update", "player", "rumble", "triggers", "led", "effect")),
    )


def _library() -> ctypes.CDLL:
    import_pygame()
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    sdl = ctypes.CDLL(next(line.split()[-1] for line in maps if "libSDL2-2" in line))
    sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
    sdl.SDL_JoystickClose.argtypes = [ctypes.c_void_p]
    sdl.SDL_JoystickInstanceID.argtypes = [ctypes.c_void_p]
    sdl.SDL_JoystickSetVirtualAxis.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int16]
    sdl.SDL_JoystickSetVirtualButton.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint8]
    sdl.SDL_JoystickSetVirtualHat.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint8]
    return sdl


class VirtualPad:
    """A pad that is plugged in when entered, out when left, and in between by its methods.

    known: whether SDL knows which control is which
    """

    _entered: ClassVar[int] = 0

    def __init__(self, name: str = "Test Pad", product: int = 1, *, known: bool = True, hats: int = 0) -> None:
        self.name = name
        kind = GAME_CONTROLLER if known else UNKNOWN
        self._description = _Description(
            1, kind, len(AXES), len(BUTTONS), hats, 0x1209, product, 0, 0, 0, name.encode(), None
        )
        self._sdl = _library()
        self._joystick: int | None = None

    def __enter__(self) -> Self:
        os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
        VirtualPad._entered += 1
        for _ in range(ENDS):
            assert self._sdl.SDL_InitSubSystem(INIT_JOYSTICK) == 0
        self.plug_in()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._joystick is not None:
            self.unplug()
        VirtualPad._entered -= 1
        while VirtualPad._entered == 0 and self._sdl.SDL_WasInit(INIT_JOYSTICK):
            self._sdl.SDL_QuitSubSystem(INIT_JOYSTICK)

    @contextmanager
    def coming_to(self, gamepad: Gamepad) -> Iterator[Gamepad]:
        """Plug it in while a gamepad looks for it: SDL reads mappings when its joysticks start, before any is there."""
        with ThreadPoolExecutor(1) as other:
            entered = other.submit(gamepad.__enter__)
            eventually(lambda: bool(self._sdl.SDL_WasInit(INIT_JOYSTICK)))
            with self:
                entered.result(SOON_S)
                try:
                    yield gamepad
                finally:
                    gamepad.__exit__()

    def plug_in(self) -> None:
        index = self._sdl.SDL_JoystickAttachVirtualEx(ctypes.byref(self._description))
        assert index >= 0
        self._joystick = self._sdl.SDL_JoystickOpen(index)

    def unplug(self) -> None:
        mine = self._sdl.SDL_JoystickInstanceID(self._joystick)
        there = range(self._sdl.SDL_NumJoysticks())
        (index,) = (it for it in there if self._sdl.SDL_JoystickGetDeviceInstanceID(it) == mine)
        assert self._sdl.SDL_JoystickDetachVirtual(index) == 0
        self._sdl.SDL_JoystickClose(self._joystick)
        self._joystick = None

    def move(self, axis: str | int, value: float) -> None:
        """value: -1..1 as SDL has it: to the right, towards the person; triggers rest at -1."""
        index = AXES.index(axis) if isinstance(axis, str) else axis
        assert self._sdl.SDL_JoystickSetVirtualAxis(self._joystick, index, round(value * 32767.5 - 0.5)) == 0

    def press(self, button: Button | int, *, down: bool = True) -> None:
        index = BUTTONS.index(button) if isinstance(button, str) else button
        assert self._sdl.SDL_JoystickSetVirtualButton(self._joystick, index, down) == 0

    def turn_hat(self, bits: int) -> None:
        """bits: up 1, right 2, down 4, left 8."""
        assert self._sdl.SDL_JoystickSetVirtualHat(self._joystick, 0, bits) == 0
