"""The learner's gRPC service: a server that listens, and that bears what comes.

With TLS, `learner.tls_door` stands before gRPC. `learner.admission` stands before every call, `learner.servicer` does
what the calls ask for.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NoReturn, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from learner.admission import Admission
from learner.command_calls import URGENT_PLACES
from learner.mailbox import Mailbox
from learner.peers import DoorPeers
from learner.publisher import PolicyPublisher
from learner.refusals import Refusals
from learner.security import load_security
from learner.service_settings import ServiceSettings
from learner.servicer import LearnerServicer
from learner.store import ExperienceStore
from learner.tls_door import TlsDoor
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.contract import Contract
from policy.errors import NudgeError
from policy.wire import largest_step_bytes

SPARE_THREADS = 4  # for short calls, and to refuse one too many, while all places are taken

log = logging.getLogger(__name__)


class ServiceError(NudgeError):
    """The service cannot listen."""


class LearnerServer:
    """A running service over a store and a publisher, which stay the caller's: `stop` leaves them open.

    policy_spec_json: the architecture that actors build their network from
    status: where the run stands; called for every acknowledgement, so it must be cheap and safe in any thread
    training: where commands for the trainer go; None where nothing is trained
    Raise `SecurityError` for key files that are missing or unfit, `ServiceError` for limits below what a step needs.
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
        training: Mailbox | None = None,
    ) -> None:
        _require_room_for_messages(settings, contract)
        self._settings = settings
        security = load_security(settings)
        self._tls = security.tls
        self._peers = DoorPeers(settings.max_connections)
        door = None if security.tls is None else self._peers
        self._refusals = refusals = Refusals(door=door)
        self._door = ExitStack()
        threads = settings.max_streams + settings.max_waiting_calls + settings.max_waiting_commands
        threads += URGENT_PLACES + SPARE_THREADS
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="learner-service")
        self._server = grpc.server(
            self._pool,
            interceptors=[Admission(settings, security.token, refusals, door)],
            options=_options(settings),
            maximum_concurrent_rpcs=4 * threads,
        )
        self._servicer = LearnerServicer(
            settings, contract, run_id, store, publisher, policy_spec_json, status, refusals, training
        )
        self._health = _Health()
        pb_grpc.add_LearnerServicer_to_server(self._servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def start(self) -> int:
        """Listen; return the port. Raise `ServiceError` when it is taken."""
        address = self._settings.bind_address
        try:
            port = self._server.add_insecure_port(address) if self._tls is None else self._open_door(self._tls)
        except (RuntimeError, OSError) as error:
            raise ServiceError(
                f"cannot listen on {address}: {error}; is another learner running? Stop it, or choose another port"
            ) from error
        self._server.start()
        for name in ("", "nudge.v1.Learner"):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("listening on port %d, %s TLS", port, "without" if self._tls is None else "with")
        return port

    def _open_door(self, tls: ssl.SSLContext) -> int:
        inner_port = self._server.add_insecure_port("127.0.0.1:0")
        door = TlsDoor(self._settings, tls, inner_port, self._peers, self._refusals)
        self._door.callback(door.close)
        log.info("gRPC listens behind the TLS door on 127.0.0.1:%d, and takes calls from there only", inner_port)
        return door.port

    def status(self) -> pb.StatusReply:
        """What a call of `Status` is answered, for this process itself: without a limit, and over no wire."""
        return self._servicer.status()

    def stop(self, grace_s: float = 2.0) -> None:
        """Store what has arrived, end all streams, and return when no handler runs any more. May be called twice."""
        self._health.enter_graceful_shutdown()
        self._servicer.stop()
        self._server.stop(grace_s).wait()
        self._door.close()
        self._pool.shutdown(wait=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Health(health.HealthServicer):
    """The standard service; `Check` only, because each `Watch` would hold a thread for as long as a client likes."""

    def Watch(  # noqa: N802
        self,
        request: health_pb2.HealthCheckRequest,  # noqa: ARG002  # gRPC passes both
        context: grpc.ServicerContext,
        send_response_callback: object = None,  # noqa: ARG002
    ) -> NoReturn:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "ask again with Check")


def _require_room_for_messages(settings: ServiceSettings, contract: Contract) -> None:
    needed = max(largest_step_bytes(contract), settings.chunk_bytes + 1024)
    if settings.max_message_bytes < needed:
        raise ServiceError(
            f"service.max_message_bytes: got {settings.max_message_bytes}, but a step of this contract or a chunk of a "
            f"policy may take {needed} bytes; raise it to that, and the actor's link.max_message_bytes as well"
        )


def _options(settings: ServiceSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.max_concurrent_streams", settings.max_streams_per_peer + settings.max_waiting_calls),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_timeout_s * 1000)),
        ("grpc.max_connection_idle_ms", round(settings.idle_connection_s * 1000)),
        ("grpc.keepalive_time_ms", round(settings.keepalive_time_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Of a probe too it is this time that counts, 60 s by default (measured, grpcio 1.85). Without gRPC's pings for
        # its estimate of the bandwidth: on a link that is merely slow they would wait longer behind our data.
        ("grpc.http2.ping_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
        ("grpc.http2.max_ping_strikes", 0),  # an actor on a slow host may probe early; that is no attack
        ("grpc.so_reuseport", 0),  # two learners must not share a port unnoticed
    ]
