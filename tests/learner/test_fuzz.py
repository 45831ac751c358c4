"""Hostile and broken messages, thousands of them, against a real server in a process of its own.

Each is answered with a status code, the process stays as small as it was, and an actor beside it is not disturbed.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actor.link import LearnerLink, LinkSettings, LinkStatus, Spool
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policy.fakes import fake_contract, fake_episode
from policy.wire import PROTOCOL_VERSION, SESSION_METADATA, pack_step

CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)
HOSTILE = "f" * 32  # the session of most hostile calls
SOON_S = 60.0
GROWTH_BYTES = 96 << 20  # what a server may take more than after its first calls: a few messages of 1 MB, unpacked

SERVER = """
import sys, time
from pathlib import Path
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policy.fakes import fake_contract
contract = fake_contract(cameras=1, proprioception=1, size_px=8)
settings = ServiceSettings(port=0, lease_s=0.0, handshake_timeout_s=2.0)
with ExperienceStore(Path(sys.argv[1]), contract) as store:
    publisher = PolicyPublisher()
    publisher.publish(bytes(2_000_000))
    server = LearnerServer(settings, contract, "trial", store, publisher, "{}", pb.StatusReply)
    print(server.start(), flush=True)
    sys.stdin.read()
    server.stop(0.5)
"""

# --- messages --------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
GOOD = [pack_step(step) for n in range(3) for step in fake_episode(CONTRACT, 3, RNG, session=HOSTILE, episode=n)]
HELLO = pb.HelloRequest(
    protocol_version=PROTOCOL_VERSION,
    contract_hash=CONTRACT.hash,
    contract_json=CONTRACT.canonical_json(),
    actor_id="hostile",
    session=HOSTILE,
)
PNG = GOOD[0].observation.frames[0].png

blobs = st.one_of(
    st.binary(max_size=64), st.sampled_from([b"", b"\0" * 100_000, PNG[:-9], PNG * 2, b"\x89PNG\r\n\x1a\n"])
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "camera0", "../../etc/passwd", "a" * 70_000, "\x1b[2J", HOSTILE, "0" * 32, "F" * 32, "1.9"]),
)
counts = st.sampled_from([0, 1, 2, 3, 2**31, 2**32 - 1])
times = st.sampled_from([0, -1, 2**63 - 1, -(2**63)])
numbers = st.sampled_from([0.0, -0.0, 1e30, float("nan"), float("inf"), float("-inf")])
Change = Callable[[st.DrawFn, pb.Step], object]

CHANGES: list[Change] = [
    lambda draw, m: setattr(m.id, "session", draw(texts)),
    lambda draw, m: setattr(m.id, "episode", draw(counts)),
    lambda draw, m: setattr(m.id, "step", draw(counts)),
    lambda draw, m: m.ClearField(draw(st.sampled_from(["id", "observation", "action", "final_observation"]))),
    lambda draw, m: setattr(m, "action", draw(blobs)),
    lambda draw, m: setattr(m, "source", draw(st.sampled_from([0, 1, 3, 4, -1, 2**31 - 1]))),
    lambda draw, m: setattr(m, "reward", draw(numbers)),
    lambda draw, m: setattr(m, "terminated", draw(st.booleans())),
    lambda draw, m: setattr(m, "truncated", draw(st.booleans())),
    lambda draw, m: setattr(m, "policy_version", draw(st.sampled_from([0, 2**63, 2**64 - 1]))),
    lambda draw, m: setattr(m, "wall_ns", draw(times)),
    lambda draw, m: setattr(m.observation, "proprioception", draw(blobs)),
    lambda draw, m: setattr(m.observation, "sim_only", draw(blobs)),
    lambda draw, m: m.observation.frames.add(camera=draw(texts), png=draw(blobs)),
    lambda draw, m: m.final_observation.frames.add(camera=draw(texts), png=draw(blobs)),
    lambda draw, m: setattr(m.observation.frames[0], "png", draw(blobs)) if m.observation.frames else None,
    lambda draw, m: setattr(m.observation.frames[0], "camera", draw(texts)) if m.observation.frames else None,
]


@st.composite
def steps(draw: st.DrawFn) -> Message:
    made = pb.Step.FromString(draw(st.sampled_from(GOOD)).SerializeToString())
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        change(draw, made)
    return made


@st.composite
def hellos(draw: st.DrawFn) -> Message:
    made = pb.HelloRequest.FromString(HELLO.SerializeToString())
    names = ["protocol_version", "contract_hash", "contract_json", "actor_id", "session"]
    for name in draw(st.lists(st.sampled_from(names), max_size=2)):
        setattr(made, name, draw(texts))
    return made


requests = st.one_of(
    steps(), steps(), hellos(), st.builds(pb.WatchPolicyRequest, known_version=st.sampled_from([0, 1, 2**64 - 1]))
)


@st.composite
def hostile_bytes(draw: st.DrawFn) -> bytes:
    """A message, whole or damaged in one of the ways in which bytes are damaged; or bytes that never were one."""
    data = draw(requests).SerializeToString()
    place = draw(st.integers(0, max(0, len(data) - 1)))
    way = draw(st.sampled_from(["whole", "whole", "cut", "flip", "insert", "drop", "twice", "foreign"]))
    return {
        "whole": data,
        "cut": data[:place],
        "flip": data[:place] + bytes([data[place] ^ 0x80 if data else 0]) + data[place + 1 :],
        "insert": data[:place] + b"\xff\xff\xff\xff" + data[place:],
        "drop": data[:place] + data[place + 3 :],
        "twice": data + data,
        "foreign": draw(st.binary(max_size=100)),
    }[way]


methods = st.sampled_from(
    ["/nudge.v1.Learner/StreamExperience"] * 5
    + ["/nudge.v1.Learner/Hello"] * 2
    + ["/nudge.v1.Learner/Status", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/no.Such/Method"]
)
sessions = st.sampled_from([HOSTILE, HOSTILE, HOSTILE, "0" * 32, "", "not a session"])
raw_bytes = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda rest: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rest, st.binary(max_size=300)),
    st.builds(lambda length: _client_hello()[:length], st.integers(1, 300)),
)


def _client_hello() -> bytes:
    """What TLS begins with."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    wrapped = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="learner.example")
    with suppress(ssl.SSLWantReadError):
        wrapped.do_handshake()
    return outgoing.read()


