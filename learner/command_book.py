"""Who is there to be told something, at what each is, and what was told: the learner's memory of commands."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from learner.mailbox import Mailbox, Reader, Ticket
from learner.service_settings import ServiceSettings
from nudge.v1 import learner_pb2 as pb
from policy.clock import since_boot_ns
from policy.commands import Answer, Command, InvalidCommand, Outcome

REMEMBERED = 1024  # commands whose retry gets the answer of the first attempt


@dataclass(slots=True)
class _Actor:
    session: str
    mailbox: Mailbox
    state: pb.ActorState | None = None
    reported_ns: int = 0


class CommandBook:
    """Safe to use from any thread.

    training: the trainer's mailbox; None where nothing is trained
    """

    def __init__(
        self, settings: ServiceSettings, training: Mailbox | None, clock: Callable[[], int] = since_boot_ns
    ) -> None:
        self._settings, self._training, self._clock = settings, training, clock
        self._max_age_ns = round(settings.command_max_age_s * 1e9)
        self._lock = threading.Lock()
        self._tickets: OrderedDict[str, Ticket] = OrderedDict()  # by request id
        self._actors: dict[str, _Actor] = {}

    def now_ns(self) -> int:
        """The learner's clock."""
        return self._clock()

    # What people's tools ask.

    def ask(self, command: Command) -> Ticket:
        """Pass a command on, or answer it at once; one that came before gets the ticket that it has.

        Raise `InvalidCommand` where the request id was another command's.
        """
        with self._lock:
            ticket = self._tickets.get(command.request_id)
            if ticket is not None:
                if replace(command, asked_ns=ticket.command.asked_ns) != ticket.command:
                    raise InvalidCommand(
                        f"request_id: {command.request_id} came before with {ticket.command.verb.words}; only a retry "
                        f"of the same command carries the same id"
                    )
                return ticket
            ticket = Ticket(command, (command.asked_ns or self._clock()) + self._max_age_ns)
            self._tickets[command.request_id] = ticket
            if len(self._tickets) > REMEMBERED:
                self._tickets.popitem(last=False)
            self._send(ticket)
            return ticket

    def wait(self, ticket: Ticket, timeout_s: float) -> Answer | None:
        """What became of a command; None when that is still open after `timeout_s`."""
        return ticket.answer if ticket.mailbox is None else ticket.mailbox.wait(ticket, timeout_s)

    def actors(self) -> list[pb.ActorStatus]:
        """The actors that have told at what they are, sorted by name."""
        now_ns, found = self._clock(), list[pb.ActorStatus]()
        with self._lock:
            for actor_id, actor in sorted(self._actors.items()):
                absent_ns = actor.mailbox.absent_ns()
                forgotten = absent_ns is not None and absent_ns > self._settings.lease_s * 1e9
                if actor.state is not None and not forgotten:
                    age_s = (now_ns - actor.reported_ns) / 1e9
                    connected = absent_ns == 0
                    found.append(pb.ActorStatus(actor_id=actor_id, connected=connected, age_s=age_s, state=actor.state))
        return found

    # What actors do. Whoever calls has seen that the session holds the lease of the actor's name.

    def open(self, actor_id: str, session: str) -> tuple[Mailbox, Reader]:
        """An actor watches for commands."""
        with self._lock:
            mailbox = self._actor(actor_id, session).mailbox
            return mailbox, mailbox.open()

    def report(self, actor_id: str, session: str, state: pb.ActorState) -> None:
        """What an actor is at."""
        with self._lock:
            actor = self._actor(actor_id, session)
            actor.state, actor.reported_ns = state, self._clock()

    def answered(self, actor_id: str, session: str, request_id: str, answer: Answer) -> None:
        """An actor says what became of a command."""
        with self._lock:
            mailbox = self._actor(actor_id, session).mailbox
        mailbox.answered(request_id, answer)

    # With the lock held.

    def _actor(self, actor_id: str, session: str) -> _Actor:
        actor = self._actors.get(actor_id)
        if actor is not None and actor.session == session:
            return actor
        if actor is not None:  # what was meant for the one before is not for this one
            actor.mailbox.leave(f"another process is actor {actor_id!r} by now")
        elif len(self._actors) >= self._settings.max_actors:
            self._actors = {name: each for name, each in self._actors.items() if each.mailbox.is_read}
        mailbox = Mailbox(f"actor {actor_id!r}", actor_id, self._settings.command_queue, self._clock)
        made = self._actors[actor_id] = _Actor(session, mailbox)
        return made

    def _send(self, ticket: Ticket) -> None:
        if ticket.command.verb.for_learner:
            self._send_to_trainer(ticket)
            return
        chosen = self._addressee(ticket.command.actor_id)
        if isinstance(chosen, Answer):
            ticket.answer = chosen
        else:
            chosen.put(ticket)

    def _send_to_trainer(self, ticket: Ticket) -> None:
        if self._training is None:
            ticket.answer = Answer(Outcome.REFUSED, "this learner does not train")
        elif not self._training.is_read:
            ticket.answer = Answer(Outcome.REFUSED, "training has not begun, or is over; see the learner's phase")
        else:
            self._training.put(ticket)

    def _addressee(self, actor_id: str) -> Mailbox | Answer:
        """Whose command it is. One whose link broke a moment ago may be back before the command is too old."""
        absent_ns = {name: actor.mailbox.absent_ns() for name, actor in self._actors.items()}
        here = [name for name, absent in absent_ns.items() if absent == 0]
        back_soon = [name for name, absent in absent_ns.items() if absent is not None and absent <= self._max_age_ns]
        if actor_id:
            if actor_id in back_soon:
                return self._actors[actor_id].mailbox
            known = f"connected: {', '.join(sorted(here))}" if here else "no actor is connected"
            return Answer(Outcome.NO_ACTOR, f"actor {actor_id!r} is not connected, or takes no commands; {known}")
        candidates = here or back_soon
        if not candidates:
            return Answer(Outcome.NO_ACTOR, "no actor is connected that takes commands")
        if len(candidates) > 1:
            return Answer(Outcome.REFUSED, f"say which actor; connected: {', '.join(sorted(candidates))}")
        return self._actors[candidates[0]].mailbox
