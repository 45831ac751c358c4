"""The gamepad as a device that drives the arm: a thread that reads it, whatever the loop does meanwhile."""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

import numpy as np

from policy.contract import Contract
from teleop.device import HandReading
from teleop.errors import TeleopError
from teleop.events import EventLatch, TeleopEvent
from teleop.gamepad.backend import Candidate, Pad
from teleop.gamepad.motion import Motion
from teleop.gamepad.search import Search
from teleop.gamepad.settings import GamepadSettings
from teleop.gamepad.shaping import STILL, action_of
from teleop.gamepad.state import AT_REST, Button, PadState
from teleop.takeover import Control, OperatorView

LOOK_EVERY_S = 0.25  # for a pad that is gone
LEAVE_S = 10.0  # within which the thread ends; it never waits for long

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person is shown of a pad.

    pad: None while it is gone
    polls, reports: how often it was looked at, and what it had to tell, since it was found
    """

    pad: Candidate | None
    state: PadState
    polls: int = 0
    reports: int = 0


class Gamepad:
    """A `TeleopDevice`. Its thread polls the pad, presses the latch and gathers the motion between two ticks."""

    def __init__(self, settings: GamepadSettings, contract: Contract, latch: EventLatch) -> None:
        if len(contract.action) != len(STILL):
            names = ", ".join(it.name for it in contract.action)
            raise TeleopError(
                f"gamepad: got a contract with the actions {names}, expected four: x, y, z and gripper; use "
                f"another device"
            )
        self._settings, self._latch = settings, latch
        self._events = _events(settings)
        self._motion = Motion(window_s=2 / contract.control_hz)
        self._heard_s = -math.inf
        self._seen = Seen(None, AT_REST)
        self._stop = threading.Event()
        self._found: Future[None] = Future()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "gamepad"

    @property
    def seen(self) -> Seen:
        """The pad as it was last seen, for a person to look at."""
        return self._seen

    def __enter__(self) -> Self:
        search = Search(self._settings)  # imports in this thread: how it silences a warning counts for all threads
        self._stop, self._found = threading.Event(), Future()
        self._thread = threading.Thread(target=self._run, args=(search,), name=self.name, daemon=True)
        self._thread.start()
        try:
            self._found.result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LEAVE_S)
        self._heard_s = -math.inf

    def read(self, view: OperatorView) -> HandReading:
        """See `TeleopDevice`. A pad needs not know how the arm stands."""
        del view
        now_s, heard_s = time.monotonic(), self._heard_s
        action = self._motion.take(now_s)
        if math.isinf(heard_s):
            return HandReading(np.zeros_like(action), age_s=math.inf)
        return HandReading(action, age_s=max(0.0, now_s - heard_s))

    def follow(self, control: Control, view: OperatorView) -> None:
        """See `TeleopDevice`. Nothing to do: a pad has no motors."""

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self, search: Search) -> None:
        try:
            with search:
                pad = search.first()
                self._heard_s = time.monotonic()
                self._found.set_result(None)
                while not self._stop.is_set():
                    self._serve(pad)
                    pad = self._wait_for(search, pad.candidate) or pad
        except BaseException as error:
            if self._found.done():
                raise
            self._found.set_exception(error)  # raised where the device is entered

    def _serve(self, pad: Pad) -> None:
        """Read the pad until it is gone, or until the end."""
        try:
            state, polls, reports = AT_REST, 0, 0
            looked_s = self._heard_s = time.monotonic()
            states = pad.poll()
            if states:
                state = states[-1]  # what is held down when the pad is found was not pressed here
            while states is not None and not self._stop.wait(1 / self._settings.poll_hz):
                states = pad.poll()
                now_s = time.monotonic()
                if states is None:
                    break
                if states or not pad.streams:
                    self._heard_s = now_s
                # In the stretch since the last look the old state was followed by the new ones.
                self._motion.add([action_of(it, self._settings) for it in (state, *states)], looked_s, now_s)
                for new in states:
                    self._press(state.pressed, new.pressed)
                    state = new
                looked_s, polls, reports = now_s, polls + 1, reports + len(states)
                self._seen = Seen(pad.candidate, state, polls, reports)
            self._press(state.pressed, frozenset())  # nobody holds a pad that is gone
        finally:
            self._motion.stop()
            self._heard_s = -math.inf
            self._seen = Seen(None, AT_REST)
            pad.close()

    def _wait_for(self, search: Search, lost: Candidate) -> Pad | None:
        """The pad once it is back; None at the end."""
        if self._stop.is_set():
            return None
        log.warning("gamepad %s: gone; it is taken up again once it is back", lost)
        while not self._stop.wait(LOOK_EVERY_S):
            pad = search.again(lost)
            if pad is not None:
                log.warning("gamepad %s: back", pad.candidate)
                return pad
        return None

    def _press(self, before: frozenset[Button], after: frozenset[Button]) -> None:
        held = self._settings.buttons.take_over
        for button in sorted(after - before):
            if button in self._events:
                self._latch.press(self._events[button], f"{self.name}, button {button}")
        if held in before - after and self._settings.take_over == "hold":
            self._latch.press(TeleopEvent.RELEASE, f"{self.name}, button {held} let go")


def _events(settings: GamepadSettings) -> dict[Button, TeleopEvent]:
    """What a press of each button means."""
    buttons = settings.buttons
    return {
        buttons.take_over: TeleopEvent.TAKE_OVER if settings.take_over == "hold" else TeleopEvent.TOGGLE,
        buttons.success: TeleopEvent.SUCCESS,
        buttons.failure: TeleopEvent.FAILURE,
        buttons.rerecord: TeleopEvent.RERECORD,
        buttons.pause: TeleopEvent.PAUSE,
        **dict.fromkeys(buttons.emergency_stop, TeleopEvent.EMERGENCY_STOP),
    }