# --- the server, and who is beside it --------------------------------------------------------------------------------


@dataclass
class Target:
    """The server's process, and the channel of the hostile client."""

    process: subprocess.Popen[str]
    port: int
    channel: grpc.Channel
    messages: int = 0
    codes: Counter[grpc.StatusCode] = field(default_factory=Counter)

    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def call(self, method: str, messages: list[bytes], session: str = HOSTILE) -> grpc.StatusCode:
        """One call with these messages; its status."""
        call = self.channel.stream_stream(method, None, None)
        # `WatchPolicy` and such go on for ever when the request is good; a deadline is an answer then.
        answer = call(iter(messages), metadata=((SESSION_METADATA, session),), timeout=SOON_S)
        with suppress(grpc.RpcError):
            for _ in answer:
                pass
        self.messages += len(messages)
        code: grpc.StatusCode = answer.code()
        self.codes[code] += 1
        return code

    def send_raw(self, data: bytes) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), SOON_S) as connection:
            connection.sendall(data)
        self.messages += 1


@contextmanager
def target(folder: Path) -> Iterator[Target]:
    command = [sys.executable, "-c", SERVER, str(folder / "experience.sqlite")]
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            yield Target(process, port, channel)
        process.stdin.close()
        assert process.wait(SOON_S) == 0
    finally:
        process.kill()
        process.wait()
        log.close()


