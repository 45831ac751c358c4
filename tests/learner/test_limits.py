"""What the service bears: each limit holds, says so, and lets in who comes after it."""

from __future__ import annotations

import hashlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from bench.proxy import Proxy
from learner.publisher import PolicyPublisher
from learner.quotas import MAX_PEERS, PlaceQuota, RateQuota
from learner.refusals import MAX_PEERS as LOGGED_PEERS
from learner.refusals import MAX_REASON, Refusals, fitting
from learner.service import LearnerServer, ServiceError
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.fakes import fake_contract, fake_episode
from policy.wire import PROTOCOL_VERSION, SESSION_METADATA, pack_step
from waiting import eventually

CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)
SESSIONS = [digit * 32 for digit in "abcdef"]
A, B = SESSIONS[:2]
SOON_S = 20.0
LEARNER = "/nudge.v1.Learner/"


@dataclass
class Learner:
    stub: pb_grpc.LearnerStub
    channel: grpc.Channel
    store: ExperienceStore
    publisher: PolicyPublisher
    port: int


def channel_to(port: int) -> grpc.Channel:
    return grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[Learner]:
    made = ServiceSettings.model_validate({"port": 0} | settings)
    with ExitStack() as stack:
        store = stack.enter_context(ExperienceStore(folder / "experience.sqlite", CONTRACT))
        publisher = PolicyPublisher()
        server = LearnerServer(made, CONTRACT, "trial", store, publisher, "{}", pb.StatusReply)
        stack.callback(server.stop, 0)
        port = server.start()
        channel = stack.enter_context(channel_to(port))
        yield Learner(pb_grpc.LearnerStub(channel), channel, store, publisher, port)


def hello(session: str, actor_id: str = "bench") -> pb.HelloRequest:
    return pb.HelloRequest(
        protocol_version=PROTOCOL_VERSION,
        contract_hash=CONTRACT.hash,
        contract_json=CONTRACT.canonical_json(),
        actor_id=actor_id,
        session=session,
    )


def episode(session: str, number: int, steps: int) -> list[pb.Step]:
    rng = np.random.default_rng(number)
    return [pack_step(step) for step in fake_episode(CONTRACT, steps, rng, session=session, episode=number)]


def stream(stub: pb_grpc.LearnerStub, session: str, steps: Iterator[pb.Step]) -> Iterator[pb.Ack]:
    yield from stub.StreamExperience(steps, metadata=((SESSION_METADATA, session),), timeout=SOON_S)


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details() or ""


def answers(call: Callable[[], object]) -> bool:
    try:
        call()
    except grpc.RpcError:
        return False
    return True


def silent(channel: grpc.Channel, method: str, stop: threading.Event) -> grpc.Call:
    """A call that has begun and does not send its request."""

    def nothing() -> Iterator[bytes]:
        stop.wait(2 * SOON_S)
        yield from ()

    call: grpc.Call = channel.stream_stream(LEARNER + method, bytes, bytes)(nothing(), timeout=2 * SOON_S)
    return call


def turned_away(call: grpc.Call) -> bool:
    """Whether the transport alone has refused it, as where it comes while the one before has not quite left."""
    refused_stream = "RST_STREAM with error code 7"  # RFC 9113, section 7
    return call.code() is grpc.StatusCode.UNAVAILABLE and refused_stream in (call.details() or "")


