"""Where the control loop waits for its link: between two episodes, and in a simulated world also between two ticks."""

from __future__ import annotations

import threading
import time

from actor.link_state import PauseCause
from actor.roles import Link
from actor.settings import LoopSettings


class Patience:
    """Asks the link, and waits where the settings let the world stand still meanwhile."""

    def __init__(self, link: Link, settings: LoopSettings) -> None:
        self._link, self._settings = link, settings

    def between_episodes(self, stop: threading.Event) -> bool:
        """Begin no episode while the link asks for a pause; False when stopped."""
        while self._link.pause is not None and not stop.is_set():
            stop.wait(0.1)
        return not stop.is_set()

    def between_ticks(self, stop: threading.Event, *, demonstrating: bool) -> None:
        """Let a learner that is behind catch up, if the world waits for it."""
        while self._is_ahead(demonstrating=demonstrating) and not stop.is_set():
            time.sleep(0.002)

    def cut(self) -> str:
        """Why the link wants the episode to end; empty when it may go on."""
        pause = self._link.pause
        if pause is None or not pause.cuts_episode or self._waits_in_tick(pause.cause):
            return ""
        return pause.cause.value

    def _is_ahead(self, *, demonstrating: bool) -> bool:
        pause = self._link.pause
        if pause is not None and pause.cuts_episode:
            return self._waits_in_tick(pause.cause)
        return not demonstrating and self._link.steps_behind > self._settings.most_steps_ahead

    def _waits_in_tick(self, cause: PauseCause) -> bool:
        """A simulated world stands still until the disk has caught up; a real one does not."""
        return cause is PauseCause.QUEUE and self._settings.pace == "learner"