class Bystander:
    """A real link that sends a step every few milliseconds, and wants to be left alone."""

    def __init__(self, folder: Path, port: int) -> None:
        made = LinkSettings(address=f"127.0.0.1:{port}", actor_id="bystander", connect_timeout_s=SOON_S)
        self._spool = Spool(folder / "spool.sqlite", CONTRACT, made)
        self.link = LearnerLink(made, CONTRACT, self._spool)
        self.link.open()
        self.since_s = self.link.state.since_s
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drive)
        self._thread.start()

    def _drive(self) -> None:
        number = 0
        while not self._stop.is_set():
            for step in fake_episode(CONTRACT, 10, RNG, session=self.link.session, episode=number):
                while self.link.pause is not None:
                    time.sleep(0.01)
                self.link.send(step)
                self.sent += 1
                time.sleep(0.005)
            number += 1

    def finish(self) -> None:
        """All its steps are durable, over the one connection that it began with."""
        self._stop.set()
        self._thread.join()
        assert self.link.flush(SOON_S)
        assert (self.link.state.status, self.link.state.since_s) == (LinkStatus.CONNECTED, self.since_s)
        self.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.link.close()
        self._spool.close()


@contextmanager
def undisturbed(folder: Path, port: int) -> Iterator[Bystander]:
    made = Bystander(folder, port)
    try:
        yield made
        made.finish()
    finally:
        made.close()


def hurl(victim: Target, examples: int) -> None:
    """Calls with up to eight hostile messages each, and raw bytes now and then."""

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
    )
    @given(methods, st.lists(hostile_bytes(), min_size=4, max_size=8), sessions, st.none() | raw_bytes)
    def each(method: str, messages: list[bytes], session: str, raw: bytes | None) -> None:
        if raw is not None:
            victim.send_raw(raw)
        victim.call("/nudge.v1.Learner/Hello", [HELLO.SerializeToString()])
        code = victim.call(method, messages, session)
        # UNKNOWN is what gRPC answers when a handler breaks.
        assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        assert victim.process.poll() is None

    each()


def heavy_calls() -> Iterator[tuple[str, list[bytes]]]:
    """Few bytes that want much, and many bytes."""
    stream, hello = "/nudge.v1.Learner/StreamExperience", "/nudge.v1.Learner/Hello"
    crowded = pb.Step.FromString(GOOD[0].SerializeToString())
    for _ in range(400_000):
        crowded.observation.frames.add()  # 2 bytes on the wire, a hundred in memory
    long_name = pb.Step.FromString(GOOD[0].SerializeToString())
    long_name.observation.frames[0].camera = "x" * 1_000_000
    deep = pb.HelloRequest.FromString(HELLO.SerializeToString())
    deep.contract_json = "[" * 200_000
    deep.contract_hash = hashlib.sha256(deep.contract_json.encode()).hexdigest()
    for _ in range(5):
        yield stream, [crowded.SerializeToString()] * 4
        yield stream, [long_name.SerializeToString()] * 4
        yield stream, [bytes(5 << 20)]  # above the limit of a message
        yield hello, [deep.SerializeToString()]
        yield stream, [b"\x9b\x06" * 400_000]  # groups in groups, of an unknown field: 99 << 3 | 3 as a varint


def attack(folder: Path, examples: int) -> Target:
    with target(folder) as victim:
        with undisturbed(folder, victim.port) as bystander:
            hurl(victim, 20)  # what a server needs for its first calls
            before = victim.resident_bytes()
            hurl(victim, examples)
            for method, messages in heavy_calls():
                assert victim.call(method, messages) is not grpc.StatusCode.UNKNOWN
            after = victim.resident_bytes()
        print(
            f"{victim.messages} messages, {bystander.sent} steps of the bystander, memory {before / 1e6:.0f} -> "
            f"{after / 1e6:.0f} MB, {dict(sorted((code.name, n) for code, n in victim.codes.items()))}"
        )
        assert after - before < GROWTH_BYTES
    with ExperienceStore(folder / "experience.sqlite", CONTRACT) as store:
        theirs = [record for record in store.episodes() if record.session == bystander.link.session]
        assert sum(record.steps for record in theirs) == bystander.sent
        assert all(record.complete for record in theirs)
    assert "Traceback" not in (folder / "server.log").read_text(encoding="utf-8")
    return victim


def test_hundreds_of_hostile_messages_hurt_nobody(tmp_path: Path) -> None:
    assert attack(tmp_path, examples=70).messages > 400


@pytest.mark.slow
def test_more_than_ten_thousand_hostile_messages_hurt_nobody(tmp_path: Path) -> None:
    assert attack(tmp_path, examples=1800).messages > 10_000
