"""A store after SIGKILL, and after bytes were cut off or turned: what is durable stays, what is damaged is refused."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from learner.store import ExperienceStore, StoreDamaged, StoreReader
from learner.store_copy import export_store
from learner.store_selection import choose_episodes
from learner.store_verify import check_episode, check_structure
from nudge.v1 import learner_pb2 as pb
from policy.errors import NudgeError
from policy.fakes import fake_contract, fake_episode
from policy.file_lock import LockHeld
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=32)  # 3 KB a step: its episode fills pages
SESSION = "ab" * 16
WRITER = """
import sys
from pathlib import Path
import numpy as np
from learner.store import ExperienceStore
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

contract = fake_contract(cameras=1, proprioception=3, size_px=32)
with ExperienceStore(Path(sys.argv[1]), contract) as store:
    last = store.last_durable(sys.argv[2])
    first = 0 if last is None else last.episode + 1  # the one that was cut stays unfinished
    for episode in range(first, 1_000_000):
        rng = np.random.default_rng(episode)
        messages = [pack_step(s) for s in fake_episode(contract, 6, rng, session=sys.argv[2], episode=episode)]
        for start in (0, 2, 4):
            store.append(messages[start : start + 2])
            print(episode, start + 1, flush=True)
"""


def expected(episode: int) -> list[bytes]:
    rng = np.random.default_rng(episode)
    steps = fake_episode(CONTRACT, 6, rng, session=SESSION, episode=episode)
    return [pack_step(step).SerializeToString(deterministic=True) for step in steps]


def write_until_killed(path: Path, commits: int) -> tuple[int, int]:
    """Let a process write, kill it after it has told of so many commits; (episode, step) that it told last."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), SESSION], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(commits):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    told = process.stdout.read().splitlines()  # what it still said before it died
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    at = told[-1].split() if told else None
    return (int(at[0]), int(at[1])) if at else (-1, -1)


def closed_store(tmp_path: Path) -> Path:
    """A closed store of 60 episodes."""
    path = tmp_path / "experience.sqlite"
    with ExperienceStore(path, CONTRACT) as store:
        store.append([pb.Step.FromString(message) for episode in range(60) for message in expected(episode)])
    return path


def left_by_a_killed_one(tmp_path: Path) -> Path:
    """A store whose steps are all in its log: the process was killed before anything moved into the file."""
    path = tmp_path / "killed" / "experience.sqlite"
    path.parent.mkdir()
    program = WRITER.replace("range(first, 1_000_000)", "range(first, 5)") + "    import os; os._exit(9)\n"
    program = program.replace("with ExperienceStore(Path(sys.argv[1]), contract) as store:", "store = ExperienceStore("
                              "Path(sys.argv[1]), contract)\nif True:")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program, str(path), SESSION], check=False, capture_output=True)
    assert done.returncode == 9, done.stderr
    return path


def test_whatever_was_told_durable_is_there_after_kills_at_any_moment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, rng = tmp_path / "experience.sqlite", np.random.default_rng(0)
    for _ in range(4):
        told = write_until_killed(path, int(rng.integers(2, 30)))
        with caplog.at_level(logging.WARNING), StoreReader(path) as store:
            durable = store.last_durable(SESSION)
            assert durable is not None
            assert (durable.episode, durable.step) >= told
            for record in store.episodes():
                assert record.steps in (2, 4, 6)  # groups of two: none is there by half
                assert record.complete == (record.steps == 6)
            got = [pack_step(step).SerializeToString(deterministic=True) for _, step in store.read_after(0, 10_000)]
            wanted = [message for each in store.episodes() for message in expected(each.index)[: each.steps]]
            assert got == wanted
    caplog.clear()
    with ExperienceStore(path, CONTRACT) as store:
        assert f"{store.counts().env_steps} steps are there" in caplog.text
        assert f"session {SESSION[:8]}: episode " in caplog.text
        assert SESSION not in caplog.text  # it is a secret
    caplog.clear()
    ExperienceStore(path, CONTRACT).close()
    assert not caplog.records  # closed in order: nothing to tell


def test_looking_at_what_a_killed_process_left_changes_no_byte(tmp_path: Path) -> None:
    path = left_by_a_killed_one(tmp_path)
    files = sorted(each for each in path.parent.iterdir() if not each.name.endswith("-shm"))
    before = [hashlib.sha256(each.read_bytes()).hexdigest() for each in files]
    with StoreReader(path, CONTRACT) as store:
        assert store.counts().env_steps == 30
        assert not check_structure(store)
    assert sorted(each for each in path.parent.iterdir() if not each.name.endswith("-shm")) == files
    assert [hashlib.sha256(each.read_bytes()).hexdigest() for each in files] == before


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.6, 0.999])
@pytest.mark.parametrize("how", ["cut", "turned"])
def test_a_damaged_log_gives_what_was_before_the_damage(tmp_path: Path, how: str, fraction: float) -> None:
    path = left_by_a_killed_one(tmp_path)
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size
    place = int(size * fraction)
    if how == "cut":
        os.truncate(log, place)
    else:
        with log.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 0xFF]))
    path.with_name(f"{path.name}-shm").unlink()  # as after a power cut, after which the log is read anew
    with ExperienceStore(path, CONTRACT) as store:
        steps = store.counts().env_steps
        # 15 groups of two steps follow on the tables; all up to the damage are there, and it stands where it says.
        assert steps % 2 == 0
        assert (steps == 0) if fraction == 0 else (0 < steps < 30)
        got = [pack_step(step).SerializeToString(deterministic=True) for _, step in store.read_after(0, 100)]
        assert got == [message for episode in range(5) for message in expected(episode)][:steps]
        store.append([pack_step(s) for s in fake_episode(CONTRACT, 2, np.random.default_rng(9), episode=0)])


