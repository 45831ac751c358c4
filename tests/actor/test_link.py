"""The link against real servers: late, dying, restarted, strange, slow; no step is lost and none comes twice."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from pydantic import ValidationError

from actor.link import (
    ActorIdTaken,
    ExperienceRefused,
    LearnerLink,
    LinkError,
    LinkSettings,
    LinkStatus,
    OtherLearner,
    PauseCause,
    Spool,
    SpoolFull,
)
from actor.snapshot_assembly import SnapshotAssembler
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.contract import ActionDimension, Camera, Contract, Crop, Dimension
from policy.errors import ContractMismatch, InvalidExperience, SnapshotError
from policy.experience import Observation, Source, Step, StepId
from policy.fakes import fake_contract, fake_episode

SIZE = 8
SOON_S = 20.0  # far more than anything here takes

CAMERA = Camera(
    name="wrist",
    native_height_px=SIZE,
    native_width_px=SIZE,
    crop=Crop(top=0, left=0, height=SIZE, width=SIZE),
    size_px=SIZE,
)
CONTRACT = Contract(
    cameras=(CAMERA,),
    proprioception=(Dimension(name="pan", unit="rad", low=-2, high=2),),
    action=(ActionDimension(name="x", unit="m", scale=0.02),),
    control_hz=10,
)


SEEN = Observation({"wrist": np.zeros((SIZE, SIZE, 3), np.uint8)}, np.zeros(1, np.float32), np.zeros(0, np.float32))


def step(session: str, episode: int, index: int, last: bool = False) -> Step:
    seen = replace(SEEN, frames={"wrist": np.full((SIZE, SIZE, 3), index % 256, np.uint8)})
    return Step(
        id=StepId(session, episode, index),
        observation=seen,
        action=np.zeros(1, np.float32),
        source=Source.POLICY,
        reward=0.0,
        terminated=last,
        truncated=False,
        policy_version=0,
        monotonic_ns=0,
        wall_ns=0,
        final=seen if last else None,
    )


def eventually(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Bench:
    """A store and a port at which learners come and go, and the links and spools that are to be closed."""

    folder: Path
    store: ExperienceStore
    port: int
    publisher: PolicyPublisher
    status: pb.StatusReply
    servers: list[LearnerServer]
    links: list[LearnerLink]
    spools: dict[str, Spool]

    def serve(self, run_id: str = "trial", contract: Contract = CONTRACT, **changes: object) -> LearnerServer:
        server = LearnerServer(
            ServiceSettings.model_validate({"port": self.port} | changes),
            contract,
            run_id,
            self.store,
            self.publisher,
            "{}",
            lambda: self.status,
        )
        self.servers.append(server)
        server.start()
        return server

    def link(self, contract: Contract = CONTRACT, spool: str = "", **changes: object) -> LearnerLink:
        """A link on the spool of this name, or on one of its own."""
        quick = {"address": f"127.0.0.1:{self.port}", "backoff_first_s": 0.05, "backoff_max_s": 0.2}
        settings = LinkSettings.model_validate(quick | {"connect_timeout_s": SOON_S, "queue_steps": 2000} | changes)
        name = spool or f"spool{len(self.spools)}"
        self.spools[name] = Spool(self.folder / f"{name}.sqlite", contract, settings)
        made = LearnerLink(settings, contract, self.spools[name])
        self.links.append(made)
        return made

    def end(self, link: LearnerLink, spool: str) -> None:
        """What the end of an actor's process does."""
        link.close()
        self.spools[spool].close()

    def holds(self, steps: int) -> bool:
        return self.store.counts().env_steps >= steps

    def places(self) -> list[tuple[int, int]]:
        return [(each.id.episode, each.id.step) for _, each in self.store.read_after(0, 10_000)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = ExperienceStore(tmp_path / "experience.sqlite", CONTRACT)
    made = Bench(tmp_path, store, free_port(), PolicyPublisher(), pb.StatusReply(), [], [], {})
    yield made
    for link in made.links:
        link.close()
    for spool in made.spools.values():
        spool.close()
    for server in made.servers:
        server.stop(0)
    store.close()


def test_steps_arrive_once_in_order_and_bit_equal(bench: Bench) -> None:
    bench.serve()
    link = bench.link()
    welcome = link.open()
    assert (welcome.run_id, welcome.policy_version, welcome.policy_spec_json, welcome.last_durable) == (
        "trial",
        0,
        "{}",
        None,
    )
    assert link.state.status is LinkStatus.CONNECTED
    for episode in range(3):
        for index in range(10):
            link.send(step(link.session, episode, index, last=index == 9))
    assert link.flush(SOON_S)
    assert link.unacknowledged == 0
    assert bench.places() == [(episode, index) for episode in range(3) for index in range(10)]
    (_, got), *_ = bench.store.read_after(3, 1)
    np.testing.assert_array_equal(got.observation.frames["wrist"], np.full((SIZE, SIZE, 3), 3, np.uint8))


def test_a_learner_that_starts_late_is_found(bench: Bench) -> None:
    link = bench.link()
    late = threading.Timer(0.4, bench.serve)
    late.start()
    assert link.open().run_id == "trial"
    late.join()


def test_no_learner_at_the_deadline_is_said_with_the_address(bench: Bench) -> None:
    with pytest.raises(LinkError, match=f"no learner at 127.0.0.1:{bench.port} within 0.3 s"):
        bench.link(connect_timeout_s=0.3).open()


def test_steps_taken_while_the_learner_is_away_follow_when_it_is_back(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link()
    link.open()
    for index in range(5):
        link.send(step(link.session, 0, index))
    assert link.flush(SOON_S)
    first.stop(0.5)
    eventually(lambda: link.state.status is LinkStatus.AWAY)
    assert link.state.error
    for index in range(5, 12):
        link.send(step(link.session, 0, index))
    assert link.unacknowledged == 7
    assert not link.flush(0.05)
    bench.serve()
    assert link.flush(SOON_S)
    assert bench.places() == [(0, index) for index in range(12)]
    assert link.state.status is LinkStatus.CONNECTED
    assert link.state.error == ""


def test_a_learner_that_dies_again_and_again_mid_stream_loses_and_doubles_nothing(bench: Bench) -> None:
    server = bench.serve()
    link = bench.link()
    link.open()
    stop = threading.Event()
    sent = 0

    def drive() -> None:
        nonlocal sent
        while not stop.is_set():
            link.send(step(link.session, sent // 20, sent % 20, last=sent % 20 == 19))
            sent += 1
            time.sleep(0.002)

    driver = threading.Thread(target=drive)
    driver.start()
    for grace_s in (0.0, 0.0, 0.5):  # 0: streams are cut while steps are under way
        goal = len(bench.places()) + 15
        eventually(partial(bench.holds, goal))
        server.stop(grace_s)
        server = bench.serve()
    stop.set()
    driver.join()
    assert link.flush(SOON_S)
    assert bench.places() == [(number // 20, number % 20) for number in range(sent)]


def test_another_contract_is_refused_with_the_difference(bench: Bench) -> None:
    bench.serve()
    other = Contract.model_validate(CONTRACT.model_dump() | {"control_hz": 20.0})
    with pytest.raises(ContractMismatch, match=r"control_hz: 10.0 \(the learner\) != 20.0 \(the actor\)"):
        bench.link(contract=other).open()


def test_a_stranger_with_the_same_actor_id_is_refused_while_the_holder_lives(bench: Bench) -> None:
    bench.serve()
    holder = bench.link(actor_id="bench")
    holder.open()
    with pytest.raises(ActorIdTaken, match=r"'bench': session .* is connected with it"):
        bench.link(actor_id="bench", connect_timeout_s=0.4).open()
    bench.link(actor_id="other").open()
    holder.send(step(holder.session, 0, 0))
    assert holder.flush(SOON_S)


def test_a_new_spool_gets_the_actor_id_as_soon_as_its_holder_is_gone(bench: Bench) -> None:
    bench.serve(lease_s=0.1)
    first = bench.link(actor_id="bench")
    first.open()
    threading.Timer(0.3, first.close).start()
    second = bench.link(actor_id="bench")
    second.open()  # refused at first, and tries again
    second.send(step(second.session, 0, 0))
    assert second.flush(SOON_S)


def test_a_restarted_actor_delivers_what_its_former_self_could_not_and_goes_on_behind_it(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link(spool="kept")
    link.open()
    for index in range(4):
        link.send(step(link.session, 0, index))
    assert link.flush(SOON_S)
    first.stop(0.5)
    eventually(lambda: link.state.status is LinkStatus.AWAY)
    for index in range(4, 9):
        link.send(step(link.session, 0, index))
    session = link.session
    bench.end(link, "kept")
    assert (link.unacknowledged, link.unwritten) == (5, 0)
    bench.serve()
    again = bench.link(spool="kept")
    assert (again.session, again.progress.next_episode, again.progress.env_steps) == (session, 1, 9)
    assert again.unacknowledged == 5
    again.open()
    with pytest.raises(InvalidExperience, match="episode 1 or later"):
        again.send(step(session, 0, 9))  # the cut episode stays as it is
    again.send(step(session, 1, 0))
    assert again.flush(SOON_S)
    assert bench.places() == [*((0, index) for index in range(9)), (1, 0)]


def test_steps_that_are_not_on_disk_are_not_sent(bench: Bench) -> None:
    bench.serve()
    link = bench.link(spool="slow")
    link.open()
    with bench.spools["slow"]._write_lock:  # as a disk that takes its time
        link.send(step(link.session, 0, 0))
        assert not link.flush_to_disk(0.5)
        assert (bench.places(), link.progress.env_steps) == ([], 0)
    assert link.flush_to_disk(SOON_S)
    assert link.progress.newest == StepId(link.session, 0, 0)
    assert link.flush(SOON_S)
    assert bench.places() == [(0, 0)]


def test_a_malformed_stream_of_one_actor_leaves_another_undisturbed(bench: Bench) -> None:
    bench.serve()
    link = bench.link(actor_id="good")
    link.open()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)
    since_s = link.state.since_s
    session = "d" * 32
    with grpc.insecure_channel(f"127.0.0.1:{bench.port}") as channel:
        stub = pb_grpc.LearnerStub(channel)
        request = pb.HelloRequest(
            protocol_version="1.0",
            contract_hash=CONTRACT.hash,
            contract_json=CONTRACT.canonical_json(),
            actor_id="bad",
            session=session,
        )
        stub.Hello(request)
        bad = pb.Step(id=pb.StepId(session=session))
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.StreamExperience(iter([bad]), metadata=(("nudge-session", session),)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    link.send(step(link.session, 0, 1))
    assert link.flush(SOON_S)
    assert (link.state.status, link.state.since_s) == (LinkStatus.CONNECTED, since_s)


def test_a_step_that_the_learner_refuses_for_good_is_raised_to_the_caller(bench: Bench) -> None:
    bench.serve()
    link = bench.link()
    link.open()
    beyond_float32 = replace(step(link.session, 0, 0), reward=1e300)  # finite here, infinite on the wire
    link.send(beyond_float32)
    with pytest.raises(ExperienceRefused, match="reward"):
        link.flush(SOON_S)
    with pytest.raises(ExperienceRefused):
        link.send(step(link.session, 0, 1))
    with pytest.raises(ExperienceRefused):
        _ = link.steps_behind


def test_steps_that_do_not_follow_are_refused_at_once(bench: Bench) -> None:
    link = bench.link()
    for wrong in (step("e" * 32, 0, 0), step(link.session, 0, 1), step(link.session, -1, 0)):
        with pytest.raises(InvalidExperience, match="does not follow the beginning"):
            link.send(wrong)
    link.send(step(link.session, 0, 0))
    link.send(step(link.session, 0, 1, last=True))
    for wrong in (step(link.session, 0, 2), step(link.session, 1, 1), step(link.session, 0, 0)):
        with pytest.raises(InvalidExperience, match="does not follow"):
            link.send(wrong)
    link.send(step(link.session, 1, 0))
    link.send(step(link.session, 2, 0))  # an episode may stay unfinished
    with pytest.raises(InvalidExperience, match="action"):
        link.send(replace(step(link.session, 2, 1), action=np.array([3.0], np.float32)))


def test_a_full_queue_is_an_error_that_tells_why(bench: Bench) -> None:
    link = bench.link(queue_steps=4)
    for index in range(4):
        link.send(step(link.session, 0, index))
    with pytest.raises(SpoolFull, match=r"4 steps wait in memory for .*sqlite, .* look for a `pause`"):
        link.send(step(link.session, 0, 4))
    bench.serve()
    link.open()
    assert link.flush(SOON_S)
    link.send(step(link.session, 0, 4))
    assert link.flush(SOON_S)
    assert bench.places() == [(0, index) for index in range(5)]


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


def test_a_spool_goes_to_its_own_run_also_after_a_restart(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link(spool="kept")
    link.open()
    bench.end(link, "kept")
    first.stop(0.5)
    bench.serve(run_id="another")
    begun_s = time.monotonic()
    with pytest.raises(OtherLearner, match=r"serves run 'another', the steps in .*kept.sqlite belong to run 'trial'"):
        bench.link(spool="kept").open()
    assert time.monotonic() - begun_s < SOON_S / 2  # at once, and not when the time for connecting is over


def test_a_learner_that_has_lost_what_it_acknowledged_is_refused(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link(spool="kept")
    link.open()
    for index in range(3):
        link.send(step(link.session, 0, index))
    assert link.flush(SOON_S)
    bench.end(link, "kept")
    first.stop(0.5)
    bench.store.close()
    bench.store = ExperienceStore(bench.folder / "new.sqlite", CONTRACT)
    bench.serve()
    with pytest.raises(OtherLearner, match=r"up to None, but had acknowledged .*kept.sqlite does not keep"):
        bench.link(spool="kept").open()
    assert bench.places() == []


def test_an_older_copy_of_a_spool_is_refused(bench: Bench) -> None:
    bench.serve()
    link = bench.link(spool="kept")
    link.open()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)
    bench.end(link, "kept")
    copy = (bench.folder / "kept.sqlite").read_bytes()
    link = bench.link(spool="kept")
    link.open()
    link.send(step(link.session, 1, 0))
    assert link.flush(SOON_S)
    bench.end(link, "kept")
    (bench.folder / "kept.sqlite").write_bytes(copy)
    with pytest.raises(OtherLearner, match="an older copy of it"):
        bench.link(spool="kept").open()  # its next episode 1 would be taken for the one that is stored


def test_a_learner_of_another_run_gets_nothing(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link()
    link.open()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)
    first.stop(0.5)
    stranger = bench.serve(run_id="another")
    link.send(step(link.session, 0, 1))
    eventually(lambda: "serves run 'another'" in link.state.error)
    assert bench.places() == [(0, 0)]
    stranger.stop(0.5)
    bench.serve()
    assert link.flush(SOON_S)
    assert bench.places() == [(0, 0), (0, 1)]


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


def test_with_the_learner_away_the_actor_goes_on_or_pauses_as_it_is_told(bench: Bench) -> None:
    first = bench.serve()
    goes_on, pauses = bench.link(actor_id="a"), bench.link(actor_id="b", when_away="pause")
    for link in (goes_on, pauses):
        link.open()
        assert link.pause is None
    first.stop(0.5)
    eventually(lambda: goes_on.state.status is pauses.state.status is LinkStatus.AWAY)
    assert goes_on.pause is None
    assert pauses.pause is not None
    assert (pauses.pause.cause, pauses.pause.cuts_episode) == (PauseCause.AWAY, False)
    pauses.send(step(pauses.session, 0, 0))  # the running episode goes on to its end
    bench.serve()
    eventually(lambda: pauses.pause is None)
    assert pauses.flush(SOON_S)


def test_a_full_spool_pauses_the_actor_until_the_learner_has_taken_some(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link(spool="full", spool_max_bytes=1 << 20, queue_steps=16)
    link.open()
    first.stop(0.5)
    eventually(lambda: link.state.status is LinkStatus.AWAY)
    seen_filling = False
    index = 0
    while link.pause is None or link.pause.cause is PauseCause.QUEUE:
        seen_filling |= link.state.filling and link.state.fill < 1
        if link.pause is None:
            link.send(step(link.session, 0, index))
            index += 1
        else:
            time.sleep(0.001)
    pause = link.pause
    assert pause is not None
    assert (pause.cause, pause.cuts_episode, seen_filling) == (PauseCause.SPOOL_FULL, True, True)
    assert "full.sqlite" in pause.reason
    assert "spool_max_bytes" in pause.reason
    link.send(step(link.session, 0, index, last=True))  # there is room for the end of the episode
    assert link.flush_to_disk(SOON_S)
    assert bench.spools["full"].used_bytes < 1 << 20
    bench.serve()
    eventually(lambda: link.pause is None)
    assert link.state.fill < 0.9
    assert link.flush(SOON_S)
    assert bench.places() == [(0, number) for number in range(index + 1)]


def test_a_disk_that_takes_nothing_pauses_the_actor_and_nothing_is_lost(bench: Bench) -> None:
    bench.serve()
    link = bench.link(spool="tight")
    link.open()
    writer = bench.spools["tight"]._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")  # the error of a full disk, where nothing can be mounted
    index = 0
    while link.pause is None:
        link.send(step(link.session, 0, index))
        index += 1
        time.sleep(0.01)
    assert link.pause.cause is PauseCause.DISK
    for part in ("tight.sqlite: the disk is full", "make room", "wait in memory"):
        assert part in link.pause.reason
    link.send(step(link.session, 0, index, last=True))
    assert link.unwritten >= 2
    writer.execute("PRAGMA max_page_count = 1000000")
    eventually(lambda: link.pause is None)
    assert link.flush(SOON_S)
    assert bench.places() == [(0, number) for number in range(index + 1)]


def test_steps_that_the_disk_did_not_take_are_counted_at_the_end(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    link = bench.link(spool="tight")
    writer = bench.spools["tight"]._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    for index in range(1000):
        link.send(step(link.session, 0, index))
    link.close()
    written = link.progress.env_steps
    assert link.unwritten == 1000 - written > 0
    assert f"{1000 - written} steps are lost with this process" in caplog.text


def test_a_learner_that_does_not_read_is_not_buried(bench: Bench) -> None:
    large = fake_contract(cameras=2)
    bench.store.close()
    bench.store = ExperienceStore(bench.folder / "large.sqlite", large)
    bench.serve(contract=large, inbox_bytes=1)  # one step at a time
    link = bench.link(large, spool="deep")
    episode = fake_episode(large, 300, np.random.default_rng(0), session=link.session)  # 100 kB of noise a step
    for made in episode:
        link.send(made)
    read: list[int] = []
    spool = bench.spools["deep"]
    read_after = spool.read_after

    def counted(seq: int, limit: int) -> list[tuple[int, pb.Step]]:
        read.append(seq)
        return read_after(seq, limit)

    spool.read_after = counted  # type: ignore[method-assign]
    with bench.store._write_lock:  # the learner's disk stands still
        link.open()
        assert link.flush_to_disk(SOON_S)
        eventually(lambda: bool(read))
        time.sleep(1.0)
        held = max(read)
        time.sleep(0.5)
        assert max(read) == held < 200  # the window of HTTP/2 is full, the rest stays on disk
    assert link.flush(SOON_S)
    assert len(bench.places()) == 300


def test_a_learner_upgraded_to_a_newer_minor_version_in_the_middle_of_a_run_is_as_good(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.serve()
    link = bench.link()
    link.open()
    first.stop(0.5)
    for module in ("learner.handshake", "learner.servicer"):
        monkeypatch.setattr(f"{module}.PROTOCOL_VERSION", "1.7")
    bench.serve()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)


def test_a_learner_of_another_major_version_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learner.handshake.PROTOCOL_VERSION", "2.0")
    bench.serve()
    with pytest.raises(ContractMismatch, match=r"the actor speaks 1\.\d+, this learner 2.0"):
        bench.link().open()


LEARNER = f"""
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("links", {__file__!r})
m = importlib.util.module_from_spec(spec); sys.modules["links"] = m; spec.loader.exec_module(m)
store = m.ExperienceStore(pathlib.Path(sys.argv[1]), m.CONTRACT)
settings = m.ServiceSettings(port=int(sys.argv[2]))
with m.LearnerServer(settings, m.CONTRACT, "trial", store, m.PolicyPublisher(), "{{}}", m.pb.StatusReply):
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_learner_that_stands_still_is_noticed_within_ten_seconds(bench: Bench, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEARNER, str(tmp_path / "far.sqlite"), str(bench.port)]
    learner = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        link = bench.link(connect_timeout_s=60)
        link.open()
        link.send(step(link.session, 0, 0))
        assert link.flush(SOON_S)
        learner.send_signal(signal.SIGSTOP)
        begun_s = time.monotonic()
        link.send(step(link.session, 0, 1))  # TCP takes it: the kernel behind the learner answers
        eventually(lambda: link.state.status is LinkStatus.AWAY)
        assert time.monotonic() - begun_s < 10
        link.send(step(link.session, 0, 2))
        learner.send_signal(signal.SIGCONT)
        assert link.flush(SOON_S)
    finally:
        learner.kill()
        learner.communicate()
    with ExperienceStore(tmp_path / "far.sqlite", CONTRACT) as store:
        assert [each.id.step for _, each in store.read_after(0, 10)] == [0, 1, 2]


def test_steps_behind_is_what_the_learner_says(bench: Bench) -> None:
    bench.serve()
    bench.status.steps_behind = 9
    link = bench.link()
    link.open()
    assert link.steps_behind == 9
    bench.status.steps_behind = 0
    eventually(lambda: link.steps_behind == 0)  # without a step in between


def test_sending_never_waits_for_network_or_packing(bench: Bench) -> None:
    link = bench.link()
    slowest_s = 0.0
    for index in range(500):
        made = step(link.session, 0, index)
        begun_s = time.perf_counter()
        link.send(made)
        slowest_s = max(slowest_s, time.perf_counter() - begun_s)
    assert slowest_s < 0.1  # a tick's length; it takes some 20 us, the rest is a busy machine


def test_closing_does_not_hang_in_any_state(bench: Bench) -> None:
    def seconds_to_close(link: LearnerLink) -> float:
        begun_s = time.monotonic()
        link.close()
        link.close()
        return time.monotonic() - begun_s

    assert seconds_to_close(bench.link()) < 2  # never opened
    away = bench.link(backoff_first_s=30, backoff_max_s=30)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(away.open)
        eventually(lambda: "UNAVAILABLE" in away.state.error)
        assert seconds_to_close(away) < 2  # in the middle of a long pause
        with pytest.raises(LinkError, match="closed"):
            opening.result(SOON_S)
    bench.serve()
    connected = bench.link()
    connected.open()
    connected.send(step(connected.session, 0, 0))
    assert seconds_to_close(connected) < 2
    with pytest.raises(LinkError, match="closed"):
        connected.send(step(connected.session, 0, 1))


def test_a_listener_that_never_answers_does_not_hold_the_link(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", bench.port)):
        link = bench.link(connect_timeout_s=0.5, call_timeout_s=0.2)
        begun_s = time.monotonic()
        with pytest.raises(LinkError, match="no learner at"):
            link.open()
        assert time.monotonic() - begun_s < 5


def test_an_interrupt_ends_a_process_with_both_ends_soon(tmp_path: Path) -> None:
    program = (
        "import importlib.util, os, pathlib, signal, sys, threading\n"
        f"spec = importlib.util.spec_from_file_location('links', {__file__!r})\n"
        "m = importlib.util.module_from_spec(spec); sys.modules['links'] = m; spec.loader.exec_module(m)\n"
        f"store = m.ExperienceStore(pathlib.Path({str(tmp_path / 'x.sqlite')!r}), m.CONTRACT)\n"
        f"made = m.Bench(pathlib.Path({str(tmp_path)!r}), store, m.free_port(), m.PolicyPublisher(),"
        " m.pb.StatusReply(), [], [], {})\n"
        "server = m.LearnerServer(m.ServiceSettings(port=made.port), m.CONTRACT, 'trial', store, made.publisher, '{}',"
        " m.pb.StatusReply)\n"
        "with server, made.link() as link:\n"
        "    link.open()\n"
        "    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    for index in range(10**6):\n"
        "        link.send(m.step(link.session, 0, index))\n"
        "        link.flush(5)\n"
    )
    # Most of it are imports; an end that hangs, hangs for ever.
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=180)
    assert "KeyboardInterrupt" in ended.stderr


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


@pytest.mark.parametrize(
    "wrong", [{"address": "no port"}, {"actor_id": "a b"}, {"backoff_first_s": 9}, {"keepalive": 3}]
)
def test_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LinkSettings.model_validate(wrong)
