"""Policies on their way to the actor: whole, the newest, prepared before they are handed out."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from actor.link import LearnerLink
from actor.snapshot_assembly import SnapshotAssembler
from learner.publisher import PolicyPublisher
from links import Bench
from nudge.v1 import learner_pb2 as pb
from policy.errors import SnapshotError
from waiting import eventually


def newest(link: LearnerLink) -> tuple[int, bytes]:
    """The next snapshot that the link gives."""
    got: list[tuple[int, bytes]] = []

    def arrived() -> bool:
        snapshot = link.latest_snapshot()
        got.extend([snapshot] if snapshot is not None else [])
        return bool(got)

    eventually(arrived)
    return got[0]


def test_a_large_policy_arrives_whole_and_once(bench: Bench) -> None:
    bench.serve()
    link = bench.link()
    link.open()
    assert link.latest_snapshot() is None
    snapshot = np.random.default_rng(0).bytes(6_000_000)
    bench.publisher.publish(snapshot)
    assert newest(link) == (1, snapshot)
    assert link.latest_snapshot() is None


def test_of_many_policies_the_newest_one_counts(bench: Bench) -> None:
    bench.serve()
    link = bench.link()
    link.open()
    for number in range(1, 31):
        bench.publisher.publish(bytes([number]) * 100_000)
    seen = [0]
    while seen[-1] < 30:
        version, data = newest(link)
        assert data == bytes([version]) * 100_000
        seen.append(version)
    assert seen == sorted(set(seen))


def test_policies_come_again_after_a_restart_even_from_an_older_checkpoint(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link()
    link.open()
    for content in (b"one", b"two", b"three"):
        bench.publisher.publish(content)
    while newest(link)[0] < 3:
        pass
    first.stop(0.5)
    bench.publisher = PolicyPublisher(start_version=1)  # its checkpoint was of version 1
    bench.serve()
    bench.publisher.publish(b"two again")
    assert newest(link) == (2, b"two again")


def test_a_policy_is_prepared_before_it_is_handed_out(bench: Bench) -> None:
    bench.serve()
    link = bench.link()
    link.open()
    prepared: list[tuple[bytes, str]] = []
    link.prepare_snapshots(lambda data: prepared.append((data, threading.current_thread().name)))
    bench.publisher.publish(b"first")
    assert newest(link) == (1, b"first")
    assert prepared == [(b"first", "link-policy")]


def test_a_policy_that_does_not_fit_is_raised_to_the_caller(bench: Bench) -> None:
    def refuse(data: bytes) -> None:
        raise SnapshotError(f"snapshot of another architecture: {data!r}")

    bench.serve()
    link = bench.link()
    link.open()
    link.prepare_snapshots(refuse)
    bench.publisher.publish(b"strange")
    with pytest.raises(SnapshotError, match="another architecture"):
        newest(link)


def chunk(**changes: object) -> pb.PolicyChunk:
    sha256 = bytes.fromhex("88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589")  # of b"abcd"
    fields: dict[str, object] = {"version": 4, "sha256": sha256, "total_bytes": 4, "offset": 0, "data": b"ab"}
    return pb.PolicyChunk(**(fields | changes))  # type: ignore[arg-type]  # the names are those of the fields


def test_a_snapshot_is_whole_or_refused() -> None:
    assembler = SnapshotAssembler(max_bytes=4)
    assert assembler.add(chunk()) is None
    assert assembler.add(chunk(version=5)) is None  # a new one drops the unfinished one
    assert assembler.add(chunk(version=5, offset=2, data=b"cd")) == (5, b"abcd")
    for first, second, reason in (
        (chunk(), chunk(offset=2, data=b"xx"), "bytes changed on the way"),
        (chunk(), chunk(offset=3, data=b"d"), "expected byte 2"),
        (chunk(), chunk(offset=2, version=6, data=b"cd"), "of policy 4"),
        (chunk(), chunk(offset=2, data=b"cde"), "3 bytes at byte 2 of 4"),
        (chunk(), chunk(offset=2, data=b""), "0 bytes at byte 2"),
        (chunk(), chunk(total_bytes=5), "5 bytes announced, expected 1 to 4"),
        (chunk(), chunk(total_bytes=0), "0 bytes announced"),
    ):
        assembler.add(first)
        with pytest.raises(SnapshotError, match=reason):
            assembler.add(second)
