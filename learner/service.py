"""The learner's gRPC service: handshake, experience in, policies out, status.

A client can end its own stream with a bad message, never the service: every refusal has a status code and a reason.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from learner.handshake import HelloInvalid, check_hello
from learner.inbox import Inbox
from learner.lease import LeaseHeld, LeaseTable, NoLease
from learner.publisher import PolicyPublisher, Published
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore, StoreError
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.contract import Contract
from policy.errors import ContractMismatch, InvalidExperience, NudgeError
from policy.wire import PROTOCOL_VERSION, SESSION_METADATA, pack_step_id

SPARE_THREADS = 4  # for unary calls, and to refuse a stream too many, while all streams are taken
MAX_REASON = 2000  # characters: a status travels in HTTP/2 headers, which gRPC limits to 8 KB

log = logging.getLogger(__name__)


class ServiceError(NudgeError):
    """The service cannot listen."""


class LearnerServer:
    """A running service over a store and a publisher, which stay the caller's: `stop` leaves them open.

    policy_spec_json: the architecture that actors build their network from
    status: where the run stands; called for every acknowledgement, so it must be cheap and safe in any thread
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
    ) -> None:
        self._settings = settings
        threads = settings.max_streams + SPARE_THREADS
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="learner-service")
        self._server = grpc.server(
            self._pool, options=_options(settings), maximum_concurrent_rpcs=threads + SPARE_THREADS
        )
        self._handlers = _Handlers(settings, contract, run_id, store, publisher, policy_spec_json, status)
        self._health = health.HealthServicer()
        pb_grpc.add_LearnerServicer_to_server(self._handlers, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def start(self) -> int:
        """Listen; return the port. Raise `ServiceError` when it is taken."""
        address = self._settings.bind_address
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ServiceError(
                f"cannot listen on {address}: {error}; is another learner running? Stop it, or choose another port"
            ) from error
        self._server.start()
        for name in ("", "nudge.v1.Learner"):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("listening on port %d", port)
        return port

    def stop(self, grace_s: float = 2.0) -> None:
        """Store what has arrived, end all streams, and return when no handler runs any more. May be called twice."""
        self._health.enter_graceful_shutdown()
        self._handlers.stop()
        self._server.stop(grace_s).wait()
        self._pool.shutdown(wait=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Handlers(pb_grpc.LearnerServicer):
    """The four calls. gRPC runs each in a thread of the pool."""

    def __init__(
        self,
        settings: ServiceSettings,
        contract: Contract,
        run_id: str,
        store: ExperienceStore,
        publisher: PolicyPublisher,
        policy_spec_json: str,
        status: Callable[[], pb.StatusReply],
    ) -> None:
        self._settings = settings
        self._contract = contract
        self._run_id = run_id
        self._store = store
        self._publisher = publisher
        self._policy_spec_json = policy_spec_json
        self._status = status
        self._leases = LeaseTable()
        self._free_streams = threading.Semaphore(settings.max_streams)
        self._stopping = threading.Event()
        self._last_step_s: float | None = None  # monotonic

    def stop(self) -> None:
        self._stopping.set()

    def Hello(  # noqa: N802  # the name in the .proto
        self, request: pb.HelloRequest, context: grpc.ServicerContext
    ) -> pb.HelloReply:
        try:
            check_hello(request, self._contract)
            self._leases.hello(request.actor_id, request.session)
        except HelloInvalid as error:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        except ContractMismatch as error:
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, error)
        except LeaseHeld as error:
            _abort(context, grpc.StatusCode.ALREADY_EXISTS, error)
        log.info("actor %r says hello, session %s", request.actor_id, request.session[:8])
        newest, durable = self._publisher.latest(), self._store.last_durable(request.session)
        return pb.HelloReply(
            protocol_version=PROTOCOL_VERSION,
            run_id=self._run_id,
            last_durable=None if durable is None else pack_step_id(durable),
            policy_version=0 if newest is None else newest.version,
            policy_spec_json=self._policy_spec_json,
        )

    def StreamExperience(  # noqa: N802
        self, request_iterator: Iterator[pb.Step], context: grpc.ServicerContext
    ) -> Iterator[pb.Ack]:
        session = str(dict(context.invocation_metadata()).get(SESSION_METADATA, ""))
        inbox = Inbox(self._settings.inbox_bytes)
        self._take_stream(context)
        try:
            lease = self._leases.open_stream(session, inbox.close)
        except NoLease as error:
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, error)
        # The callback comes however the call ends; a generator that is never resumed would keep the lease.
        if not context.add_callback(lambda: self._leases.close_stream(lease)):
            self._leases.close_stream(lease)
            return
        threading.Thread(target=inbox.fill, args=(request_iterator,), daemon=True, name="experience-reader").start()
        yield self._ack(session)
        yield from self._store_and_acknowledge(session, inbox, context)
        if lease.replaced:
            context.abort(grpc.StatusCode.ABORTED, "a newer stream of this session has replaced this one")
        self._abort_if_stopping(context)

    def WatchPolicy(  # noqa: N802
        self, request: pb.WatchPolicyRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.PolicyChunk]:
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
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.StatusReply:
        reply = pb.StatusReply()
        reply.CopyFrom(self._status())
        reply.last_step_age_s = -1.0 if self._last_step_s is None else time.monotonic() - self._last_step_s
        return reply

    def _store_and_acknowledge(self, session: str, inbox: Inbox, context: grpc.ServicerContext) -> Iterator[pb.Ack]:
        """Group commit: whatever waits goes into one transaction, then one acknowledgement follows."""
        sent_behind = -1
        while not inbox.ended:
            batch = inbox.take(self._settings.idle_check_s)
            if self._stopping.is_set():
                inbox.close()
            if batch:
                self._store_batch(session, batch, context)
            ack = self._ack(session)
            # An actor that waits for the learner sends nothing: it must hear that the learner has caught up.
            if batch or ack.steps_behind != sent_behind:
                sent_behind = ack.steps_behind
                yield ack

    def _store_batch(self, session: str, batch: list[pb.Step], context: grpc.ServicerContext) -> None:
        try:
            for message in batch:
                if message.id.session != session:
                    raise InvalidExperience(
                        f"step of session {message.id.session[:8]!r}: this stream belongs to session {session[:8]!r}"
                    )
            self._store.append(batch)
        except InvalidExperience as error:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        except StoreError as error:
            _abort(context, grpc.StatusCode.INTERNAL, error)
        self._last_step_s = time.monotonic()

    def _ack(self, session: str) -> pb.Ack:
        durable = self._store.last_durable(session)
        return pb.Ack(
            last_durable=None if durable is None else pack_step_id(durable), steps_behind=self._status().steps_behind
        )

    def _take_stream(self, context: grpc.ServicerContext) -> None:
        """Count this call as an open stream until it ends, or refuse it."""
        self._abort_if_stopping(context)
        if not self._free_streams.acquire(blocking=False):
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self._settings.max_streams} streams are open, the most that this learner takes; close an actor, or "
                f"raise max_streams",
            )
        if not context.add_callback(self._free_streams.release):
            self._free_streams.release()

    def _abort_if_stopping(self, context: grpc.ServicerContext) -> None:
        if self._stopping.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, "the learner is stopping")


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


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, error: NudgeError) -> NoReturn:
    """End the call with a reason; a long one loses its middle, its end says what to do."""
    text = str(error)
    if len(text) > MAX_REASON:
        text = f"{text[: MAX_REASON - 400]}\n… {len(text) - MAX_REASON} characters left out …\n{text[-380:]}"
    log.warning("refused (%s): %s", code.name, text)
    context.abort(code, text)


def _options(settings: ServiceSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", round(settings.keepalive_time_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
        ("grpc.http2.max_ping_strikes", 0),  # an actor on a slow host may probe early; that is no attack
        ("grpc.so_reuseport", 0),  # two learners must not share a port unnoticed
    ]
