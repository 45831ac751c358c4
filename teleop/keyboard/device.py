"""The keyboard as a device: keys that are held move the tool, others are pressed into the latch."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from teleop.device import HandReading
from teleop.errors import TeleopError
from teleop.events import EventLatch, TeleopEvent
from teleop.keyboard.focus import FocusedTerminal
from teleop.keyboard.held import HeldKeys
from teleop.keyboard.page_source import PageSource
from teleop.keyboard.pynput_source import PynputSource, hears_another
from teleop.keyboard.settings import KeyboardSettings, Keys
from teleop.takeover import Control, OperatorView


class Keyboard:
    """A `TeleopDevice`: heard only while the terminal that Nudge runs in, or a page in a browser, has the focus."""

    def __init__(self, settings: KeyboardSettings, contract: Contract, latch: EventLatch, *, drives: bool) -> None:
        """drives: whether its keys move the tool; beside another device only those for success, pause and the like."""
        self._settings, self._latch = settings, latch
        self._directions = _directions(settings.keys, contract) if drives else {}
        self._still: NDArray[np.float32] = np.zeros(len(contract.action), np.float32)
        self._events = _events(settings.keys)
        self._held = HeldKeys(settings.keys.emergency_stop, settings.hold_s)
        self._terminal = FocusedTerminal(self._held.focus, self._typed)
        self._pynput: PynputSource | None = None
        self._page: PageSource | None = None
        self._shown = ("", "")
        self._source = ""
        self._exits = ExitStack()

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "keyboard"

    @property
    def source(self) -> str:
        """Where its keys come from, and why: one line for the operator. Empty before it is entered."""
        return self._source

    def __enter__(self) -> Self:
        """Begin to listen, at the terminal or a page. Raises `TeleopError` with the cure where that does not work."""
        with ExitStack() as exits:
            if self._settings.source == "page":
                self._page = exits.enter_context(self._new_page())
                self._source = f"keyboard: keys count in the page {self._page.url} while it has the focus; open it"
            else:
                exits.enter_context(self._terminal)
                self._source = self._told(self._why_not_pynput(exits))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def read(self, view: OperatorView) -> HandReading:  # noqa: ARG002  # keys mean the same wherever the arm is
        """The keys held down, or tapped since the last call, as an action."""
        moves = [self._directions[key] for key in self._held.moving() if key in self._directions]
        action = np.clip(np.sum(moves, axis=0), -1.0, 1.0) * self._settings.speed if moves else self._still
        return HandReading(action.astype(np.float32), age_s=0.0 if self._heard else math.inf)

    def follow(self, control: Control, view: OperatorView) -> None:  # noqa: ARG002  # keys have no pose
        """Show on the page who is in control."""
        self._show(control.value, self._shown[1])

    def ask(self, wish: str) -> None:
        """Show on the page what the operator is to do before anything goes on; empty when nothing waits."""
        self._show(self._shown[0], wish)

    @property
    def _heard(self) -> bool:
        if self._page is not None:
            return self._page.alive
        return self._terminal.alive and (self._pynput is None or self._pynput.alive)

    def _show(self, control: str, wish: str) -> None:
        if self._page is not None and (control, wish) != self._shown:
            self._page.show(control, wish)
        self._shown = (control, wish)

    def _new_page(self) -> PageSource:
        held = self._held
        return PageSource(
            self._settings, self._pressed, held.release, held.focus, held.forget, drives=bool(self._directions)
        )

    def _why_not_pynput(self, exits: ExitStack) -> str:
        """Begin to listen with pynput, unless it is not to be; then why. Raises where it is asked for and cannot."""
        source = self._settings.source
        if source == "terminal":
            return "as teleop.keyboard.source says"
        why_not = hears_another() if source == "auto" else ""
        why_not = why_not or ("" if self._terminal.reports_focus else "this terminal does not report its focus")
        if not why_not:
            listener = PynputSource(self._pressed, self._held.release, self._held.forget)
            try:
                self._pynput = exits.enter_context(listener)
            except TeleopError as error:
                why_not = str(error)
                if source == "pynput":
                    raise
        elif source == "pynput":
            raise TeleopError(
                f"keyboard: {why_not}, so that pynput would hear the keys of all other windows; in tmux set -g "
                f"focus-events on, use another terminal, or set teleop.keyboard.source terminal"
            )
        return why_not

    def _told(self, why_not: str) -> str:
        if self._pynput is not None:
            return "keyboard: pynput hears keys go down and up while this terminal has the focus"
        moves = f"; a key that is held moves the arm for {self._settings.hold_s:g} s with each repeat of its character"
        return f"keyboard: the characters typed into this terminal count ({why_not}){moves if self._directions else ''}"

    def _pressed(self, key: str) -> None:
        if self._held.press(key):
            self._tell(key)

    def _typed(self, key: str) -> None:
        if self._pynput is not None:
            for pressed in self._held.prove():
                self._tell(pressed)
        elif not self._source:
            return  # it is not known yet whether the characters are what counts
        elif self._held.type(key) or key == self._settings.keys.emergency_stop:
            self._tell(key)

    def _tell(self, key: str) -> None:
        if key in self._events:
            self._latch.press(self._events[key], f"keyboard: {key}")


def _events(keys: Keys) -> dict[str, TeleopEvent]:
    return {
        keys.toggle: TeleopEvent.TOGGLE,
        keys.success: TeleopEvent.SUCCESS,
        keys.failure: TeleopEvent.FAILURE,
        keys.rerecord: TeleopEvent.RERECORD,
        keys.pause: TeleopEvent.PAUSE,
        keys.emergency_stop: TeleopEvent.EMERGENCY_STOP,
    }


def _directions(keys: Keys, contract: Contract) -> dict[str, NDArray[np.float32]]:
    """The action (A,) of each key that moves something."""
    axes = [dimension.name for dimension in contract.action]
    pairs = {
        "delta.x": (keys.forward, keys.back),
        "delta.y": (keys.left, keys.right),
        "delta.z": (keys.higher, keys.lower),
        "delta.gripper": (keys.open, keys.close),
    }
    unit = np.eye(len(axes), dtype=np.float32)
    return {
        key: sign * unit[axes.index(axis)]
        for axis, pair in pairs.items()
        for key, sign in zip(pair, (1, -1), strict=True)
    }
