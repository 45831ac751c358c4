"""The three calls about commands: a person tells something, an actor watches for it, and reports at what it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import grpc

from learner.command_book import CommandBook
from learner.lease import LeaseTable, NoLease
from learner.quotas import PlaceQuota, RateQuota
from learner.refusals import Refusals, fitting
from learner.service_settings import ServiceSettings
from nudge.v1 import learner_pb2 as pb
from policy.commands import (
    ActorOrder,
    Answer,
    InvalidCommand,
    Outcome,
    pack_order,
    unpack_answer,
    unpack_command,
)

log = logging.getLogger(__name__)

URGENT_PLACES = 2
MAX_REPORT_BYTES = 16_384  # of a state and answers; both are sentences


class CommandCalls:
    """What the servicer does on `Command`, `WatchCommands` and `ReportState`. gRPC runs each in a thread of its own."""

    def __init__(
        self,
        settings: ServiceSettings,
        book: CommandBook,
        leases: LeaseTable,
        refusals: Refusals,
        stopping: threading.Event,
    ) -> None:
        self._settings, self._book, self._leases, self._stopping = settings, book, leases, stopping
        self._refuse, self._peer_host = refusals.refuse, refusals.peer_host
        self._reports = RateQuota(settings.reports_per_s, 1.0)
        # An emergency stop has places of its own, so that nothing else keeps it out.
        self._rates = {urgent: RateQuota(settings.commands_per_s, 1.0) for urgent in (False, True)}
        most, urgent = settings.max_waiting_commands, URGENT_PLACES
        self._waiting = {False: PlaceQuota(most, most), True: PlaceQuota(urgent, urgent)}

    def command(self, request: pb.CommandRequest, context: grpc.ServicerContext) -> pb.CommandReply:
        """Pass a command on, and wait until it is known what became of it."""
        peer, urgent = self._peer_host(context), request.verb == pb.VERB_EMERGENCY_STOP
        self._take(self._rates[urgent], peer, f"{self._settings.commands_per_s:g} commands", context)
        try:
            command = unpack_command(request, self._book.now_ns())
        except InvalidCommand as error:
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        waiting = self._waiting[urgent]
        if not waiting.take(peer):
            reason = (
                f"{waiting.places} commands wait for their answer, the most that this learner "
                f"takes; wait for one of them"
            )
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        try:
            ticket = self._book.ask(command)
            answer = self._wait(lambda: self._book.wait(ticket, self._settings.idle_check_s), context)
        except InvalidCommand as error:
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        finally:
            waiting.give_back(peer)
        whom = "the learner" if command.verb.for_learner else repr(answer.actor_id or command.actor_id)
        log.info(
            "%s tells %s %s: %s", peer, whom, command.verb.words, fitting(f"{answer.outcome.words}, {answer.reason}")
        )
        return pb.CommandReply(outcome=answer.outcome.wire_name, actor_id=answer.actor_id, reason=answer.reason)

    def watch(self, session: str, context: grpc.ServicerContext) -> Iterator[pb.ActorCommand]:
        """The commands for the actor of a session."""
        mailbox, reader = self._book.open(self._actor_of(session, context), session)
        if not context.add_callback(lambda: mailbox.close(reader)):
            mailbox.close(reader)
            return
        while context.is_active() and not self._stopping.is_set():
            self._actor_of(session, context)  # another session may have got the name by now
            ticket = mailbox.take(reader, self._settings.idle_check_s)
            if ticket is not None:
                command = ticket.command
                yield pack_order(ActorOrder(command.verb, command.request_id, command.episode, ticket.expires_ns))
            elif not mailbox.is_current(reader):
                context.abort(grpc.StatusCode.ABORTED, "a newer stream of this actor has replaced this one")

    def report(
        self, session: str, request: pb.ReportStateRequest, context: grpc.ServicerContext
    ) -> pb.ReportStateReply:
        """What an actor is at, and what became of commands."""
        self._take(self._reports, self._peer_host(context), f"{self._settings.reports_per_s:g} reports", context)
        actor_id = self._actor_of(session, context)
        if request.ByteSize() > MAX_REPORT_BYTES:
            reason = f"report: got {request.ByteSize()} bytes, expected at most {MAX_REPORT_BYTES}"
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, reason)
        try:
            answers = [(each.request_id, unpack_answer(each, actor_id)) for each in request.answers]
        except InvalidCommand as error:
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        for request_id, answer in answers:
            self._book.answered(actor_id, session, request_id, answer)
        self._book.report(actor_id, session, request.state)
        return pb.ReportStateReply(now_ns=self._book.now_ns())

    def add_to(self, reply: pb.StatusReply) -> None:
        """Say in a status at what the actors are."""
        reply.now_ns = self._book.now_ns()
        reply.actors.extend(self._book.actors())

    def _wait(self, look: Callable[[], Answer | None], context: grpc.ServicerContext) -> Answer:
        """Look again and again, for as long as somebody waits for the answer."""
        while (answer := look()) is None and context.is_active():
            if self._stopping.is_set():
                return Answer(Outcome.UNANSWERED, "the learner is stopping")
        return answer or Answer(Outcome.UNANSWERED, "nobody waited for the answer")

    def _actor_of(self, session: str, context: grpc.ServicerContext) -> str:
        try:
            return self._leases.actor_of(session)
        except NoLease as error:
            self._refuse(context, grpc.StatusCode.FAILED_PRECONDITION, error)

    def _take(self, quota: RateQuota, peer: str, most: str, context: grpc.ServicerContext) -> None:
        wait_s = quota.take(peer)
        if wait_s > 0:
            reason = f"more than {most} a second come from this address; wait {wait_s:.2f} s"
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