@pytest.mark.parametrize("method", ["Hello", "WatchPolicy", "Status", "Command"])
def test_calls_without_their_request_hold_up_nobody_and_end(tmp_path: Path, method: str) -> None:
    stop = threading.Event()
    with running(tmp_path, max_streams=2, max_waiting_calls=4, request_timeout_s=1.0) as learner:
        # A call that leaves before the server has told its limits may be turned away by the transport alone.
        grpc.channel_ready_future(learner.channel).result(SOON_S)
        calls = [silent(learner.channel, method, stop) for _ in range(40)]  # many more than there are threads
        with channel_to(learner.port) as other:
            eventually(lambda: answers(lambda: pb_grpc.LearnerStub(other).Hello(hello(A), timeout=SOON_S)))
        codes = [call.code() for call in calls if not turned_away(call)]  # waits for the end of each
        ends = {grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert set(codes) <= ends, {(call.code(), call.details()) for call in calls}
        assert grpc.StatusCode.CANCELLED in codes
        stop.set()


def test_streams_that_send_nothing_leave_room_for_hello_and_status(tmp_path: Path) -> None:
    with running(tmp_path, max_streams=4, max_streams_per_peer=3) as learner:
        learner.stub.Hello(hello(A))
        idle: queue.SimpleQueue[pb.Step | None] = queue.SimpleQueue()
        learner.publisher.publish(b"weights")
        watches = [learner.stub.WatchPolicy(pb.WatchPolicyRequest(), timeout=SOON_S) for _ in range(2)]
        for watch in watches:
            assert next(iter(watch)).data == b"weights"  # now it holds its place
        acks = stream(learner.stub, A, iter(idle.get, None))
        next(acks)
        extra = learner.stub.WatchPolicy(pb.WatchPolicyRequest(), timeout=SOON_S)
        code, text = refused(lambda: next(iter(extra)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "3 from one address" in text
        learner.stub.Hello(hello(B, "other"), timeout=SOON_S)
        learner.stub.Status(pb.StatusRequest(), timeout=SOON_S)
        idle.put(None)
        for watch in watches:
            watch.cancel()


def test_four_actors_feed_one_learner_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as learner:

        def act(session: str) -> tuple[int, int]:
            with channel_to(learner.port) as own:
                stub = pb_grpc.LearnerStub(own)
                stub.Hello(hello(session, f"actor-{session[0]}"), timeout=SOON_S)
                watch = stub.WatchPolicy(pb.WatchPolicyRequest(), timeout=SOON_S)
                steps = [step for index in range(5) for step in episode(session, index, 10)]
                *_, last = stream(stub, session, iter(steps))
                watch.cancel()
                return last.last_durable.episode, last.last_durable.step

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(act, SESSIONS[:4])) == [(4, 9)] * 4
        counts = learner.store.counts()
        assert (counts.env_steps, counts.episodes, counts.unfinished_episodes) == (200, 20, 0)  # 4 * 5 * 10


def test_a_session_that_opens_episode_after_episode_is_stopped(tmp_path: Path) -> None:
    def begun(first: int, count: int) -> list[pb.Step]:
        return [episode(A, number, 2)[0] for number in range(first, first + count)]

    with running(tmp_path, max_unfinished_episodes=5) as learner:
        learner.stub.Hello(hello(A))
        list(stream(learner.stub, A, iter(begun(0, 3))))
        code, text = refused(lambda: list(stream(learner.stub, A, iter(begun(3, 50)))))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "raise service.max_unfinished_episodes" in text
        held = learner.store.unfinished_episodes(A)
        assert 3 <= held <= 5
        list(stream(learner.stub, A, iter(episode(A, 0, 2)[1:])))  # the end of one of them makes room for another
        assert learner.store.unfinished_episodes(A) == held - 1
        list(stream(learner.stub, A, iter(episode(A, 60, 2))))
        assert learner.store.unfinished_episodes(A) == held - 1


def test_a_full_disk_is_told_and_the_same_steps_are_taken_once_there_is_room(
    tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    disk = small_disk(4096)
    with running(disk) as learner:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(3 << 20))  # the journal grows with each batch, and a busy machine makes small ones
        learner.stub.Hello(hello(A))
        steps = [step for number in range(300) for step in episode(A, number, 10)]
        code, text = refused(lambda: list(stream(learner.stub, A, iter(steps))))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "disk is full" in text
        taken = learner.store.counts().env_steps
        assert 0 < taken < 3000
        ballast.unlink()
        last = learner.stub.Hello(hello(A)).last_durable
        assert 10 * last.episode + last.step + 1 == taken
        rest = steps[taken : taken + 100]
        *_, ack = stream(learner.stub, A, iter(rest))
        assert 10 * ack.last_durable.episode + ack.last_durable.step + 1 == taken + 100


@pytest.mark.parametrize("method", ["Hello", "WatchPolicy", "Status", "StreamExperience"])
def test_bytes_that_are_no_message_cost_their_sender_the_call_and_nothing_else(tmp_path: Path, method: str) -> None:
    # More calls than a connection may have streams: one that stayed open would be missed.
    with running(tmp_path, max_streams_per_peer=2, max_waiting_calls=4) as learner:
        learner.stub.Hello(hello(A))
        call = learner.channel.stream_stream(LEARNER + method, None, None)

        def told() -> bool:
            metadata = ((SESSION_METADATA, A),)
            code, text = refused(lambda: list(call(iter([b"\xff"]), metadata=metadata, timeout=SOON_S)))
            assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE)
            assert code is grpc.StatusCode.UNAVAILABLE or "bytes that are no message" in text
            return code is grpc.StatusCode.INVALID_ARGUMENT  # else the last one is not quite gone

        for _ in range(30):
            eventually(told)


def test_a_refused_stream_leaves_no_reader_behind(tmp_path: Path) -> None:
    def readers() -> int:
        return sum(thread.name.startswith("experience-reader") for thread in threading.enumerate())

    with running(tmp_path, inbox_bytes=1) as learner:  # the second step waits for room while the first one is refused
        learner.stub.Hello(hello(A))
        bad = pb.Step(id=pb.StepId(session=A))
        for _ in range(5):
            assert (
                refused(lambda: list(stream(learner.stub, A, iter([bad] * 10))))[0] is grpc.StatusCode.INVALID_ARGUMENT
            )
        eventually(lambda: readers() == 0)


def test_a_contract_beyond_the_limit_is_not_looked_at(tmp_path: Path) -> None:
    with running(tmp_path, max_contract_bytes=2000) as learner:
        request = hello(A)
        request.contract_json = " " * 2001
        request.contract_hash = hashlib.sha256(request.contract_json.encode()).hexdigest()
        code, text = refused(lambda: learner.stub.Hello(request))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "got 2001 bytes, expected at most 2000" in text


def test_headers_beyond_the_limit_end_their_call_only(tmp_path: Path) -> None:
    with running(tmp_path, max_metadata_bytes=4096) as learner:
        long = (("nudge-session", "a" * 8000),)
        code, _ = refused(lambda: learner.stub.Status(pb.StatusRequest(), metadata=long, timeout=SOON_S))
        assert code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL)
        learner.stub.Status(pb.StatusRequest(), timeout=SOON_S)


