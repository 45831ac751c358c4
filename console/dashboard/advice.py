"""The coach at work beside the look: pages never wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from console.dashboard.run_state import RunState
from console.dashboard.seams import Advice, Coach
from policy.errors import NudgeError

SHARE = 0.02  # of a core at most; of a day's run evidence takes a third of a second to gather


class Advising:
    """The advice of a coach, as of the last time that it was done. One thread at a time.

    clock: in which the coach rests after its work, so long that it takes `SHARE` [s]
    advice, problem: what it said; why it could not say anything, in words
    """

    def __init__(self, coach: Coach, clock: Callable[[], float] = time.monotonic) -> None:
        self._coach, self._clock = coach, clock
        self._pool = ThreadPoolExecutor(1, "coach")
        self._asked = -1
        self._rests_until_s = float("-inf")
        self._answer: Future[Sequence[Advice]] | None = None
        self.advice: Sequence[Advice] = ()
        self.problem = ""

    @property
    def idle(self) -> bool:
        """Whether the coach is not at work."""
        return self._answer is None

    def look(self, state: RunState) -> None:
        """Take what is ready, and ask again where an episode has ended since and the coach has rested."""
        if self._answer is not None and self._answer.done():
            try:
                self.advice, self.problem = self._answer.result(), ""
            except NudgeError as error:
                self.problem = str(error)
            self._answer = None
        if self._answer is None and state.finished != self._asked and self._clock() >= self._rests_until_s:
            self._asked = state.finished
            self._answer = self._pool.submit(self._think, state)

    def _think(self, state: RunState) -> Sequence[Advice]:
        begun_s = time.thread_time()
        try:
            return self._coach(state)
        finally:
            self._rests_until_s = self._clock() + (time.thread_time() - begun_s) / SHARE
