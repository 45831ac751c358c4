"""The store keeps every step once, in order, on disk, and says what it refuses and why."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from learner.clipping import ClipShares, clip_shares
from learner.store import EpisodeRecord, ExperienceStore, StoreCounts, StoreError, StoreReader
from learner.store_copy import export_store
from learner.store_selection import choose_episodes
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import ContractMismatch, InvalidExperience
from policy.experience import Clipped, Judgement, Observation, Reason, Source, Step, StepId
from policy.wire import pack_step
from tiny import SIZE

A, B = "a" * 32, "b" * 32

CONTRACT = Contract.model_validate(
    tiny.CONTRACT.model_dump() | {"sim_only": ({"name": "cube_z", "unit": "m", "low": 0, "high": 1},)}
)


def observation(seed: int) -> Observation:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return Observation({"wrist": frame}, rng.random(1, np.float32), np.array([seed], np.float32))


def step(session: str, episode: int, index: int, **changes: object) -> Step:
    """A step whose content follows from its place; keywords change single fields."""
    made = Step(
        id=StepId(session, episode, index),
        observation=observation(100 * episode + index),
        action=np.array([0.5], np.float32),
        source=Source.POLICY,
        reward=0.0,
        terminated=False,
        truncated=False,
        policy_version=2,
        monotonic_ns=10 * index,
        wall_ns=1000 * episode + index,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the names are those of the fields


def ending(made: Step, reward: float = 0.0, truncated: bool = False) -> Step:
    return replace(made, terminated=not truncated, truncated=truncated, reward=reward, final=observation(7))


def packed(*steps: Step) -> list[pb.Step]:
    return [pack_step(each) for each in steps]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExperienceStore]:
    with ExperienceStore(tmp_path / "run" / "experience.sqlite", CONTRACT) as made:
        yield made


def places(store: StoreReader) -> list[StepId]:
    return [each.id for _, each in store.read_after(0, 1000)]


def test_steps_come_back_bit_equal_and_in_order_of_arrival(store: ExperienceStore) -> None:
    sent = [step(A, 0, 0), step(B, 5, 0), ending(step(A, 0, 1), reward=1.0)]
    store.append(packed(*sent))
    got = store.read_after(0, 10)
    assert [cursor for cursor, _ in got] == [1, 2, 3]
    for (_, one), other in zip(got, sent, strict=True):
        assert pack_step(one) == pack_step(other)
        np.testing.assert_array_equal(one.observation.frames["wrist"], other.observation.frames["wrist"])


def test_a_reader_goes_on_where_its_cursor_stands(store: ExperienceStore) -> None:
    store.append(packed(*(step(A, 0, index) for index in range(5))))
    first = store.read_after(0, 2)
    rest = store.read_after(first[-1][0], 10)
    assert [each.id.step for _, each in first + rest] == [0, 1, 2, 3, 4]
    assert store.read_after(rest[-1][0], 10) == []
    assert store.cursors_after(0, 2) == [cursor for cursor, _ in first]
    assert store.cursors_after(first[-1][0], 10) == [cursor for cursor, _ in rest]


def test_frames_are_kept_as_the_bytes_that_came(store: ExperienceStore) -> None:
    message = pack_step(step(A, 0, 0))
    store.append([message])
    (png,) = sqlite3.connect(store.path).execute("SELECT png FROM frames").fetchone()
    assert png == message.observation.frames[0].png


def test_appending_again_changes_nothing(store: ExperienceStore) -> None:
    messages = packed(step(A, 0, 0), step(A, 0, 1), ending(step(A, 0, 2), reward=1.0))
    store.append(messages)
    counts, episodes = store.counts(), store.episodes()
    store.append(messages[1:])
    store.append([*messages, *packed(step(A, 1, 0))])
    assert places(store) == [StepId(A, 0, 0), StepId(A, 0, 1), StepId(A, 0, 2), StepId(A, 1, 0)]
    assert store.episodes()[:1] == episodes
    assert store.counts() == replace(counts, env_steps=4, unfinished_episodes=1)


@pytest.mark.parametrize(
    ("before", "refused", "reason"),
    [
        ([], step(A, 0, 1), "got step 1, expected 0"),
        ([step(A, 0, 0)], step(A, 0, 2), "got step 2, expected 1"),
        ([step(A, 0, 0)], step(A, 1, 3), "got step 3, expected 0"),
        ([ending(step(A, 0, 0))], step(A, 0, 1), "ended with its step 0"),
        ([step(A, 4, 0)], step(A, 3, 0), "got episode 3 after 4"),
        ([], step(A, 0, 0, action=np.array([1.5], np.float32)), "policy speaks"),
        ([], step("not hex", 0, 0), "32 lower-case hex digits"),
    ],
)
def test_gaps_and_what_the_contract_forbids_are_refused(
    store: ExperienceStore, before: list[Step], refused: Step, reason: str
) -> None:
    store.append(packed(*before))
    with pytest.raises(InvalidExperience, match=reason):
        store.append(packed(refused))
    assert places(store) == [each.id for each in before]


def test_one_bad_step_keeps_its_whole_batch_out(store: ExperienceStore) -> None:
    with pytest.raises(InvalidExperience):
        store.append(packed(step(A, 0, 0), step(A, 0, 1), step(A, 0, 3)))
    assert places(store) == []
    assert store.counts() == StoreCounts(0, 0, 0, 0, 0)
    store.append(packed(step(A, 0, 0)))  # and the store goes on


def test_last_durable_is_per_session(store: ExperienceStore) -> None:
    assert store.last_durable(A) is None
    store.append(packed(step(A, 0, 0), step(A, 0, 1), step(B, 2, 0), step(A, 3, 0)))
    assert store.last_durable(A) == StepId(A, 3, 0)
    assert store.last_durable(B) == StepId(B, 2, 0)


def test_episodes_and_counts_tell_what_a_curve_needs(store: ExperienceStore) -> None:
    demo, human = Source.DEMO, Source.HUMAN
    store.append(
        packed(
            step(A, 0, 0, source=demo),
            ending(step(A, 0, 1, source=demo), reward=1.0),
            step(A, 1, 0, source=human, reward=0.25),
            step(A, 1, 1, source=human),
            ending(step(A, 1, 2), truncated=True, reward=0.5),
            ending(step(A, 2, 0, source=demo)),  # a demonstration that failed
            replace(ending(step(A, 3, 0, source=demo), reward=1.0), rejected=True),
            step(A, 4, 0, source=demo),  # not finished
        )
    )
    # steps 2 + 3 + 1 + 1 + 1 = 8; complete: 0 to 3; demonstrations: 0 and 2; success: 0 alone (1 was cut, not solved)
    assert store.counts() == StoreCounts(env_steps=8, episodes=4, unfinished_episodes=1, demo_episodes=2, successes=1)
    first, second, third, rejected, last = store.episodes()
    assert first == EpisodeRecord(A, 0, "demo", 2, 0, 1.0, True, False, False, 0, 1, (0.0,))
    # return 0.25 + 0 + 0.5; the cube's height of the first step is 100 * 1 + 0
    assert second == EpisodeRecord(A, 1, "online", 3, 2, 0.75, False, True, False, 1000, 1002, (100.0,))
    assert [each.success for each in (first, second, third, rejected, last)] == [True, False, False, False, False]
    assert [each.complete for each in (first, second, third, rejected, last)] == [True, True, True, True, False]
    assert [each.rejected for each in (third, rejected, last)] == [False, True, False]


def test_counting_does_not_take_longer_with_fifty_thousand_episodes(tmp_path: Path) -> None:
    path = tmp_path / "experience.sqlite"
    ExperienceStore(path, CONTRACT).close()
    connection = sqlite3.connect(path)
    connection.executemany(
        "INSERT INTO episodes VALUES (NULL, ?, ?, 3, 0, 0, 1, 1, 0, 0, 0, x'', 0)", ((B, n) for n in range(50_000))
    )
    connection.commit()
    connection.close()
    with ExperienceStore(path, CONTRACT) as store:
        start_s = time.process_time()
        for _ in range(1000):
            counts = store.counts()
        took_s = time.process_time() - start_s
        assert counts == StoreCounts(150_000, 50_000, 0, 0, 50_000)
        assert took_s < 1.0  # one sum over all of them alone takes 0.03 s
        store.append(packed(step(A, 0, 0)))
        with StoreReader(path) as reader:  # which sums them all
            assert store.counts() == reader.counts() == StoreCounts(150_001, 50_000, 1, 0, 50_000)


def test_everything_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "experience.sqlite"
    program = (
        "import importlib.util, os, sys, pathlib\n"
        f"spec = importlib.util.spec_from_file_location('steps', {__file__!r})\n"
        "m = importlib.util.module_from_spec(spec)\n"
        "sys.modules['steps'] = m; spec.loader.exec_module(m)\n"
        f"store = m.ExperienceStore(pathlib.Path({str(path)!r}), m.CONTRACT)\n"
        "store.append(m.packed(m.step(m.A, 0, 0), m.step(m.A, 0, 1)))\n"
        "os._exit(9)\n"
    )
    found = {**os.environ, "PYTHONPATH": str(Path(tiny.__file__).parent)}
    assert subprocess.run([sys.executable, "-c", program], check=False, env=found).returncode == 9
    with ExperienceStore(path, CONTRACT) as store:
        assert places(store) == [StepId(A, 0, 0), StepId(A, 0, 1)]
        assert store.counts().env_steps == 2


def test_another_contract_is_refused_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "experience.sqlite"
    ExperienceStore(path, CONTRACT).close()
    with pytest.raises(ContractMismatch, match=r"control_hz: 20.0 \(this run\) != 10.0 \(the store"):
        ExperienceStore(path, Contract.model_validate(CONTRACT.model_dump() | {"control_hz": 20.0}))


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look like one " * 20)
    with pytest.raises(StoreError, match="experience store"):
        ExperienceStore(text, CONTRACT)
    assert text.read_text().startswith("not a database")
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE cats (name)")
    connection.commit()
    with pytest.raises(StoreError, match="layout"):
        ExperienceStore(foreign, CONTRACT)


def made_older(path: Path, layout: int) -> None:
    """A store as the Nudge of that layout left it."""
    with closing(sqlite3.connect(path)) as connection:
        for column in ("clipped_tool", "clipped_joints"):
            connection.execute(f"ALTER TABLE steps DROP COLUMN {column}")
        if layout < 3:
            for table in ("rejudged", "endings", "judges"):
                connection.execute(f"DROP TABLE {table}")
            for column in ("judged_probability", "judged_reason"):
                connection.execute(f"ALTER TABLE steps DROP COLUMN {column}")
        if layout == 1:
            connection.execute("ALTER TABLE episodes DROP COLUMN rejected")
        connection.execute(f"PRAGMA user_version = {layout}")


@pytest.mark.parametrize("layout", [1, 2, 3])
def test_a_store_of_an_older_layout_is_brought_up_to_date_by_its_learner(tmp_path: Path, layout: int) -> None:
    path, judged, clipped = tmp_path / "experience.sqlite", Judgement(0.97, Reason.SUCCESS), Clipped(True, False)
    with ExperienceStore(path, CONTRACT) as store:
        store.append(packed(step(A, 0, 0), ending(step(A, 0, 1), reward=1.0)))
    made_older(path, layout)
    with ExperienceStore(path, CONTRACT) as store:
        store.append(packed(replace(ending(step(A, 1, 0)), rejected=True, judgement=judged, clipped=clipped)))
        store.keep_to_judge("simulator")
        assert places(store) == [StepId(A, 0, 0), StepId(A, 0, 1), StepId(A, 1, 0)]
        export_store(store, tmp_path / "copy.sqlite", choose_episodes(store))
    for each in (path, tmp_path / "copy.sqlite"):
        with StoreReader(each, CONTRACT) as found:
            assert [record.rejected for record in found.episodes()] == [False, True]
            assert [made.judgement for _, made in found.read_after(0, 9)] == [None, None, judged]
            assert [made.clipped for _, made in found.read_after(0, 9)] == [None, None, clipped]
            judge = found.judge()
            assert judge is not None
            assert judge.name == "simulator"


def test_a_store_of_layout_2_is_read_as_it_is_and_of_layout_1_the_cure_is_named(tmp_path: Path) -> None:
    path = tmp_path / "experience.sqlite"
    with ExperienceStore(path, CONTRACT) as store:
        store.append(packed(step(A, 0, 0), ending(step(A, 0, 1), reward=1.0)))
    made_older(path, 2)
    before = path.read_bytes()
    with StoreReader(path, CONTRACT) as store:  # a demo set of that time, for one, which never changes
        with store.snapshot() as connection:
            assert clip_shares(connection, 9) is None
        assert [made.judgement for _, made in store.read_after(0, 9)] == [None, None]
        assert store.judge() is None
        assert export_store(store, tmp_path / "copy.sqlite", choose_episodes(store)).steps == 2
    with ExperienceStore(tmp_path / "other.sqlite", CONTRACT) as other:
        assert other.adopt(path) == 1
    assert path.read_bytes() == before
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreError, match=r"got layout 1 .* start the learner or the actor of its run once"):
        StoreReader(path, CONTRACT)


def test_how_often_the_guard_clipped_is_counted_over_the_newest_steps_that_say_it(tmp_path: Path) -> None:
    with ExperienceStore(tmp_path / "experience.sqlite", CONTRACT) as store:
        told = [None, Clipped(True, True), Clipped(True, False), Clipped(False, False), Clipped(True, False)]
        with store.snapshot() as connection:
            assert clip_shares(connection, 9) is None
        store.append(packed(*(step(A, 0, number, clipped=each) for number, each in enumerate(told))))
        with store.snapshot() as connection:
            assert clip_shares(connection, 9) == ClipShares(tool=0.75, joints=0.25)
            assert clip_shares(connection, 2) == ClipShares(tool=0.5, joints=0.0)


def test_a_store_on_a_disk_that_nobody_may_write_can_be_looked_at(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1024)
    with ExperienceStore(disk / "experience.sqlite", CONTRACT) as store:
        store.append(packed(step(A, 0, 0)))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with StoreReader(disk / "experience.sqlite", CONTRACT) as reader:
        assert places(reader) == [StepId(A, 0, 0)]


def test_writers_and_readers_in_many_threads_lose_nothing(store: ExperienceStore) -> None:
    sessions = [f"{number:032x}" for number in range(4)]
    steps_each = 25
    seen: list[StepId] = []
    failures: list[BaseException] = []

    def write(session: str) -> None:
        for index in range(steps_each):
            store.append(packed(step(session, 0, index)))
            if store.last_durable(session) != StepId(session, 0, index):
                failures.append(AssertionError(f"{session} {index} is not durable"))

    def read() -> None:
        cursor = 0
        while len(seen) < len(sessions) * steps_each and not failures:
            arrived = store.read_after(cursor, 7)
            seen.extend(each.id for _, each in arrived)
            cursor = arrived[-1][0] if arrived else cursor
            store.counts()

    threads = [threading.Thread(target=write, args=(session,)) for session in sessions]
    threads.append(threading.Thread(target=read, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert len(seen) == len(set(seen)) == 100  # 4 sessions, 25 steps each
    for session in sessions:
        assert [each.step for each in seen if each.session == session] == list(range(steps_each))


@settings(max_examples=12, deadline=None)  # each step of each example waits for the disk
@given(data=st.data())
def test_any_resending_in_batches_stores_each_step_once(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    steps = [
        ending(step(A, episode, index)) if index == length - 1 else step(A, episode, index)
        for episode, length in enumerate(lengths)
        for index in range(length)
    ]
    with ExperienceStore(tmp_path_factory.mktemp("store") / "experience.sqlite", CONTRACT) as store:
        durable = 0
        while durable < len(steps):
            start = data.draw(st.integers(0, durable))  # a reconnecting actor goes back, but leaves no gap
            end = data.draw(st.integers(start + 1, len(steps)))
            store.append(packed(*steps[start:end]))
            durable = max(durable, end)
            assert store.last_durable(A) == steps[durable - 1].id
        assert places(store) == [each.id for each in steps]
        assert [record.steps for record in store.episodes()] == lengths
        with StoreReader(store.path) as reader:
            assert store.counts() == reader.counts()  # what is kept in memory, and what is summed
