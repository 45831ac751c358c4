"""What the learner does on each of its calls: handshake, experience in, policies out, status, commands.

A client can end its own stream with a bad message, never the service: every refusal has a status code and a reason.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import grpc

from learner.command_book import CommandBook
from learner.command_calls import CommandCalls
from learner.handshake import HelloInvalid, check_hello
from learner.inbox import Inbox
from learner.judges import OtherJudge, require_same_judge
from learner.lease import LeaseHeld, LeaseTable, NoLease, StreamLease, TooManyActors
from learner.mailbox import Mailbox
from learner.publisher import PolicyPublisher, Published
from learner.quotas import PlaceQuota, RateQuota
from learner.refusals import Refusals
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore, StoreError, StoreFull
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.contract import Contract
from policy.errors import ContractMismatch, InvalidExperience
from policy.wire import PROTOCOL_VERSION, SESSION_METADATA, pack_step_id

log = logging.getLogger(__name__)


class LearnerServicer(pb_grpc.LearnerServicer):
    """All calls. gRPC runs each in a thread of the server's pool.

    policy_spec_json: the architecture that actors build their network from
    status: where the run stands; called for every acknowledgement, so it must be cheap and safe in any thread
    training: where commands for the trainer go; None where nothing is trained
    """

    def __init__(
        self,
        settings: ServiceSettings,
        contract: Contract,
        run_id: str,
        store: ExperienceStore,
        publisher: PolicyPublisher,
        policy_spec_json: str,
        status: Callable[[], pb.StatusReply],
        refusals: Refusals,
        training: Mailbox | None = None,
    ) -> None:
        self._settings = settings
        self._contract = contract
        self._run_id = run_id
        self._store = store
        self._publisher = publisher
        self._policy_spec_json = policy_spec_json
        self._status = status
        self._refuse, self._peer_host = refusals.refuse, refusals.peer_host
        self._leases = LeaseTable(settings.lease_s, settings.max_actors)
        self._streams = PlaceQuota(settings.max_streams, settings.max_streams_per_peer)
        self._status_calls = RateQuota(settings.status_calls_per_s, 1.0)
        self._stopping = threading.Event()
        book = CommandBook(settings, training)
        self._commands = CommandCalls(settings, book, self._leases, refusals, self._stopping)
        self._last_step_s: float | None = None  # monotonic

    def stop(self) -> None:
        """Let every stream end with what has arrived."""
        self._stopping.set()

    def status(self) -> pb.StatusReply:
        """Where the run stands, for whoever asks."""
        reply = pb.StatusReply()
        reply.CopyFrom(self._status())
        reply.last_step_age_s = -1.0 if self._last_step_s is None else time.monotonic() - self._last_step_s
        self._commands.add_to(reply)
        return reply

    def Hello(  # noqa: N802  # the name in the .proto
        self, request: pb.HelloRequest, context: grpc.ServicerContext
    ) -> pb.HelloReply:
        """Check that the actor fits, and give it the lease of its id."""
        try:
            check_hello(request, self._contract, self._settings.max_contract_bytes)
            require_same_judge(request.judge, self._store.judge())
            self._leases.hello(request.actor_id, request.session, request.judge)
        except HelloInvalid as error:
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        except (ContractMismatch, OtherJudge) as error:
            self._refuse(context, grpc.StatusCode.FAILED_PRECONDITION, error)
        except LeaseHeld as error:
            self._refuse(context, grpc.StatusCode.ALREADY_EXISTS, error)
        except TooManyActors as error:
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, error)
        log.info("actor %r says hello, session %s", request.actor_id, request.session[:8])
        newest, durable = self._publisher.latest(), self._store.last_durable(request.session)
        return pb.HelloReply(
            protocol_version=PROTOCOL_VERSION,
            run_id=self._run_id,
            last_durable=None if durable is None else pack_step_id(durable),
            policy_version=0 if newest is None else newest.version,
            policy_spec_json=self._policy_spec_json,
            shared_demonstrations=self._store.shared_demonstrations(),
        )

    def StreamExperience(  # noqa: N802
        self, request_iterator: Iterator[pb.Step], context: grpc.ServicerContext
    ) -> Iterator[pb.Ack]:
        """Store steps, acknowledge what is durable."""
        session = _session(context)
        inbox = Inbox(self._settings.inbox_bytes)
        self._take_stream(context)
        try:
            lease = self._leases.open_stream(session, inbox.close)
        except NoLease as error:
            self._refuse(context, grpc.StatusCode.FAILED_PRECONDITION, error)

        def end() -> None:
            inbox.close()  # else its reader would wait for room that nobody makes
            self._leases.close_stream(lease)

        # The callback comes however the call ends; a generator that is never resumed would keep lease and reader.
        if not context.add_callback(end):
            end()
            return
        threading.Thread(target=inbox.fill, args=(request_iterator,), daemon=True, name="experience-reader").start()
        yield self._ack(session)
        yield from self._store_and_acknowledge(lease, inbox, context)
        if lease.replaced:
            context.abort(grpc.StatusCode.ABORTED, "a newer stream of this session has replaced this one")
        self._abort_if_stopping(context)

    def WatchPolicy(  # noqa: N802
        self, request: pb.WatchPolicyRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.PolicyChunk]:
        """Send each policy that is newer than the one known, the newest only."""
        self._take_stream(context)
        known = request.known_version
        while context.is_active() and not self._stopping.is_set() and not self._publisher.closed:
            newest = self._publisher.wait_newer(known, self._settings.idle_check_s)
            if newest is not None:
                yield from _chunks(newest, self._settings.chunk_bytes)
                known = newest.version
        self._abort_if_stopping(context)

    def Status(  # noqa: N802
        self,
        request: pb.StatusRequest,  # noqa: ARG002  # gRPC passes both
        context: grpc.ServicerContext,
    ) -> pb.StatusReply:
        """Where the run stands."""
        wait_s = self._status_calls.take(self._peer_host(context))
        if wait_s > 0:
            reason = f"more than {self._settings.status_calls_per_s:g} status calls a second; wait {wait_s:.2f} s"
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        return self.status()

    def Command(  # noqa: N802
        self, request: pb.CommandRequest, context: grpc.ServicerContext
    ) -> pb.CommandReply:
        """A person tells something."""
        return self._commands.command(request, context)

    def WatchCommands(  # noqa: N802
        self,
        request: pb.WatchCommandsRequest,  # noqa: ARG002  # gRPC passes both
        context: grpc.ServicerContext,
    ) -> Iterator[pb.ActorCommand]:
        """Send an actor what people tell it."""
        self._take_stream(context)
        yield from self._commands.watch(_session(context), context)
        self._abort_if_stopping(context)

    def ReportState(  # noqa: N802
        self, request: pb.ReportStateRequest, context: grpc.ServicerContext
    ) -> pb.ReportStateReply:
        """Remember at what an actor is."""
        return self._commands.report(_session(context), request, context)

    def _store_and_acknowledge(
        self, lease: StreamLease, inbox: Inbox, context: grpc.ServicerContext
    ) -> Iterator[pb.Ack]:
        """Group commit: whatever waits goes into one transaction, then one acknowledgement follows."""
        sent_behind = -1
        while not inbox.ended:
            batch = inbox.take(self._settings.idle_check_s)
            if self._stopping.is_set():
                inbox.close()
            if batch:
                self._store_batch(lease, batch, context)
            ack = self._ack(lease.session)
            # An actor that waits for the learner sends nothing: it must hear that the learner has caught up.
            if batch or ack.steps_behind != sent_behind:
                sent_behind = ack.steps_behind
                yield ack
        if inbox.error is not None:
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, inbox.error)

    def _store_batch(self, lease: StreamLease, batch: list[pb.Step], context: grpc.ServicerContext) -> None:
        session = lease.session
        self._check_unfinished(session, batch, context)
        try:
            for message in batch:
                if message.id.session != session:
                    raise InvalidExperience(
                        f"step of session {message.id.session[:8]!r}: this stream belongs to session {session[:8]!r}"
                    )
            self._store.keep_to_judge(lease.judge)
            self._store.append(batch)
        except InvalidExperience as error:
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        except OtherJudge as error:
            self._refuse(context, grpc.StatusCode.FAILED_PRECONDITION, error)
        except StoreFull as error:  # the actor keeps its steps and comes back
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, error)
        except StoreError as error:
            self._refuse(context, grpc.StatusCode.INTERNAL, error)
        self._last_step_s = time.monotonic()

    def _check_unfinished(self, session: str, batch: list[pb.Step], context: grpc.ServicerContext) -> None:
        """Refuse a session that opens episode after episode; one of them may be the running one."""
        begun = {message.id.episode for message in batch if message.id.step == 0}
        ended = {message.id.episode for message in batch if message.terminated or message.truncated}
        if not begun - ended:
            return
        unfinished = self._store.unfinished_episodes(session) + len(begun - ended)
        if unfinished > self._settings.max_unfinished_episodes:
            reason = (
                f"session {session[:8]}: {unfinished} episodes without an end, the most that this learner takes is "
                f"{self._settings.max_unfinished_episodes}; end each episode, or raise service.max_unfinished_episodes"
            )
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)

    def _ack(self, session: str) -> pb.Ack:
        durable = self._store.last_durable(session)
        return pb.Ack(
            last_durable=None if durable is None else pack_step_id(durable), steps_behind=self._status().steps_behind
        )

    def _take_stream(self, context: grpc.ServicerContext) -> None:
        """Count this call as an open stream until it ends, or refuse it."""
        self._abort_if_stopping(context)
        peer = self._peer_host(context)
        if not self._streams.take(peer):
            reason = (
                f"{self._streams.places} streams are open, or {self._streams.per_peer} from one address: the most that "
                f"this learner takes; close an actor, or raise service.max_streams and service.max_streams_per_peer"
            )
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        if not context.add_callback(lambda: self._streams.give_back(peer)):
            self._streams.give_back(peer)

    def _abort_if_stopping(self, context: grpc.ServicerContext) -> None:
        if self._stopping.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, "the learner is stopping")


def _session(context: grpc.ServicerContext) -> str:
    return str(dict(context.invocation_metadata()).get(SESSION_METADATA, ""))


def _chunks(snapshot: Published, chunk_bytes: int) -> Iterator[pb.PolicyChunk]:
    total = len(snapshot.data)
    for offset in range(0, total, chunk_bytes):
        yield pb.PolicyChunk(
            version=snapshot.version,
            sha256=snapshot.sha256,
            total_bytes=total,
            offset=offset,
            data=snapshot.data[offset : offset + chunk_bytes],
        )
