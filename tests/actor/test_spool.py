"""The spool on real disks: what it reports as taken is there afterwards, whatever happens to process, disk and file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from actor.link_settings import LinkSettings
from actor.spool import TRIM_BATCH, Spool
from actor.spool_gauge import SpoolGauge, SpoolTooSmall
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import ContractMismatch, InvalidExperience
from policy.experience import Source, Step, StepId
from policy.fakes import fake_contract, fake_episode
from policy.file_lock import LockHeld
from policy.step_schema import StoreDamaged, StoreError, StoreFull
from policy.wire import pack_step, unpack_step

CONTRACT = fake_contract(cameras=1, proprioception=2, size_px=32)
SETTINGS = LinkSettings(spool_max_bytes=4 << 20)


def episode(spool: Spool, number: int, steps: int, *, terminated: bool = True) -> list[tuple[Step, pb.Step]]:
    made = fake_episode(
        CONTRACT, steps, np.random.default_rng(number), session=spool.session, episode=number, terminated=terminated
    )
    return [(step, pack_step(step)) for step in made]


def opened(path: Path, settings: LinkSettings = SETTINGS) -> Spool:
    return Spool(path / "spool.sqlite", CONTRACT, settings)


def places(spool: Spool, seq: int = 0) -> list[tuple[int, int]]:
    return [(message.id.episode, message.id.step) for _, message in spool.read_after(seq, 10_000)]


def test_steps_come_back_byte_for_byte_after_closing(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        assert (spool.progress.next_episode, len(spool)) == (0, 0)
        taken = episode(spool, 0, 5)
        spool.commit(taken[:3])
        spool.commit(taken[3:])
        session = spool.session
    with opened(tmp_path) as spool:
        assert spool.session == session
        assert [message for _, message in spool.read_after(0, 10)] == [message for _, message in taken]
        assert len(spool) == 5
        assert (spool.progress.newest, spool.progress.in_episode) == (StepId(session, 0, 4), False)


def test_progress_goes_on_where_the_last_process_was(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.commit(episode(spool, 0, 5))  # a successful demonstration
        spool.commit(episode(spool, 1, 4, terminated=False))  # one that timed out
        by_policy = fake_episode(
            CONTRACT, 3, np.random.default_rng(2), session=spool.session, episode=2, source=Source.POLICY
        )
        spool.commit([(step, pack_step(step)) for step in by_policy])  # a success, and no demonstration
        spool.commit(episode(spool, 3, 9)[:2])  # cut
        assert (spool.progress.env_steps, spool.progress.demonstrations) == (14, 1)  # 5 + 4 + 3 + 2
    with opened(tmp_path) as spool:
        assert (spool.progress.env_steps, spool.progress.demonstrations) == (14, 1)
        assert (spool.progress.next_episode, spool.progress.in_episode) == (4, True)
        assert "14 steps wait for the learner, from episode 0, step 0" in spool.describe()
        assert "episode 3 was cut after its step 1" in spool.describe()
        assert spool.session not in spool.describe()  # it is a secret
        spool.commit(episode(spool, 4, 1))
        assert places(spool)[-3:] == [(3, 0), (3, 1), (4, 0)]


def test_acknowledged_steps_are_trimmed_and_their_pages_used_again(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        pages = []
        for number in range(12):
            spool.commit(episode(spool, number, TRIM_BATCH))
            last = spool.place_of(StepId(spool.session, number, TRIM_BATCH - 1))
            assert last is not None
            spool.commit([], last, trim=True)
            assert (len(spool), places(spool)) == (0, [])
            pages += spool._writer.execute("PRAGMA page_count").fetchone()
        assert spool.used_bytes < 128 << 10
        assert pages[-1] <= pages[2]
        assert spool.progress.env_steps == 12 * TRIM_BATCH
    with opened(tmp_path) as spool:  # nothing waits, and the numbers go on
        assert (spool.progress.next_episode, len(spool), spool.acknowledged) == (12, 0, last)
        spool.commit(episode(spool, 12, 2))
        assert (len(spool), places(spool)) == (2, [(12, 0), (12, 1)])


def test_a_commit_waits_for_the_disk_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:  # only a cut of the power would show the difference
        assert spool._writer.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_a_trim_takes_a_batch_and_nothing_that_waits(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.commit(episode(spool, 0, TRIM_BATCH + 10))
        spool.commit([], spool.place_of(StepId(spool.session, 0, TRIM_BATCH + 4)), trim=True)
        assert places(spool)[0] == (0, TRIM_BATCH)
        spool.commit([], None, trim=True)
        assert places(spool) == [(0, TRIM_BATCH + index) for index in range(5, 10)]
        assert len(spool) == 5


def test_a_step_that_does_not_follow_is_refused_with_its_group(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        taken = episode(spool, 0, 5)
        spool.commit(taken[:2])
        for wrong in (taken[3:4], taken[1:3]):  # a gap; one that is there already
            with pytest.raises(InvalidExperience):
                spool.commit(wrong)
        assert places(spool) == [(0, 0), (0, 1)]
        spool.commit(taken[2:])


def test_a_second_process_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    with opened(tmp_path):
        program = (
            "import sys, pathlib; from actor.spool import Spool; from actor.link_settings import LinkSettings\n"
            "from policy.fakes import fake_contract; contract = fake_contract(1, 2, 32)\n"
            "Spool(pathlib.Path(sys.argv[1]), contract, LinkSettings()).close()\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "spool.sqlite")]
        second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert second.returncode != 0
        assert "another process has this spool" in second.stderr
        with pytest.raises(LockHeld, match="another process has this spool"):
            opened(tmp_path)
    assert subprocess.run(command, check=False, capture_output=True, timeout=120).returncode == 0


WRITER = f"""
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("spools", {__file__!r})
m = importlib.util.module_from_spec(spec); sys.modules["spools"] = m; spec.loader.exec_module(m)
with m.opened(pathlib.Path(sys.argv[1])) as spool:
    number = spool.progress.next_episode
    while True:
        taken = m.episode(spool, number, 7)
        for at in range(0, 7, 2):
            spool.commit(taken[at : at + 2], spool.place_of(taken[0][0].id), trim=number % 3 == 0)
            step = taken[min(at + 1, 6)][0]
            print(step.id.episode, step.id.step, flush=True)
        number += 1
