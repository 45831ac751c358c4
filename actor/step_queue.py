"""Where the steps of a session are: in memory, on disk, at the learner; and when the control loop is to pause.

Counting only: no thread, no lock, no file. `actor.ledger` holds its lock around every call.
"""

from __future__ import annotations

from collections import deque

from actor.link_settings import LinkSettings
from actor.link_state import Pause, PauseCause
from actor.spool import Spool, SpoolFull
from actor.spool_gauge import RESUME_AT, SpoolGauge
from actor.spool_record import Place
from policy.errors import InvalidExperience
from policy.experience import Step


class StepQueue:
    """The steps of one session in their order. Only the newest of them are in memory."""

    def __init__(self, settings: LinkSettings, spool: Spool) -> None:
        self.gauge = SpoolGauge(spool.capacity_bytes)
        self.gauge.update(spool.used_bytes)
        self.durable_seq, self.acknowledged = spool.newest_seq, spool.acknowledged
        self._settings, self._session, self._path = settings, spool.session, spool.path
        self._pending: deque[Step] = deque()  # taken, not handed to the writer yet
        self._writing = 0  # handed to the writer, not on disk yet
        # An episode of an earlier process has ended, one way or another.
        self._newest, self._in_episode = spool.progress.newest, False
        self._trimmed_seq = spool.trimmed_seq
        self._disk_trouble = ""
        self._crowded = False

    @property
    def in_memory(self) -> int:
        """Steps that a crash would lose."""
        return len(self._pending) + self._writing

    @property
    def unacknowledged(self) -> int:
        """Steps that the learner does not have."""
        return self.in_memory + self.durable_seq - self.acknowledged.seq

    @property
    def trimmable(self) -> int:
        """Steps in the file that the learner has."""
        return self.acknowledged.seq - self._trimmed_seq

    def take(self, step: Step) -> None:
        """Put a step behind the others; raise `InvalidExperience` when it does not follow them, or `SpoolFull`."""
        self._check_follows(step)
        if self.in_memory >= self._settings.queue_steps:
            raise SpoolFull(
                f"{step.id}: {self.in_memory} steps wait in memory for {self._path}, the most there may be "
                f"({self._disk_trouble or 'the disk is slow'}); look for a `pause` of the link before each step"
            )
        self._pending.append(step)
        self._newest, self._in_episode = step.id, not step.last
        self._look_at_queue()

    def hand_out(self, limit: int) -> list[Step]:
        """Up to `limit` steps to write."""
        group = [self._pending.popleft() for _ in range(min(limit, len(self._pending)))]
        self._writing += len(group)
        return group

    def written(self, spool: Spool) -> None:
        """All that was handed out is in the file."""
        self._writing, self._disk_trouble = 0, ""
        self.durable_seq, self._trimmed_seq = spool.newest_seq, spool.trimmed_seq
        self.gauge.update(spool.used_bytes)
        self._look_at_queue()

    def not_written(self, why: str) -> None:
        """The disk has not taken what was handed out."""
        self._disk_trouble = why

    def acknowledge(self, place: Place) -> None:
        """The learner has all up to this place."""
        self.acknowledged = max(self.acknowledged, place, key=lambda each: each.seq)

    def pause(self) -> Pause | None:
        """Why the control loop is to pause, as far as the disk is concerned."""
        if self._disk_trouble:
            return Pause(
                PauseCause.DISK,
                f"{self._disk_trouble}; {self.in_memory} steps wait in memory, and are written as soon as that works",
            )
        if self.gauge.full:
            return Pause(
                PauseCause.SPOOL_FULL,
                f"{self._path}: {self.unacknowledged} steps fill it to {self.gauge.fill:.0%}; bring the learner back: "
                f"it goes on below {RESUME_AT:.0%}; or start again with a larger link.spool_max_bytes",
            )
        if self._crowded:
            return Pause(PauseCause.QUEUE, f"{self._path}: {self.in_memory} steps wait in memory for its disk")
        return None

    def _look_at_queue(self) -> None:
        share = self.in_memory / self._settings.queue_steps
        self._crowded = share > (0.25 if self._crowded else 0.5)

    def _check_follows(self, step: Step) -> None:
        """The rule of the learner's store, checked where the caller can still be found."""
        last = self._newest
        same = last is not None and self._in_episode and step.id.episode == last.episode
        expected = last.step + 1 if last is not None and same else 0
        earliest = 0 if last is None else last.episode + (0 if same else 1)
        if step.id.session != self._session or step.id.episode < earliest or step.id.step != expected:
            before = "the beginning" if last is None else str(last)
            raise InvalidExperience(
                f"{step.id}: it does not follow {before}; expected session {self._session[:8]}, episode {earliest} or "
                f"later, steps counted from 0 without a gap"
            )
