"""One connection to the learner, from the handshake to the break. `actor.link` makes the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import grpc

from actor.link_settings import LinkSettings
from actor.security import LinkSecurity, why_refused
from actor.snapshot_assembly import SnapshotAssembler
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.errors import SnapshotError
from policy.wire import SESSION_METADATA


class _Call(Protocol):
    def cancel(self) -> object: ...


class Connection:
    """A channel with its calls. `cancel` ends it from any thread; every blocking method then raises or returns."""

    def __init__(self, settings: LinkSettings, security: LinkSecurity) -> None:
        self._settings = settings
        self._metadata = security.metadata
        # A channel of its own for every attempt: gRPC's memory of earlier failures would add to our pauses.
        if security.credentials is None:
            self._channel = grpc.insecure_channel(settings.address, _options(settings))
        else:
            self._channel = grpc.secure_channel(settings.address, security.credentials, _options(settings))
        self._stub = pb_grpc.LearnerStub(self._channel)
        self._lock = threading.Lock()
        self._calls: list[_Call] = []
        self._cancelled = threading.Event()

    def hello(self, request: pb.HelloRequest) -> pb.HelloReply:
        """Shake hands; raise `SecurityError` when keys or token are not those that the learner wants, `grpc.RpcError`
        for all else, or `grpc.FutureCancelledError` after `cancel`.
        """
        timeout_s = self._settings.call_timeout_s
        return self._judged(self._stub.Hello.future(request, timeout=timeout_s, metadata=self._metadata))

    def status(self) -> pb.StatusReply:
        """Where the run stands; raises as `hello` does."""
        timeout_s = self._settings.call_timeout_s
        return self._judged(self._stub.Status.future(pb.StatusRequest(), timeout=timeout_s, metadata=self._metadata))

    def command(self, request: pb.CommandRequest, timeout_s: float) -> pb.CommandReply:
        """Tell an actor or the learner something; raises as `hello` does."""
        return self._judged(self._stub.Command.future(request, timeout=timeout_s, metadata=self._metadata))

    def report(self, session: str, request: pb.ReportStateRequest) -> pb.ReportStateReply:
        """Say at what the actor is; raise `grpc.RpcError`, or `grpc.FutureCancelledError` after `cancel`."""
        timeout_s, metadata = self._settings.call_timeout_s, self._of(session)
        return self._answer(self._stub.ReportState.future(request, timeout=timeout_s, metadata=metadata))

    def commands(self, session: str) -> Iterator[pb.ActorCommand]:
        """What people tell the actor; raise `grpc.RpcError` when that breaks."""
        watch = self._stub.WatchCommands(pb.WatchCommandsRequest(), metadata=self._of(session))
        with self._registered(watch):
            yield from watch

    def run(
        self,
        session: str,
        outgoing: Callable[[threading.Event], Iterator[pb.Step]],
        on_ack: Callable[[pb.Ack], None],
        known_version: int,
        on_snapshot: Callable[[int, bytes], None],
        beside: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Send steps and take acknowledgements and snapshots until the connection breaks.

        outgoing: the steps to send; it ends soon after the given event is set
        beside: what else goes on meanwhile, each in a thread of its own, until the connection is `gone`; raises nothing
        Raise `grpc.RpcError` of the call that broke first, or `SnapshotError`.
        """
        steps = self._stub.StreamExperience(outgoing(self._cancelled), metadata=self._of(session))
        self._register(steps)
        broken: list[grpc.RpcError | SnapshotError] = []
        watcher = threading.Thread(
            target=self._watch, args=(known_version, on_snapshot, broken), daemon=True, name="link-policy"
        )
        threads = [watcher, *(threading.Thread(target=part, daemon=True, name="link-beside") for part in beside)]
        for thread in threads:
            thread.start()
        try:
            for ack in steps:
                on_ack(ack)
        except grpc.RpcError:
            if not broken:
                raise
        finally:
            self.cancel()
            for thread in threads:
                thread.join()
        if broken:
            raise broken[0]

    def cancel(self) -> None:
        """End all calls, and those that come. May be called twice."""
        with self._lock:
            self._cancelled.set()
            calls = list(self._calls)
        for call in calls:
            call.cancel()

    def close(self) -> None:
        """Give the channel back."""
        self.cancel()
        self._channel.close()

    def gone(self, timeout_s: float) -> bool:
        """Wait `timeout_s`; True, at once, when the connection has ended."""
        return self._cancelled.wait(timeout_s)

    def _of(self, session: str) -> tuple[tuple[str, str], ...]:
        """The metadata of an actor's call."""
        return *self._metadata, (SESSION_METADATA, session)

    def _judged[T](self, call: grpc.CallFuture[T]) -> T:
        """The answer to one who is not known to fit the learner yet."""
        try:
            return self._answer(call)
        except grpc.RpcError as error:
            refused = None if self._cancelled.is_set() else why_refused(error, self._settings)
            if refused is not None:
                raise refused from error
            raise

    def _answer[T](self, call: grpc.CallFuture[T]) -> T:
        with self._registered(call):
            return call.result()

    @contextmanager
    def _registered(self, call: _Call) -> Iterator[None]:
        """A call that `cancel` ends, for as long as this lasts."""
        self._register(call)
        try:
            yield
        finally:
            with self._lock:
                self._calls = [each for each in self._calls if each is not call]

    def _register(self, call: _Call) -> None:
        with self._lock:
            self._calls.append(call)
            cancelled = self._cancelled.is_set()
        if cancelled:
            call.cancel()

    def _watch(
        self,
        known_version: int,
        on_snapshot: Callable[[int, bytes], None],
        broken: list[grpc.RpcError | SnapshotError],
    ) -> None:
        """Take snapshots; when that breaks, the whole connection ends, so that one rule restores both."""
        assembler = SnapshotAssembler(self._settings.max_snapshot_bytes)
        watch = self._stub.WatchPolicy(pb.WatchPolicyRequest(known_version=known_version), metadata=self._metadata)
        self._register(watch)
        try:
            for chunk in watch:
                snapshot = assembler.add(chunk)
                if snapshot is not None:
                    on_snapshot(*snapshot)
        except (grpc.RpcError, SnapshotError) as error:
            if not self._cancelled.is_set():
                broken.append(error)
                self.cancel()


def _options(settings: LinkSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", round(settings.keepalive_time_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Of a probe too it is this time that counts, 60 s by default (measured, grpcio 1.85). Without gRPC's pings for
        # its estimate of the bandwidth: on a link that is merely slow they would wait longer behind our data.
        ("grpc.http2.ping_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),  # a proxy of the environment is meant for the web
    ]
