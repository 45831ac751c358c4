"""Commands on their way to one who heeds them: in order, each handed out at most once, none when it is too old."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from policy.clock import since_boot_ns
from policy.commands import Answer, Command, Outcome, Verb

ANSWER_S = 12.0  # longest wait for what became of a command that was handed out; above the age limit of any
MOST_URGENT = 4  # emergency stops for which there is room in a full mailbox
MOST_HANDED = 64  # of which an answer is still taken


@dataclass(eq=False, slots=True)
class Ticket:
    """One command, from its asking to its answer. The lock of its mailbox guards it.

    expires_ns: when it has grown too old
    handed_ns: when it was handed out; None while it waits
    answer: what became of it; None while that is open
    """

    command: Command
    expires_ns: int
    mailbox: Mailbox | None = None
    handed_ns: int | None = None
    answer: Answer | None = None


class Reader:
    """Who takes from a mailbox: the newest one only, so that a dead connection swallows nothing."""


class Mailbox:
    """Safe to use from any thread.

    name: whose it is, in words; actor_id: of the actor, empty for the learner's own
    length: most commands that wait
    """

    def __init__(
        self, name: str, actor_id: str = "", length: int = 16, clock: Callable[[], int] = since_boot_ns
    ) -> None:
        self.name, self.actor_id = name, actor_id
        self._length, self._clock = length, clock
        self._changed = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._handed: OrderedDict[str, Ticket] = OrderedDict()  # by request id
        self._reader: Reader | None = None
        self._left_ns: int | None = None  # when the last reader left

    def put(self, ticket: Ticket) -> None:
        """Let a command wait, or answer it at once. An emergency stop waits behind nothing."""
        with self._changed:
            self._drop_expired()
            urgent = ticket.command.verb is Verb.EMERGENCY_STOP
            if len(self._waiting) >= self._length + (MOST_URGENT if urgent else 0):
                why = f"{len(self._waiting)} commands wait for {self.name}, the most there may be"
                ticket.answer = self._answer(Outcome.REFUSED, why)
                return
            ticket.mailbox = self
            if urgent:
                self._waiting.appendleft(ticket)
            else:
                self._waiting.append(ticket)
            self._drop_expired()
            self._changed.notify_all()

    def open(self) -> Reader:
        """From now on this reader takes, and no other one."""
        with self._changed:
            self._reader = Reader()
            self._changed.notify_all()
            return self._reader

    def close(self, reader: Reader) -> None:
        """A reader leaves. May be called twice."""
        with self._changed:
            if self._reader is reader:
                self._reader, self._left_ns = None, self._clock()

    def take(self, reader: Reader, timeout_s: float) -> Ticket | None:
        """The oldest command that waits, now this reader's to heed; None when none came within `timeout_s`."""
        with self._changed:
            if not self._waiting and timeout_s > 0:
                self._changed.wait_for(lambda: self._waiting or self._reader is not reader, timeout_s)
            self._drop_expired()
            if self._reader is not reader or not self._waiting:
                return None
            ticket = self._waiting.popleft()
            ticket.handed_ns = self._clock()
            self._handed[ticket.command.request_id] = ticket
            if len(self._handed) > MOST_HANDED:
                self._handed.popitem(last=False)
            return ticket

    def answered(self, request_id: str, answer: Answer) -> None:
        """What became of a command that was handed out; anything else is not heard."""
        with self._changed:
            ticket = self._handed.pop(request_id, None)
            if ticket is not None:
                ticket.answer = answer
                self._changed.notify_all()

    def wait(self, ticket: Ticket, timeout_s: float) -> Answer | None:
        """What became of a command of this mailbox; None when that is still open after `timeout_s`."""
        with self._changed:
            left_s = max(0.0, (self._open_until_ns(ticket) - self._clock()) / 1e9)
            self._changed.wait_for(lambda: ticket.answer is not None, min(timeout_s, left_s))
            self._drop_expired()
            if ticket.answer is None and self._clock() > self._open_until_ns(ticket):
                return self._answer(
                    Outcome.UNANSWERED,
                    "it was handed over, and nothing was heard of it since: it may have been done already, and will "
                    "not be from now on",
                )
            return ticket.answer

    def leave(self, why: str) -> None:
        """Nobody reads here any more: refuse what waits."""
        with self._changed:
            self._reader = None
            while self._waiting:
                self._waiting.popleft().answer = self._answer(Outcome.REFUSED, why)
            self._changed.notify_all()

    def is_current(self, reader: Reader) -> bool:
        """Whether no newer reader has come."""
        return self._reader is reader

    @property
    def is_read(self) -> bool:
        """Whether somebody takes."""
        return self._reader is not None

    def absent_ns(self) -> int | None:
        """For how long nobody has been taking; 0 while somebody does, None when nobody ever did."""
        with self._changed:
            if self._reader is not None:
                return 0
            return None if self._left_ns is None else self._clock() - self._left_ns

    # With the lock held.

    def _drop_expired(self) -> None:
        now_ns = self._clock()
        if all(ticket.expires_ns >= now_ns for ticket in self._waiting):
            return
        for ticket in self._waiting:
            if ticket.expires_ns < now_ns:
                why = "it was not heeded in time; nothing was done: send it again"
                ticket.answer = self._answer(Outcome.TOO_LATE, why)
        self._waiting = deque(ticket for ticket in self._waiting if ticket.answer is None)
        self._changed.notify_all()

    def _open_until_ns(self, ticket: Ticket) -> int:
        return ticket.expires_ns if ticket.handed_ns is None else ticket.handed_ns + round(ANSWER_S * 1e9)

    def _answer(self, outcome: Outcome, reason: str) -> Answer:
        return Answer(outcome, reason, self.actor_id)