def test_status_calls_beyond_their_rate_are_told_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, status_calls_per_s=5) as learner:
        codes = []
        for _ in range(50):
            try:
                learner.stub.Status(pb.StatusRequest(), timeout=SOON_S)
            except grpc.RpcError as error:
                codes.append(error.code())
        assert len(codes) > 10
        assert set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        learner.stub.Hello(hello(A), timeout=SOON_S)


def silent_sockets(stack: ExitStack, port: int) -> Callable[[], int]:
    """Twenty connections that say nothing, and how many of them the learner has closed."""
    sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", port), SOON_S)) for _ in range(20)]
    closed: set[int] = set()
    for each in sockets:
        each.setblocking(False)

    def count() -> int:
        for number, each in enumerate(sockets):
            with suppress(BlockingIOError):
                try:
                    while each.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
                closed.add(number)
        return len(closed)

    return count


def test_connections_beyond_the_limit_are_closed_and_the_earlier_ones_stay(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=4, handshake_timeout_s=300) as learner, ExitStack() as stack:
        learner.stub.Status(pb.StatusRequest(), timeout=SOON_S)
        closed = silent_sockets(stack, learner.port)
        eventually(lambda: closed() >= 17)  # 4 - 1 are taken
        learner.stub.Status(pb.StatusRequest(), timeout=SOON_S)
        assert closed() == 17


def test_connections_that_say_nothing_make_room(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=4, handshake_timeout_s=0.5) as learner, ExitStack() as stack:
        closed = silent_sockets(stack, learner.port)
        begun_s = time.monotonic()
        eventually(lambda: closed() == 20)
        assert time.monotonic() - begun_s < 8  # gRPC alone waits for 10
        learner.stub.Status(pb.StatusRequest(), timeout=SOON_S)


