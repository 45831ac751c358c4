"""The door before gRPC: who is refused and how that is logged, and that all others notice nothing of it."""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import pytest

from learner.peers import DoorPeers
from learner.publisher import PolicyPublisher
from learner.refusals import EVERY_S, Refusals
from learner.security import load_security
from learner.service import LearnerServer, ServiceError
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore
from learner.tls_door import TlsDoor
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.fakes import fake_contract, fake_episode
from policy.wire import PROTOCOL_VERSION, SESSION_METADATA, TOKEN_METADATA, pack_step
from waiting import Clock, eventually

CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)
SESSION = "a" * 32
SOON_S = 20.0
ELSEWHERE = "127.0.0.2"  # stands for another machine: the door itself reaches gRPC from 127.0.0.1
STATUS = "/nudge.v1.Learner/Status"


def settings_with(folder: Path, ca: Path | None = None, **settings: object) -> ServiceSettings:
    files = {"ca": ca or folder / "ca.pem", "certificate": folder / "server.pem", "key": folder / "server.key"}
    return ServiceSettings.model_validate({"port": 0, "tls": files} | settings)


def client_context(folder: Path, certificate: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "ca.pem")
    if certificate is not None:
        context.load_cert_chain(certificate / "client.pem", certificate / "client.key")
    return context


def dialled(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), SOON_S, source_address=(ELSEWHERE, 0))


