"""When the actor waits: for its learner, for room in the spool, for a disk that takes nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest

from actor.link import (
    LinkStatus,
    PauseCause,
)
from learner.store import ExperienceStore
from links import SOON_S, Bench, step
from nudge.v1 import learner_pb2 as pb
from policy.fakes import fake_contract, fake_episode
from waiting import eventually


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