def test_a_half_open_connection_gives_its_places_back(tmp_path: Path) -> None:
    with (
        running(tmp_path, keepalive_time_s=1, keepalive_timeout_s=1, lease_s=0) as learner,
        Proxy(learner.port) as proxy,
        channel_to(proxy.port) as lost,
    ):
        stub = pb_grpc.LearnerStub(lost)
        stub.Hello(hello(A), timeout=SOON_S)
        idle: queue.SimpleQueue[pb.Step | None] = queue.SimpleQueue()
        metadata = ((SESSION_METADATA, A),)
        call = stub.StreamExperience(iter(idle.get, None), metadata=metadata, timeout=3 * SOON_S)
        next(iter(call))
        assert refused(lambda: learner.stub.Hello(hello(B)))[0] is grpc.StatusCode.ALREADY_EXISTS
        proxy.halve()
        eventually(lambda: answers(lambda: learner.stub.Hello(hello(B))))
        idle.put(None)


def test_the_keepalive_of_the_defaults_notices_within_ten_seconds() -> None:
    settings = ServiceSettings()
    assert settings.keepalive_time_s + settings.keepalive_timeout_s < 10


def test_messages_too_small_for_a_step_are_refused_at_start(tmp_path: Path) -> None:
    contract = fake_contract(cameras=2, size_px=480)
    with (
        ExperienceStore(tmp_path / "experience.sqlite", contract) as store,
        pytest.raises(ServiceError, match="max_message_bytes: got 1048576, but a step of this contract or a chunk"),
    ):
        LearnerServer(ServiceSettings(), contract, "trial", store, PolicyPublisher(), "{}", pb.StatusReply)


def test_places_are_counted_in_all_and_for_each_peer() -> None:
    quota = PlaceQuota(3, per_peer=2)
    assert [quota.take("one"), quota.take("one"), quota.take("one")] == [True, True, False]
    assert [quota.take("two"), quota.take("two")] == [True, False]
    quota.give_back("one")
    assert quota.take("two")
    for number in range(10_000):
        assert not quota.take(f"peer {number}")
    assert len(quota._taken) == 2


def test_a_rate_allows_its_burst_and_then_its_rate_and_forgets_old_peers() -> None:
    now_s = 0.0
    quota = RateQuota(6, per_s=60.0, clock=lambda: now_s)
    assert [quota.take("one") for _ in range(6)] == [0.0] * 6
    assert quota.take("one") == pytest.approx(10.0)  # 6 in 60 s: one every 10 s
    assert quota.take("two") == 0.0
    now_s = 10.0
    assert (quota.take("one"), quota.take("one") > 0) == (0.0, True)
    for number in range(2 * MAX_PEERS):
        quota.take(f"peer {number}")
    assert len(quota._left) == MAX_PEERS


def test_refusals_are_logged_once_a_minute_for_each_peer_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    refusals = Refusals(clock=lambda: now_s)
    code = grpc.StatusCode.UNAUTHENTICATED
    for _ in range(1000):
        refusals.note("10.0.0.1", code, "no token")
        refusals.note("10.0.0.2", code, "no token")
    assert [record.message for record in caplog.records] == [
        "refused 10.0.0.1 (UNAUTHENTICATED): no token",
        "refused 10.0.0.2 (UNAUTHENTICATED): no token",
    ]
    now_s = 60.0
    refusals.note("10.0.0.1", code, "no token")
    expected = "refused 10.0.0.1 (UNAUTHENTICATED) (and 999 times since the last line): no token"
    assert caplog.records[-1].message == expected
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for number in range(10 * LOGGED_PEERS):
            refusals.note(f"10.1.0.{number}", code, "no token")
    assert len(caplog.records) <= LOGGED_PEERS + 1
    assert len(refusals._seen) <= LOGGED_PEERS + 1


def test_a_reason_fits_a_header_and_does_not_steer_a_terminal() -> None:
    assert fitting("short") == "short"
    assert fitting("\x1b[2Jgone\nkept") == "?[2Jgone\nkept"
    long = fitting("a" * 10_000 + " do this")
    assert len(long) < MAX_REASON + 100
    assert long.endswith("do this")
    assert fitting("ü" * 1500) == "?" * 1500  # 1500 * 6 bytes once encoded
