"""Finds the pad that the settings mean, through the backends that they allow."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Self

from teleop.errors import TeleopError
from teleop.gamepad.backend import Backend, Candidate, Pad, choose
from teleop.gamepad.hid import HidBackend
from teleop.gamepad.sdl import SdlBackend
from teleop.gamepad.settings import GamepadSettings

SETTLE_S = 1.0  # how long SDL may take to notice, after its start, what is plugged in


class Search:
    """The backends that the settings allow, entered and used by one thread, which need not be the one that made it."""

    def __init__(self, settings: GamepadSettings) -> None:
        """Load the libraries."""
        self._wanted = settings.device
        self._backends: list[Backend] = []
        if settings.backend != "hid":
            self._backends.append(SdlBackend(settings.mapping))
        if settings.backend != "sdl":
            self._backends.append(HidBackend())
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for backend in self._backends:
                stack.enter_context(backend)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def candidates(self) -> list[Candidate]:
        """All that the backends see."""
        return [candidate for backend in self._backends for candidate in backend.candidates()]

    def first(self) -> Pad:
        """Open the pad that is meant, of the first backend that has it. Raises `TeleopError` with all that are there.

        Waits a moment for SDL where there is none. From now on only that backend is asked.
        """
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            try:
                return self._open()
            except TeleopError:
                if time.monotonic() > deadline_s:
                    raise
            time.sleep(0.05)

    def again(self, lost: Candidate) -> Pad | None:
        """Open the lost pad, or one that the settings do not tell from it; None while there is none."""
        (backend,) = self._backends
        try:
            return backend.open(choose(backend.candidates(), self._wanted or lost.ids[0]))
        except TeleopError:  # none, or one of several: the tick tells that the pad is silent
            return None

    def _open(self) -> Pad:
        seen = {backend: backend.candidates() for backend in self._backends}
        with_pad = (it for it in seen if any(pad.is_meant_by(self._wanted) and not pad.unfit for pad in seen[it]))
        backend = next(with_pad, None)
        if backend is None:  # refused with all that is there
            return self._backends[0].open(
                choose([it for candidates in seen.values() for it in candidates], self._wanted)
            )
        pad = backend.open(choose(seen[backend], self._wanted))
        self._backends = [backend]
        return pad