"""


def test_what_a_killed_process_reported_as_taken_is_there(tmp_path: Path) -> None:
    for kill in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        reported = [process.stdout.readline() for _ in range(17 + kill)]
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        last_episode, last_step = map(int, [line for line in reported if line.endswith("\n")][-1].split())
        with opened(tmp_path) as spool:
            assert spool.left_open
            assert "left by a process that was killed" in spool.describe()
            newest = spool.progress.newest
            assert newest is not None
            assert newest.order >= (last_episode, last_step)
            # Every step behind the last acknowledgement, without a gap, and whole.
            messages = [message for _, message in spool.read_after(spool.acknowledged.seq, 10_000)]
            assert len(messages) == len(spool) >= 1
            assert (messages[-1].id.episode, messages[-1].id.step) == newest.order
            for message in messages:
                unpack_step(message, CONTRACT)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 1.5 MB: a tmpfs where this user may mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1536k", "none", str(folder)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"this user may not mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(spool: Spool) -> int:
    """Commit until the disk is full; the number of the episode that was refused."""
    for number in range(spool.progress.next_episode, 10_000):
        try:
            spool.commit(episode(spool, number, 10))
        except StoreFull:
            return number
    raise AssertionError("the disk was never full")


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_a_full_disk_refuses_a_group_whole_and_takes_it_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(300_000))
        with opened(disk) as spool:
            refused = fill(spool)
            with pytest.raises(StoreFull, match=r"spool.sqlite: the disk is full .* none of these 10 steps is on disk"):
                spool.commit(episode(spool, refused, 10))
            assert places(spool) == [(number, index) for number in range(refused) for index in range(10)]
            ballast.unlink()
            spool.commit(episode(spool, refused, 10))
        with opened(disk) as spool:
            assert places(spool)[-1] == (refused, 9)


def test_a_database_at_its_limit_refuses_a_group_whole_and_takes_it_later(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:  # the same error of SQLite where nothing can be mounted
        spool._writer.execute("PRAGMA max_page_count = 150")
        refused = fill(spool)
        assert len(places(spool)) == 10 * refused
        spool.commit([], spool.place_of(StepId(spool.session, refused - 1, 9)), trim=True)
        spool.commit(episode(spool, refused, 10))
        assert places(spool)[-1] == (refused, 9)


def test_a_file_whose_log_was_torn_goes_on_with_the_last_whole_commit(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(12):
        process.stdout.readline()
    process.kill()
    process.communicate()
    log = tmp_path / "spool.sqlite-wal"
    os.truncate(log, log.stat().st_size - 5000)
    with opened(tmp_path) as spool:
        messages = [message for _, message in spool.read_after(0, 10_000)]
        assert len(messages) >= 2
        assert spool.progress.newest is not None
        assert (messages[-1].id.episode, messages[-1].id.step) == spool.progress.newest.order
        assert spool.progress.env_steps == spool.newest_seq


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for number in range(20):
            spool.commit(episode(spool, number, 10))
    path = tmp_path / "spool.sqlite"
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 : 4096 * 12] = b"\xa5" * 4096 * 9
    path.write_bytes(damaged)
    with pytest.raises(StoreDamaged, match=r"spool.sqlite: its integrity check says"):
        opened(tmp_path)
    assert path.read_bytes() == damaged
    path.write_bytes(b"not a database at all" * 400)
    with pytest.raises(StoreError, match="file is not a database"):
        opened(tmp_path)


def test_what_is_not_this_actors_spool_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(StoreError, match="spool of actor 'actor', expected one of 'bench'"):
        opened(tmp_path, LinkSettings(actor_id="bench"))
    other = Contract.model_validate(CONTRACT.model_dump() | {"control_hz": 20.0})
    with pytest.raises(ContractMismatch, match="control_hz"):
        Spool(tmp_path / "spool.sqlite", other, SETTINGS)
    with ExperienceStore(tmp_path / "store.sqlite", CONTRACT) as store:
        steps = fake_episode(CONTRACT, 2, np.random.default_rng(0))
        store.append([pack_step(step) for step in steps])
    with pytest.raises(StoreError, match="an experience store with 1 episodes, expected a spool"):
        Spool(tmp_path / "store.sqlite", CONTRACT, SETTINGS)
    with sqlite3.connect(tmp_path / "store.sqlite") as untouched:
        assert untouched.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'spool'").fetchone() == (0,)


def test_a_refused_file_is_free_again(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(StoreError):
        opened(tmp_path, LinkSettings(actor_id="bench"))
    opened(tmp_path).close()


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.commit(episode(spool, 0, 2))
        for suffix in ("", "-wal"):
            assert Path(f"{spool.path}{suffix}").stat().st_mode & 0o077 == 0


def test_room_is_reserved_for_the_steps_in_memory(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        # One camera of 32 px: 9/8 of 32 * (3 * 32 + 1) bytes and 1024, 4516 in all; 8192 for the rest; 21 steps.
        assert spool.capacity_bytes == (4 << 20) - 21 * (4516 + 8192)
    with pytest.raises(SpoolTooSmall, match="spool_max_bytes: got 1048576, expected at least"):
        Spool(tmp_path / "small", fake_contract(), LinkSettings(spool_max_bytes=1 << 20))


def test_the_gauge_has_distance_between_on_and_off() -> None:
    gauge = SpoolGauge(1000)
    seen = []
    for used in (790, 800, 760, 740, 800, 999, 1000, 950, 900, 899, 950):
        gauge.update(used)
        seen.append((used, gauge.filling, gauge.full))
    assert seen == [
        (790, False, False),
        (800, True, False),
        (760, True, False),  # above 75 %
        (740, False, False),
        (800, True, False),
        (999, True, False),
        (1000, True, True),
        (950, True, True),
        (900, True, True),
        (899, True, False),  # below 90 %
        (950, True, False),
    ]
