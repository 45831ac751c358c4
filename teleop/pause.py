"""Whether the operator wants the arm to hold still: pressed at the arm, or told from elsewhere."""

from __future__ import annotations

from teleop.events import TeleopEvent

HERE = f"paused: `{TeleopEvent.PAUSE.value}` goes on"
ELSEWHERE = f"paused from elsewhere: `nudge tell resume` goes on, or `{TeleopEvent.PAUSE.value}` pressed twice here"


class PauseSwitch:
    """Whoever is at the arm has the last word.

    Elsewhere nobody ends a pause that was pressed at the arm, where a hand may be in its way. The key at the arm never
    sets an arm going that somebody else has stopped in the same moment: it takes over that pause, and ends its own.
    """

    def __init__(self) -> None:
        self._here = self._elsewhere = False

    @property
    def on(self) -> bool:
        """Whether the arm is to hold still."""
        return self._here or self._elsewhere

    @property
    def wish(self) -> str:
        """What ends the pause, for the operator; empty while there is none."""
        return HERE if self._here else ELSEWHERE if self._elsewhere else ""

    def heed(self, event: TeleopEvent) -> None:
        """Note an event; most have nothing to do with it."""
        if event is TeleopEvent.PAUSE:
            self._here, self._elsewhere = not self._here, False
        elif event is TeleopEvent.PAUSE_AFAR:
            self._elsewhere = True
        elif event is TeleopEvent.RESUME_AFAR:
            self._elsewhere = False
