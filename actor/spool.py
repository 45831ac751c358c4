"""The spool: packed steps that the learner has not acknowledged yet, in order.

In memory for now. Its three verbs (`append`, `after`, `trim`) are those of a table, so that a durable one can take its
place.
"""

from __future__ import annotations

import bisect
import threading

from nudge.v1 import learner_pb2 as pb
from policy.errors import InvalidExperience, NudgeError
from policy.experience import StepId


class SpoolFull(NudgeError):
    """More unacknowledged steps than the spool may hold."""


class Spool:
    """A bounded first-in first-out of one session's steps. Safe to use from any thread."""

    def __init__(self, capacity_steps: int) -> None:
        self._capacity_steps = capacity_steps
        self._changed = threading.Condition()
        self._steps: list[pb.Step] = []  # ascending by (episode, step)
        self._newest: tuple[int, int] | None = None  # of all that ever came

    def append(self, message: pb.Step) -> None:
        """Take one step; raise `SpoolFull`, or `InvalidExperience` when it does not come after all before it."""
        key = _key(message)
        with self._changed:
            if self._newest is not None and key <= self._newest:
                raise InvalidExperience(f"spool: got (episode, step) {key} after {self._newest}: keep their order")
            if len(self._steps) >= self._capacity_steps:
                raise SpoolFull(f"spool: {self._capacity_steps} steps wait for the learner, the most it may hold")
            self._steps.append(message)
            self._newest = key
            self._changed.notify_all()

    def after(self, last: StepId | None, limit: int, timeout_s: float) -> list[pb.Step]:
        """Up to `limit` steps behind `last` (None: the oldest), as soon as there is one; none after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._place_after(last) < len(self._steps), timeout_s)
            place = self._place_after(last)
            return self._steps[place : place + limit]

    def trim(self, up_to: StepId) -> int:
        """Forget the steps up to and including `up_to`; return how many."""
        with self._changed:
            place = self._place_after(up_to)
            del self._steps[:place]
            return place

    def __len__(self) -> int:
        with self._changed:
            return len(self._steps)

    def _place_after(self, last: StepId | None) -> int:
        return 0 if last is None else bisect.bisect_right(self._steps, (last.episode, last.step), key=_key)


def _key(message: pb.Step) -> tuple[int, int]:
    return message.id.episode, message.id.step
