"""What people tell the trainer, heeded in its own thread between two updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from learner.mailbox import Mailbox, Reader
from policy.commands import Answer, Outcome, Verb


class TrainingDesk:
    """A mailbox that is read while the trainer trains. held: whether it makes no updates until it is told to go on"""

    def __init__(self) -> None:
        self.mailbox = Mailbox("the trainer")
        self.held = False
        self._reader: Reader | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take commands while this lasts."""
        self._reader = reader = self.mailbox.open()
        try:
            yield
        finally:
            self.mailbox.close(reader)
            self.mailbox.leave("training is over")

    def heed(self, checkpoint: Callable[[], Path]) -> None:
        """Do what was told since the last time. checkpoint: saves one, and says where"""
        assert self._reader is not None  # the trainer heeds while the desk is open
        while (ticket := self.mailbox.take(self._reader, 0)) is not None:
            reason = self._done(ticket.command.verb, checkpoint)
            self.mailbox.answered(ticket.command.request_id, Answer(Outcome.DONE, reason))

    def _done(self, verb: Verb, checkpoint: Callable[[], Path]) -> str:
        if verb is Verb.CHECKPOINT:
            return f"saved {checkpoint()}"
        before, self.held = self.held, verb is Verb.PAUSE_TRAINING
        if self.held:
            return "training was paused already" if before else "training is paused; experience still comes in"
        return "training goes on" if before else "training was not paused"
