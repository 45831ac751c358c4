"""What an operator tells by a key, a button or a grab, kept from the moment it happens until the tick that heeds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum


class TeleopEvent(Enum):
    """One press, never a state that lasts: who holds a key down has pressed it once."""

    TAKE_OVER = "take over"
    RELEASE = "release"
    TOGGLE = "take over or release"  # for devices with one key for both
    REST = "rest"  # the hand keeps still: a release, unless nobody else could drive
    SUCCESS = "success"
    FAILURE = "failure"
    RERECORD = "re-record"
    PAUSE = "pause"  # and, pressed again, go on
    PAUSE_AFAR = "pause, told from elsewhere"  # never goes on
    RESUME_AFAR = "go on, told from elsewhere"  # ends no pause that was pressed at the arm
    EMERGENCY_STOP = "emergency stop"


class EventLatch:
    """Pressed from any thread, emptied by the tick: each event is handed out exactly once, in the order of presses.

    An emergency stop waits for no tick: it is told at once to whoever stops the arm. The next `PAUSE` ends it,
    which only a person at the arm can press.
    """

    def __init__(self, stop: Callable[[str], None], go_on: Callable[[], bool] = lambda: False) -> None:
        """Take who stops the arm, told by which device, and who lets it move again, or says that it was not stopped."""
        self._stop, self._go_on = stop, go_on
        self._pressed: deque[TeleopEvent] = deque()  # appending and popping are atomic: no lock is needed

    def press(self, event: TeleopEvent, by: str) -> None:
        """Latch an event. by: the device and its key, which a person reads."""
        if event is TeleopEvent.EMERGENCY_STOP:
            self._stop(by)
        elif event is not TeleopEvent.PAUSE or not self._go_on():
            self._pressed.append(event)

    def take(self) -> list[TeleopEvent]:
        """All that was pressed since the last call, oldest first."""
        return [self._pressed.popleft() for _ in range(len(self._pressed))]
