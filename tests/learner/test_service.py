"""A real server on port 0, spoken to with bare stubs: what it takes, what it refuses, and that it lives on."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

import waiting
from learner.inbox import Inbox
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer, ServiceError
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from policy.wire import MAX_CHUNK_BYTES, PROTOCOL_VERSION, SESSION_METADATA, pack_step
from tiny import CONTRACT, SIZE

A, B, C = "a" * 32, "b" * 32, "c" * 32
SOON_S = 10.0  # far more than anything here takes
eventually = partial(waiting.eventually, within_s=SOON_S)


def step(session: str, episode: int, index: int) -> pb.Step:
    frame = np.full((SIZE, SIZE, 3), index, np.uint8)
    seen = Observation({"wrist": frame}, np.zeros(1, np.float32), np.zeros(0, np.float32))
    made = Step(
        StepId(session, episode, index), seen, np.zeros(1, np.float32), Source.POLICY, 0.0, False, False, 0, 0, 0
    )
    return pack_step(made)


def hello(session: str, actor_id: str = "bench", contract: Contract = CONTRACT) -> pb.HelloRequest:
    return pb.HelloRequest(
        protocol_version=PROTOCOL_VERSION,
        contract_hash=contract.hash,
        contract_json=contract.canonical_json(),
        actor_id=actor_id,
        session=session,
    )


@dataclass
class Learner:
    """A running service and what stands behind it."""

    stub: pb_grpc.LearnerStub
    channel: grpc.Channel
    server: LearnerServer
    store: ExperienceStore
    publisher: PolicyPublisher
    status: pb.StatusReply
    port: int


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[Learner]:
    status = pb.StatusReply(run_id="trial", phase="training", steps_behind=0)
    publisher = PolicyPublisher()
    with ExitStack() as stack:
        store = stack.enter_context(ExperienceStore(folder / "experience.sqlite", CONTRACT))
        made = ServiceSettings.model_validate({"port": 0} | settings)
        server = LearnerServer(made, CONTRACT, "trial", store, publisher, '{"kind": "sac"}', lambda: status)
        stack.callback(server.stop, 0.5)
        port = server.start()
        channel = stack.enter_context(
            grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        )
        yield Learner(pb_grpc.LearnerStub(channel), channel, server, store, publisher, status, port)


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    with running(tmp_path) as made:
        yield made


@dataclass
class Stream:
    """One StreamExperience by hand: `put` steps, `take` acknowledgements."""

    stub: pb_grpc.LearnerStub
    session: str
    outbox: queue.SimpleQueue[pb.Step | None] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        metadata = ((SESSION_METADATA, self.session),)
        steps = iter(self.outbox.get, None)
        self.call = self.stub.StreamExperience(steps, metadata=metadata, timeout=SOON_S)
        self.acks = iter(self.call)

    def put(self, *steps: pb.Step) -> None:
        for each in steps:
            self.outbox.put(each)

    def take(self) -> pb.Ack:
        return next(self.acks)

    def wait_durable(self, index: int) -> pb.Ack:
        """The first acknowledgement that covers step `index` of the newest episode."""
        while True:
            ack = self.take()
            if ack.HasField("last_durable") and ack.last_durable.step >= index:
                return ack

    def finish(self) -> grpc.StatusCode:
        """Send no more, read to the end."""
        self.outbox.put(None)
        assert all(isinstance(ack, pb.Ack) for ack in self.acks)
        return self.call.code()

    def failure(self) -> tuple[grpc.StatusCode, str]:
        """Read until the learner ends the stream with an error."""
        return refused(lambda: list(self.acks))


class Cancellable(Protocol):
    def cancel(self) -> object: ...


def cancel(call: Cancellable) -> None:
    """The types of gRPC leave `cancel` without one."""
    call.cancel()


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details() or ""


def test_hello_tells_run_policy_and_last_durable_step(learner: Learner) -> None:
    reply = learner.stub.Hello(hello(A))
    assert (reply.run_id, reply.policy_version, reply.policy_spec_json) == ("trial", 0, '{"kind": "sac"}')
    assert reply.protocol_version == PROTOCOL_VERSION
    assert not reply.HasField("last_durable")
    learner.store.append([step(A, 0, 0), step(A, 0, 1)])
    learner.publisher.publish(b"weights")
    again = learner.stub.Hello(hello(A))
    assert (again.last_durable.step, again.policy_version) == (1, 1)


def test_a_newer_minor_version_with_fields_of_its_own_is_understood(learner: Learner) -> None:
    def newer(message: Message) -> bytes:
        # Field 1000, length-delimited, three bytes: tag (1000 << 3 | 2) = 8002 as the varint 0xC2 0x3E.
        return message.SerializeToString() + b"\xc2\x3e\x03new"

    request = hello(A)
    request.protocol_version = "1.9"
    say_hello = learner.channel.unary_unary("/nudge.v1.Learner/Hello", newer, pb.HelloReply.FromString)
    assert say_hello(request, timeout=SOON_S).protocol_version == PROTOCOL_VERSION
    send = learner.channel.stream_stream("/nudge.v1.Learner/StreamExperience", newer, pb.Ack.FromString)
    metadata = ((SESSION_METADATA, A), ("nudge-of-tomorrow", "yes"))
    acks = send(iter([step(A, 0, 0), step(A, 0, 1)]), metadata=metadata, timeout=SOON_S)
    assert [ack.last_durable.step for ack in acks][-1] == 1
    assert learner.store.counts().env_steps == 2


def other_contract(**changes: object) -> Contract:
    return Contract.model_validate(CONTRACT.model_dump() | changes)


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"protocol_version": "2.0"}, grpc.StatusCode.FAILED_PRECONDITION, "speaks 2.0, this learner 1.4"),
        ({"protocol_version": "new"}, grpc.StatusCode.INVALID_ARGUMENT, "major.minor"),
        ({"contract_hash": "0" * 64}, grpc.StatusCode.INVALID_ARGUMENT, "not the hash of contract_json"),
        ({"actor_id": "../bench"}, grpc.StatusCode.INVALID_ARGUMENT, "actor_id"),
        ({"actor_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "actor_id"),
        ({"session": "A" * 32}, grpc.StatusCode.INVALID_ARGUMENT, "32 lower-case hex digits"),
    ],
)
def test_a_hello_that_does_not_fit_is_refused_by_name(
    learner: Learner, change: dict[str, str], code: grpc.StatusCode, reason: str
) -> None:
    request = hello(A)
    for name, value in change.items():
        setattr(request, name, value)
    got, text = refused(lambda: learner.stub.Hello(request))
    assert got is code
    assert reason in text


def test_another_contract_is_refused_with_the_difference(learner: Learner) -> None:
    request = hello(A, contract=other_contract(control_hz=20.0))
    code, text = refused(lambda: learner.stub.Hello(request))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "control_hz: 10.0 (the learner) != 20.0 (the actor)" in text


def test_a_contract_from_another_version_of_nudge_is_refused_readably(learner: Learner) -> None:
    body = CONTRACT.canonical_json()[:-1] + ',"gravity":9.81}'
    request = hello(A)
    request.contract_json, request.contract_hash = body, hashlib.sha256(body.encode()).hexdigest()
    code, text = refused(lambda: learner.stub.Hello(request))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "gravity" in text


def test_a_difference_longer_than_a_header_still_arrives(learner: Learner) -> None:
    many = [{"name": f"joint_{number}", "unit": "rad", "low": -1, "high": 1} for number in range(300)]
    code, text = refused(lambda: learner.stub.Hello(hello(A, contract=other_contract(proprioception=many))))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "characters left out" in text
    assert text.endswith("record again under the new contract.")


def test_steps_are_acknowledged_after_they_are_durable(learner: Learner) -> None:
    learner.stub.Hello(hello(A))
    stream = Stream(learner.stub, A)
    assert not stream.take().HasField("last_durable")  # the first one only says that the stream is open
    stream.put(*(step(A, 0, index) for index in range(40)))
    while (ack := stream.take()).last_durable.step < 39:
        durable = learner.store.last_durable(A)
        assert durable is not None
        assert durable.step >= ack.last_durable.step
    assert [each.id.step for _, each in learner.store.read_after(0, 100)] == list(range(40))
    assert stream.finish() is grpc.StatusCode.OK


def test_a_stream_without_hello_is_refused(learner: Learner) -> None:
    code, text = Stream(learner.stub, A).failure()
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "say Hello first" in text


def test_a_stranger_with_a_held_actor_id_is_refused_until_the_lease_has_run_out(tmp_path: Path) -> None:
    with running(tmp_path, lease_s=1.0) as learner:
        learner.stub.Hello(hello(A))
        holder = Stream(learner.stub, A)
        holder.take()
        code, text = refused(lambda: learner.stub.Hello(hello(B)))
        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert "'bench'" in text
        assert A not in text
        learner.stub.Hello(hello(B, actor_id="other"))  # another name is free
        learner.stub.Hello(hello(A))  # and the holder itself may say it again
        cancel(holder.call)
        reasons: list[str] = []

        def taken_over() -> bool:
            try:
                learner.stub.Hello(hello(C))
            except grpc.RpcError as error:
                reasons.append(error.details() or "")
                return False
            return True

        eventually(taken_over)
        assert any("free for another session in" in reason for reason in reasons)
        code, text = Stream(learner.stub, A).failure()  # the former holder is out
        assert code is grpc.StatusCode.FAILED_PRECONDITION


def test_a_newer_stream_of_the_same_session_replaces_the_older(learner: Learner) -> None:
    learner.stub.Hello(hello(A))
    older = Stream(learner.stub, A)
    older.take()
    newer = Stream(learner.stub, A)
    newer.put(step(A, 0, 0))
    newer.wait_durable(0)
    code, _ = older.failure()
    assert code is grpc.StatusCode.ABORTED
    newer.put(step(A, 0, 1))
    assert newer.wait_durable(1).last_durable.step == 1


def bad_steps() -> dict[str, pb.Step]:
    gap, foreign, bomb, empty = step(A, 0, 5), step(B, 0, 0), step(A, 0, 1), pb.Step()
    bomb.observation.frames[0].png = b"\x89PNG\r\n\x1a\n" + bytes(40)
    return {"expected 1": gap, "belongs to session": foreign, "PNG": bomb, "session ''": empty}


@pytest.mark.parametrize("reason", bad_steps())
def test_a_bad_step_ends_its_stream_with_the_reason_and_nothing_else(learner: Learner, reason: str) -> None:
    learner.stub.Hello(hello(A))
    learner.stub.Hello(hello(C, actor_id="other"))
    undisturbed = Stream(learner.stub, C)
    undisturbed.put(step(C, 0, 0))
    undisturbed.wait_durable(0)
    stream = Stream(learner.stub, A)
    stream.put(step(A, 0, 0))
    stream.wait_durable(0)
    stream.put(bad_steps()[reason])
    code, text = stream.failure()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in text
    undisturbed.put(step(C, 0, 1))
    undisturbed.wait_durable(1)
    again = Stream(learner.stub, A)
    again.put(step(A, 0, 1))
    again.wait_durable(1)


def test_bytes_that_are_no_message_leave_the_service_alive(learner: Learner) -> None:
    learner.stub.Hello(hello(A))
    raw = learner.channel.stream_stream("/nudge.v1.Learner/StreamExperience", bytes, bytes)
    call = raw(iter([b"\xff\xff\xff nothing of ours"]), metadata=((SESSION_METADATA, A),), timeout=SOON_S)
    refused(lambda: list(call))
    assert learner.stub.Status(pb.StatusRequest()).run_id == "trial"


def test_a_message_above_the_limit_ends_its_stream_only(tmp_path: Path) -> None:
    with running(tmp_path, max_message_bytes=1 << 16, chunk_bytes=1 << 15) as learner:
        learner.stub.Hello(hello(A))
        large = step(A, 0, 0)
        large.observation.frames[0].png = bytes(1 << 17)
        stream = Stream(learner.stub, A)
        stream.put(large)
        assert stream.failure()[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert learner.stub.Status(pb.StatusRequest()).run_id == "trial"


def test_streams_beyond_the_limit_are_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    with running(tmp_path, max_streams=2) as learner:
        learner.publisher.publish(b"weights")
        watches = [learner.stub.WatchPolicy(pb.WatchPolicyRequest()) for _ in range(2)]
        for watch in watches:
            assert next(iter(watch)).data == b"weights"  # now it holds its place

        def full() -> bool:
            probe = learner.stub.WatchPolicy(pb.WatchPolicyRequest(known_version=1), timeout=0.2)
            return refused(lambda: next(iter(probe)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED

        assert full()
        assert learner.stub.Status(pb.StatusRequest(), timeout=SOON_S).run_id == "trial"  # unary calls still pass
        for watch in watches:
            cancel(watch)
        eventually(lambda: not full())


def test_a_waiting_actor_hears_that_the_learner_has_caught_up(learner: Learner) -> None:
    learner.stub.Hello(hello(A))
    learner.status.steps_behind = 7
    stream = Stream(learner.stub, A)
    assert stream.take().steps_behind == 7
    learner.status.steps_behind = 0
    while stream.take().steps_behind != 0:  # no step is sent meanwhile
        pass


def test_a_fast_sender_waits_for_the_disk_and_does_not_fill_the_memory() -> None:
    message = step(A, 0, 0)
    inbox = Inbox(capacity_bytes=3 * message.ByteSize())
    read: list[int] = []

    def endless() -> Iterator[pb.Step]:
        while True:
            read.append(1)
            yield message

    reader = threading.Thread(target=inbox.fill, args=(endless(),))
    reader.start()
    eventually(lambda: len(read) == 4)  # three wait inside, the fourth stands at the door
    assert len(inbox.take(0)) == 3
    eventually(lambda: len(read) == 7)
    inbox.close()
    reader.join(SOON_S)
    assert not reader.is_alive()
    assert not inbox.ended  # what came in can still be taken out
    assert len(inbox.take(0)) == 3
    assert inbox.ended


def assembled(chunks: Iterator[pb.PolicyChunk]) -> tuple[int, bytes, list[int]]:
    """Version, bytes and chunk sizes of the next snapshot."""
    data, sizes = b"", []
    for chunk in chunks:
        assert chunk.offset == len(data)
        data += chunk.data
        sizes.append(len(chunk.data))
        if len(data) == chunk.total_bytes:
            assert hashlib.sha256(data).digest() == chunk.sha256
            return chunk.version, data, sizes
    raise AssertionError("the stream ended inside a snapshot")


def test_a_large_snapshot_comes_in_chunks_and_whole(learner: Learner) -> None:
    snapshot = np.random.default_rng(0).bytes(6_000_000)
    chunks = iter(learner.stub.WatchPolicy(pb.WatchPolicyRequest(), timeout=SOON_S))
    learner.publisher.publish(snapshot)
    version, data, sizes = assembled(chunks)
    assert (version, data == snapshot) == (1, True)
    # 6,000,000 = 11 * 524,288 + 232,832
    assert sizes == [MAX_CHUNK_BYTES] * 11 + [232_832]


def test_only_newer_policies_than_the_known_one_are_sent(learner: Learner) -> None:
    for content in (b"one", b"two"):
        learner.publisher.publish(content)
    assert assembled(iter(learner.stub.WatchPolicy(pb.WatchPolicyRequest(known_version=1))))[:2] == (2, b"two")
    silent = learner.stub.WatchPolicy(pb.WatchPolicyRequest(known_version=2), timeout=0.5)
    assert refused(lambda: next(iter(silent)))[0] is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_slow_reader_skips_versions_and_gets_the_newest(learner: Learner) -> None:
    # A fixed window of 64 KB: the learner cannot send ahead of the reader, however long publishing takes.
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 1 << 16),
    ]
    snapshots = [bytes([number]) * 6_000_000 for number in range(1, 21)]
    with grpc.insecure_channel(f"127.0.0.1:{learner.port}", options) as channel:
        chunks = iter(pb_grpc.LearnerStub(channel).WatchPolicy(pb.WatchPolicyRequest(), timeout=6 * SOON_S))
        learner.publisher.publish(snapshots[0])
        next(chunks)  # one of twelve; then the reader is busy while 19 more are published
        for snapshot in snapshots[1:]:
            learner.publisher.publish(snapshot)
        for _ in range(11):
            next(chunks)
        assert assembled(chunks)[:2] == (20, snapshots[-1])


def test_status_and_health_answer(learner: Learner) -> None:
    learner.status.updates = 12
    reply = learner.stub.Status(pb.StatusRequest(), timeout=SOON_S)
    assert (reply.phase, reply.updates, reply.last_step_age_s) == ("training", 12, -1.0)
    learner.stub.Hello(hello(A))
    stream = Stream(learner.stub, A)
    stream.put(step(A, 0, 0))
    stream.wait_durable(0)
    assert 0 <= learner.stub.Status(pb.StatusRequest()).last_step_age_s < SOON_S
    health = health_pb2_grpc.HealthStub(learner.channel)
    for name in ("", "nudge.v1.Learner"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=SOON_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_stopping_ends_streams_kindly_and_soon(learner: Learner) -> None:
    learner.stub.Hello(hello(A))
    stream = Stream(learner.stub, A)
    stream.put(step(A, 0, 0))
    stream.wait_durable(0)
    watch = learner.stub.WatchPolicy(pb.WatchPolicyRequest(), timeout=SOON_S)
    begun_s = time.monotonic()
    learner.server.stop(2.0)
    assert time.monotonic() - begun_s < 2.0  # streams were told, none had to be cut off at the end of the grace
    code, text = stream.failure()
    assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "the learner is stopping")
    refused(lambda: next(iter(watch)))
    learner.server.stop(0.1)  # twice does no harm


def test_two_learners_cannot_share_a_port(learner: Learner, tmp_path: Path) -> None:
    second = LearnerServer(
        ServiceSettings(port=learner.port), CONTRACT, "second", learner.store, learner.publisher, "{}", pb.StatusReply
    )
    with pytest.raises(ServiceError, match="another learner"):
        second.start()
    second.stop(0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_loopback_hosts_are_taken(host: str) -> None:
    assert ServiceSettings(host=host, port=1).bind_address.endswith(":1")