@pytest.mark.parametrize(("keep", "gives_some"), [(0.3, False), (0.9, True)])  # few pages lead to all the others
def test_a_file_that_was_cut_is_refused_and_what_can_be_read_is_saved(
    tmp_path: Path, keep: float, gives_some: bool
) -> None:
    path = closed_store(tmp_path)
    os.truncate(path, int(path.stat().st_size * keep) // 4096 * 4096)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match=r"nudge store verify.*nudge store export"):
        ExperienceStore(path, CONTRACT)
    assert path.read_bytes() == before
    with StoreReader(path) as store:
        assert check_structure(store)
        saved = export_store(store, tmp_path / "saved.sqlite", choose_episodes(store))
    assert saved.lost
    assert saved.episodes + len(saved.lost) == 60
    with ExperienceStore(tmp_path / "saved.sqlite", CONTRACT) as store:
        got = [pack_step(step).SerializeToString(deterministic=True) for _, step in store.read_after(0, 1000)]
        assert got == [message for each in store.episodes() for message in expected(each.index)]
        assert len(got) == 6 * saved.episodes
    assert (saved.episodes > 0) == gives_some


def test_a_page_of_zeros_in_the_middle_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    path = closed_store(tmp_path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(bytes(4096))
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match=r"its integrity check says .*nudge store verify"):
        ExperienceStore(path, CONTRACT)
    assert path.read_bytes() == before


@pytest.mark.parametrize("keep", [5_000, 100, 0])
def test_a_file_cut_in_the_middle_of_a_page_or_of_its_header_is_refused(tmp_path: Path, keep: int) -> None:
    path = closed_store(tmp_path)
    if keep == 0:
        path = left_by_a_killed_one(tmp_path)
    os.truncate(path, keep)
    names = {each.name: each.stat().st_size for each in path.parent.iterdir()}
    with pytest.raises(NudgeError, match="experience"):
        ExperienceStore(path, CONTRACT)
    after = {each.name: each.stat().st_size for each in path.parent.iterdir()}
    assert {name: after.get(name) for name in names} == names


def test_a_lone_log_is_not_thrown_away(tmp_path: Path) -> None:
    path = left_by_a_killed_one(tmp_path)
    aside = shutil.move(path, path.with_name("aside"))
    for kind in (ExperienceStore, StoreReader):
        with pytest.raises(StoreDamaged, match=r"the file is missing, but its log .* holds \d+ bytes"):
            kind(path, CONTRACT)
    shutil.move(aside, path)
    with ExperienceStore(path, CONTRACT) as store:
        assert store.counts().env_steps == 30


def test_turned_bytes_in_the_file_are_found_wherever_they_are(tmp_path: Path) -> None:
    """One byte in each page in turn: SQLite's check, the rows or the pictures tell, and nothing crashes."""
    path = closed_store(tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    pages = len(whole) // 4096
    found = 0
    for page in rng.choice(np.arange(1, pages), 12, replace=False):
        at = int(page) * 4096 + int(rng.integers(200, 4096))  # beyond the page's own header
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with StoreReader(path) as store:
            try:
                with store.reading() as connection:
                    ids = [row["id"] for row in connection.execute("SELECT id FROM episodes")]
                findings = check_structure(store) + [f for each in ids for f in check_episode(store, each)]
            except StoreDamaged:
                findings = [check_structure(store)[0]]
        found += bool(findings)
    # Some bytes belong to nothing: free room in a page, or a policy version that any number could be.
    assert found >= 8


def test_a_damaged_picture_names_its_step_to_the_trainer(tmp_path: Path) -> None:
    path = closed_store(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE frames SET png = CAST(substr(png, 1, 200) || x'00' AS BLOB) WHERE seq = 8")
    connection.commit()
    connection.close()
    with (
        ExperienceStore(path, CONTRACT) as store,
        pytest.raises(StoreDamaged, match=f"episode 1, step 1 of session {SESSION[:8]} is not"),
    ):
        store.read_after(0, 20)


def test_one_process_writes_at_a_time_and_the_right_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "experience.sqlite"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), SESSION], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(LockHeld, match="another process writes into this experience store"):
        ExperienceStore(path, CONTRACT)
    process.kill()
    process.wait()
    process.stdout.close()
    ExperienceStore(path, CONTRACT).close()
