"""Which keys move the tool at a tick: those held down or tapped since the last one; none without the focus. Pure."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

TAP_S = 0.5  # an older tap was made while no tick came, between two episodes: it moves nothing any more
REPEAT_S = 0.7  # a key held down types again after at most 0.66 s [X.Org's default], then ever faster

_MODIFIERS = ("ctrl", "alt", "cmd")  # with one of them held a key belongs to the desktop


class HeldKeys:
    """Keys go down and up (`press`, `release`) or are typed (`type`); `moving` is asked once a tick.

    Whether the terminal has the focus is unknown at first. Presses then wait for a proof: a character that the
    terminal got, with no report of the focus before it, proves that it has had the focus all along.

    The calls of the sources may come from several threads; `moving` comes from the loop's, and waits for no lock.
    """

    def __init__(self, always: str, hold_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the key that counts with any modifier held, and how long a typed character moves the tool [s]."""
        self._always, self._hold_s, self._clock = always, hold_s, clock
        self._lock = threading.Lock()  # between the sources
        self._focused: bool | None = None
        self._down: set[str] = set()  # in truth, focus or not: only a key that was up can be pressed
        self._unproven: list[str] = []
        self._until_s: dict[str, float] = {}  # replaced, never changed
        self._taps: deque[tuple[str, float]] = deque(maxlen=256)  # while no tick comes, nobody takes them
        self._typed_s: dict[str, float] = {}

    @property
    def focused(self) -> bool | None:
        """Whether the terminal has the focus; None before anything told."""
        return self._focused

    def press(self, key: str) -> bool:
        """A key went down, or repeats by itself. Whether it counts as pressed now."""
        with self._lock:
            if key in self._down:
                return False
            modified = any(name.startswith(_MODIFIERS) for name in self._down)
            self._down.add(key)
            if self._focused is False or (modified and key != self._always):
                return False
            if self._focused is None:
                self._unproven.append(key)
                return False
            self._count(key, math.inf)
            return True

    def release(self, key: str) -> None:
        """A key went up."""
        with self._lock:
            if key in self._down:
                self._down.discard(key)
                self._until_s = {other: until_s for other, until_s in self._until_s.items() if other != key}
            elif not key.startswith(_MODIFIERS):
                # Nobody saw it go down, under this name: a changed layout. Then none that seems held is to be trusted.
                self._until_s = {}

    def type(self, key: str) -> bool:
        """The terminal got the character of a key, where nothing hears it go up. Whether it is a press of its own."""
        with self._lock:
            self._focused = True
            now_s = self._clock()
            repeats = now_s - self._typed_s.get(key, -math.inf) <= REPEAT_S
            self._typed_s[key] = now_s
            self._count(key, now_s + self._hold_s)
            return not repeats

    def prove(self) -> list[str]:
        """The terminal got some character: what was pressed before the first proof, and counts now."""
        with self._lock:
            if self._focused is not None:
                return []
            self._focused = True
            pressed, self._unproven = self._unproven, []
            for key in pressed:
                self._count(key, math.inf if key in self._down else -math.inf)
            return pressed

    def focus(self, focused: bool) -> None:
        """The terminal's window got or lost the focus."""
        with self._lock:
            if focused is self._focused:
                return
            self._focused = focused
            self._unproven = []
            self._let_go()
            # The release of the Alt of Alt+Tab may never be heard.
            self._down = {key for key in self._down if not key.startswith(_MODIFIERS)}

    def forget(self) -> None:
        """The source is gone: nothing is known to be held down."""
        with self._lock:
            self._down = set()
            self._let_go()

    def moving(self) -> frozenset[str]:
        """The keys held down now, or tapped since the last call."""
        now_s = self._clock()
        tapped = {key for key, at_s in self._take_taps() if now_s - at_s <= TAP_S}
        return frozenset(tapped | {key for key, until_s in self._until_s.items() if until_s > now_s})

    def _count(self, key: str, until_s: float) -> None:
        self._taps.append((key, self._clock()))
        self._until_s = self._until_s | {key: until_s}

    def _let_go(self) -> None:
        self._until_s = {}
        self._taps.clear()

    def _take_taps(self) -> Iterator[tuple[str, float]]:
        try:
            while True:
                yield self._taps.popleft()
        except IndexError:  # empty, or emptied meanwhile: asking first would need the lock
            return
