"""The link to the learner, told in the terminal: a line whenever something about it changes."""

from __future__ import annotations

import logging
import threading
import time
from typing import Self

from rich.console import Console

from actor.link import LearnerLink, LinkState, LinkStatus, PauseCause
from console.terminal.telling import tell

INTERVAL_S = 1.0  # no two lines come closer: a connection that comes and goes does not fill the screen
SAME_STATE_S = 60.0  # nor do two of which only the reason differs

_Key = tuple[LinkStatus, PauseCause | None, bool]


class LinkLines:
    """Looks at a link's state and prints what has changed, in a thread of its own, until it is closed."""

    def __init__(self, link: LearnerLink, console: Console, interval_s: float = INTERVAL_S) -> None:
        self._link, self._console, self._interval_s = link, console, interval_s
        self._stop = threading.Event()
        state = link.state
        self._key, self._error, self._said_s = _key(state), state.error, time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="link-lines")
        self._thread.start()

    def close(self) -> None:
        """Say no more. May be called twice."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            state, now_s = self._link.state, time.monotonic()
            other_reason = state.error != self._error and now_s - self._said_s >= SAME_STATE_S
            if _key(state) != self._key or other_reason:
                self._key, self._error, self._said_s = _key(state), state.error, now_s
                line = f"{time.strftime('%H:%M:%S')}  {told(state)}"
                tell(
                    self._console, line, logging.WARNING, style=""
                )  # also where it is over: that is to be read as well


def told(state: LinkState) -> str:
    """The state of a link in one line."""
    parts = ["learner connected" if state.status is LinkStatus.CONNECTED else f"learner away: {state.error}"]
    if state.pause is not None and state.pause.cause is not PauseCause.AWAY:
        parts.append(f"paused, {state.pause.cause.value}: {state.pause.reason}")
    elif state.pause is not None:
        parts.append("the actor pauses at the end of the episode until it is back")
    elif state.filling:
        parts.append("the spool is filling: bring the learner back before the actor must pause")
    parts.append(f"{state.waiting_steps} steps wait, the spool is {state.fill:.0%} full")
    return "; ".join(parts)


def _key(state: LinkState) -> _Key:
    return state.status, None if state.pause is None else state.pause.cause, state.filling
