"""The coach at work beside the look: pages never wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from console.dashboard.run_state import RunState
from console.dashboard.seams import Advice, Coach
from policy.errors import NudgeError


class Advising:
    """The advice of a coach, as of the last time that it was done. One thread at a time.

    advice, problem: what it said; why it could not say anything, in words
    """

    def __init__(self, coach: Coach) -> None:
        self._coach = coach
        self._pool = ThreadPoolExecutor(1, "coach")
        self._asked = -1
        self._answer: Future[Sequence[Advice]] | None = None
        self.advice: Sequence[Advice] = ()
        self.problem = ""

    def look(self, state: RunState) -> None:
        """Take what is ready, and ask again where an episode has ended since."""
        if self._answer is not None and self._answer.done():
            try:
                self.advice, self.problem = self._answer.result(), ""
            except NudgeError as error:
                self.problem = str(error)
            self._answer = None
        if self._answer is None and state.finished != self._asked:
            self._asked = state.finished
            self._answer = self._pool.submit(self._coach, state)