def encrypted(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = dialled(port)
    try:
        return context.wrap_socket(plain, server_hostname="127.0.0.1")
    except OSError:
        plain.close()
        raise


def ended(sock: socket.socket) -> bool:
    """Wait for the other side to end the connection; whatever comes before is dropped."""
    with suppress(ConnectionError, ssl.SSLError):
        while sock.recv(1 << 16):
            pass
    return True


class Inner:
    """A server in clear behind the door: it hands out its connections."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SOON_S)
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> socket.socket:
        sock, _ = self._listener.accept()
        sock.settimeout(SOON_S)
        return sock

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inner() -> Iterator[Inner]:
    made = Inner()
    yield made
    made.close()


@contextmanager
def door(settings: ServiceSettings, inner: Inner, clock: Clock) -> Iterator[TlsDoor]:
    context = load_security(settings).tls
    assert context is not None
    made = TlsDoor(settings, context, inner.port, DoorPeers(settings.max_connections), Refusals(clock))
    try:
        yield made
    finally:
        made.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def shake(port: int, folder: Path, certificate: Path | None, version: ssl.TLSVersion | None = None) -> None:
    context = client_context(folder, certificate)
    if version is not None:
        context.maximum_version = version
    with suppress(OSError), encrypted(port, context) as sock:
        ended(sock)


def say(port: int, data: bytes) -> None:
    with dialled(port) as sock:
        sock.sendall(data)
        assert ended(sock)


BAD: dict[str, tuple[str, Callable[[int, Path], None]]] = {
    "of another authority": (
        "certificate does not convince us: another authority has signed it",
        lambda port, keys: shake(port, keys / "ours", keys / "theirs"),
    ),
    "without a certificate": ("shows no certificate", lambda port, keys: shake(port, keys / "ours", None)),
    "who does not trust us": ("does not trust our", lambda port, keys: shake(port, keys / "theirs", keys / "ours")),
    "with an old TLS": (
        "older TLS than 1.3",
        lambda port, keys: shake(port, keys / "ours", keys / "ours", ssl.TLSVersion.TLSv1_2),
    ),
    "in clear": ("without TLS", lambda port, _: say(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    "of the web": ("HTTP without TLS", lambda port, _: say(port, b"GET / HTTP/1.1\r\n\r\n")),
    "who says nothing": ("did not finish the handshake in time", lambda port, _: say(port, b"")),
    "who hangs up": ("hung up in the middle", lambda port, _: dialled(port).close()),
}


@pytest.mark.parametrize("who", BAD)
def test_a_peer_is_refused_with_address_and_cause_once_and_counted_later(
    keys: Path, inner: Inner, clock: Clock, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    cause, knock = BAD[who]
    with door(settings_with(keys / "ours", handshake_timeout_s=0.5), inner, clock) as made:
        for _ in range(3):
            knock(made.port, keys)
        eventually(lambda: len(warnings(caplog)) > 0)
        eventually(lambda: [since for _, since in made._refusals._seen.values()] == [2])  # the other two
        (line,) = warnings(caplog)
        assert line.startswith(f"refused {ELSEWHERE} (UNAUTHENTICATED): no TLS with this peer: it")
        assert cause in line
        clock.now_s += EVERY_S
        knock(made.port, keys)
        eventually(lambda: len(warnings(caplog)) > 1)
        assert f"refused {ELSEWHERE} (UNAUTHENTICATED) (and 2 times since the last line): " in warnings(caplog)[1]


def test_an_expired_certificate_is_refused_as_such(
    keys: Path, inner: Inner, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with door(settings_with(keys / "ours", ca=keys / "old" / "ca.pem"), inner, clock) as made:
        shake(made.port, keys / "ours", keys / "old")
        eventually(lambda: len(warnings(caplog)) > 0)
    (line,) = warnings(caplog)
    assert f"refused {ELSEWHERE}" in line
    assert "its certificate does not convince us: certificate has expired" in line


def test_bytes_pass_both_ways_and_when_one_side_ends_so_does_the_other(keys: Path, inner: Inner, clock: Clock) -> None:
    context, data = client_context(keys / "ours", keys / "ours"), os.urandom(1 << 20)
    with door(settings_with(keys / "ours"), inner, clock) as made:
        for peer_ends in (True, False):
            with encrypted(made.port, context) as outer, inner.accept() as behind:
                for sender, receiver in ((outer, behind), (behind, outer)):
                    sending = threading.Thread(target=sender.sendall, args=(data,))
                    sending.start()
                    got = bytearray()
                    while len(got) < len(data):
                        got += receiver.recv(1 << 16)
                    sending.join()
                    assert got == data
                behind.sendall(b"last words")
                if peer_ends:
                    outer.close()
                    assert ended(behind)
                else:
                    behind.close()
                    assert outer.recv(100) == b"last words"
                    assert ended(outer)
        eventually(lambda: not made._connections)


def test_a_peer_that_takes_nothing_holds_up_the_sender_and_is_then_given_up(
    keys: Path, inner: Inner, clock: Clock
) -> None:
    settings = settings_with(keys / "ours", keepalive_time_s=1, keepalive_timeout_s=0.5)
    with (
        door(settings, inner, clock) as made,
        encrypted(made.port, client_context(keys / "ours", keys / "ours")) as outer,
        inner.accept() as behind,
    ):
        with pytest.raises(ConnectionError):
            behind.sendall(bytes(1 << 27))  # more than the kernel's buffers hold
        eventually(lambda: not made._connections)
        assert outer.fileno() >= 0  # it was there all the time


def test_connections_beyond_the_limit_are_closed_and_the_earlier_ones_stay(
    keys: Path, inner: Inner, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_with(keys / "ours", max_connections=3, handshake_timeout_s=300)
    with door(settings, inner, clock) as made, ExitStack() as stack:
        context = client_context(keys / "ours", keys / "ours")
        outer, behind = stack.enter_context(encrypted(made.port, context)), stack.enter_context(inner.accept())
        for _ in range(2):
            stack.enter_context(dialled(made.port))
        eventually(lambda: len(made._connections) == 3)
        for _ in range(5):
            assert ended(stack.enter_context(dialled(made.port)))
        behind.sendall(b"still here")
        assert outer.recv(100) == b"still here"
        (line,) = warnings(caplog)
        assert line.startswith(f"refused {ELSEWHERE} (RESOURCE_EXHAUSTED): 3 connections are open; raise service.max")


def test_closing_ends_everything_and_leaves_nothing_behind(
    keys: Path, inner: Inner, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        context = client_context(keys / "ours", keys / "ours")
        with door(settings_with(keys / "ours"), inner, clock) as made:
            shaking = stack.enter_context(dialled(made.port))
            outer, behind = stack.enter_context(encrypted(made.port, context)), stack.enter_context(inner.accept())
            eventually(lambda: len(made._connections) == 2)
        assert all(ended(sock) for sock in (shaking, outer, behind))
        made.close()  # twice
        with pytest.raises(ConnectionRefusedError):
            dialled(made.port)
    assert "learner-tls-door" not in {thread.name for thread in threading.enumerate()}
    assert not caplog.records


def test_whose_a_connection_was_is_remembered_within_bounds() -> None:
    class Call:
        def __init__(self, port: int) -> None:
            self.port = port

        def peer(self) -> str:
            return f"ipv4:127.0.0.1:{self.port}"

    peers = DoorPeers(2)
    for port in (1, 2, 3):
        peers.enter(("127.0.0.1", port), f"10.0.0.{port}")
        peers.leave(("127.0.0.1", port))
    peers.enter(("127.0.0.1", 3), "10.0.0.4")
    assert [peers.host(Call(port)) for port in (1, 2, 3)] == [None, "10.0.0.2", "10.0.0.4"]  # type: ignore[arg-type]
    assert [peers.is_open(Call(port)) for port in (1, 2, 3)] == [False, False, True]  # type: ignore[arg-type]


class Learner:
    def __init__(self, port: int, inner_port: int, publisher: PolicyPublisher, store: ExperienceStore) -> None:
        self.port, self.inner_port, self.publisher, self.store = port, inner_port, publisher, store


@contextmanager
def learning(folder: Path, settings: ServiceSettings, caplog: pytest.LogCaptureFixture) -> Iterator[Learner]:
    caplog.set_level(logging.INFO)
    publisher = PolicyPublisher()
    with ExitStack() as stack:
        store = stack.enter_context(ExperienceStore(folder / "experience.sqlite", CONTRACT))
        server = LearnerServer(settings, CONTRACT, "trial", store, publisher, "{}", pb.StatusReply)
        stack.callback(server.stop, 0)
        port = server.start()
        (behind,) = re.findall(r"behind the TLS door on 127\.0\.0\.1:(\d+)", caplog.text)
        yield Learner(port, int(behind), publisher, store)


def over_tls(keys: Path, port: int) -> grpc.Channel:
    files = [(keys / "ours" / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(*files), options)


def test_a_stream_and_a_snapshot_pass_beside_fifty_that_are_refused(
    tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng, weights = np.random.default_rng(0), os.urandom(20 << 20)
    steps = [pack_step(step) for step in fake_episode(CONTRACT, 200, rng, session=SESSION, episode=0)]
    to_send: queue.SimpleQueue[pb.Step | None] = queue.SimpleQueue()

    def steps_until_none() -> Iterator[pb.Step]:
        while (step := to_send.get()) is not None:
            yield step

    with (
        learning(tmp_path, settings_with(keys / "ours"), caplog) as learner,
        over_tls(keys, learner.port) as channel,
    ):
        stub = pb_grpc.LearnerStub(channel)
        hello = pb.HelloRequest(
            protocol_version=PROTOCOL_VERSION,
            contract_hash=CONTRACT.hash,
            contract_json=CONTRACT.canonical_json(),
            actor_id="bench",
            session=SESSION,
        )
        stub.Hello(hello, timeout=SOON_S)
        acks = stub.StreamExperience(steps_until_none(), metadata=((SESSION_METADATA, SESSION),), timeout=3 * SOON_S)
        for step in steps[:100]:
            to_send.put(step)
        for number in range(50):
            knock = list(BAD.values())[number % 6][1]  # those that need no waiting
            knock(learner.port, keys)
        for rest in (*steps[100:], None):
            to_send.put(rest)
        assert [(ack.last_durable.episode, ack.last_durable.step) for ack in acks][-1] == (0, 199)
        assert learner.store.counts().env_steps == 200
        learner.publisher.publish(weights)
        digest, got = hashlib.sha256(), 0
        for chunk in stub.WatchPolicy(pb.WatchPolicyRequest(), timeout=3 * SOON_S):
            digest.update(chunk.data)
            got += len(chunk.data)
            if got == chunk.total_bytes:
                break
        assert digest.digest() == hashlib.sha256(weights).digest()
        (line,) = warnings(caplog)
        assert line.startswith(f"refused {ELSEWHERE} (UNAUTHENTICATED): no TLS")


def test_behind_the_door_nobody_is_served_who_did_not_come_through_it(
    tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = (keys / "ours" / "token").read_text().strip()
    settings = settings_with(keys / "ours", token_file=str(keys / "ours" / "token"))
    with (
        learning(tmp_path, settings, caplog) as learner,
        grpc.insecure_channel(f"127.0.0.1:{learner.inner_port}") as sneaking,
        over_tls(keys, learner.port) as channel,
    ):
        for method in (
            STATUS,
            "/nudge.v1.Learner/Hello",
            "/nudge.v1.Learner/WatchPolicy",
            "/grpc.health.v1.Health/Check",
        ):
            for shown in (token, "t" * 43):
                call = sneaking.stream_stream(method, bytes, bytes)
                with pytest.raises(grpc.RpcError) as caught:
                    list(call(iter([b""]), metadata=((TOKEN_METADATA, shown),), timeout=SOON_S))
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
                assert "come with TLS" in (caught.value.details() or "")
        (line,) = warnings(caplog)
        assert line.startswith("refused 127.0.0.1 (UNAUTHENTICATED): this port is for the learner itself")
        channel.unary_unary(STATUS, bytes, bytes)(b"", metadata=((TOKEN_METADATA, token),), timeout=SOON_S)


@contextmanager
def from_elsewhere(port: int) -> Iterator[int]:
    """A port whose one connection goes on to `port` with another address of origin; gRPC's clients cannot choose it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:

        def copy(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(1 << 16):
                    target.sendall(data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)

        def relay() -> None:
            near, _ = listener.accept()
            with near, dialled(port) as far:
                back = threading.Thread(target=copy, args=(far, near))
                back.start()
                copy(near, far)
                back.join()

        relaying = threading.Thread(target=relay)
        relaying.start()
        stack.callback(relaying.join)
        yield listener.getsockname()[1]


def test_a_refused_call_is_logged_with_the_address_before_the_door(
    tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_with(keys / "ours", token_file=str(keys / "ours" / "token"))
    with (
        learning(tmp_path, settings, caplog) as learner,
        from_elsewhere(learner.port) as port,
        over_tls(keys, port) as channel,
    ):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(STATUS, bytes, bytes)(b"", timeout=SOON_S)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        (line,) = warnings(caplog)
        assert line.startswith(f"refused {ELSEWHERE} (UNAUTHENTICATED): the token is missing")


def test_a_port_that_is_taken_is_named(tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    with learning(tmp_path, settings_with(keys / "ours"), caplog) as learner:
        caplog.clear()
        (tmp_path / "other").mkdir()
        taken = settings_with(keys / "ours", port=learner.port)
        with (
            pytest.raises(ServiceError, match=rf"cannot listen on 127\.0\.0\.1:{learner.port}: .*in use"),
            learning(tmp_path / "other", taken, caplog),
        ):
            pass
