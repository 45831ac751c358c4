"""A store on a full disk: it says so, nothing is half there, and it goes on once there is room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from learner.store import ExperienceStore, StoreFull
from learner.store_copy import export_store
from learner.store_selection import choose_episodes
from learner.store_verify import check_episode, check_structure
from nudge.v1 import learner_pb2 as pb
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=32)


def messages(episode: int, steps: int = 6) -> list[pb.Step]:
    return [pack_step(s) for s in fake_episode(CONTRACT, steps, np.random.default_rng(episode), episode=episode)]


def fill(store: ExperienceStore) -> int:
    """Append episodes until the disk is full; how many went in."""
    for episode in range(1000):
        try:
            store.append(messages(episode))
        except StoreFull:
            with pytest.raises(StoreFull, match=r"the disk is full .* nothing of these 6 steps was stored"):
                store.append(messages(episode))  # and full it stays
            return episode
    raise AssertionError("the disk never filled up")


def require_sound(store: ExperienceStore, episodes: int) -> None:
    assert store.counts().env_steps == len(store.read_after(0, 10_000)) == 6 * episodes
    assert not check_structure(store)
    assert not [finding for row in range(1, episodes + 1) for finding in check_episode(store, row)]


def test_it_goes_on_after_sqlite_finds_no_page_more(tmp_path: Path) -> None:
    """Without any rights: SQLite's own limit of the file gives the error that a full disk gives."""
    with ExperienceStore(tmp_path / "experience.sqlite", CONTRACT) as store:
        (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
        store._writer.execute(f"PRAGMA max_page_count = {pages + 60}")
        taken = fill(store)
        require_sound(store, taken)
        store._writer.execute("PRAGMA max_page_count = 1073741823")
        store.append(messages(taken))
        require_sound(store, taken + 1)


def test_it_goes_on_after_room_is_made_on_a_full_disk(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1024)
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * (300 << 10))
    with ExperienceStore(disk / "experience.sqlite", CONTRACT) as store:
        taken = fill(store)
        assert taken > 3
        require_sound(store, taken)
        ballast.unlink()
        store.append(messages(taken))
        require_sound(store, taken + 1)
    with ExperienceStore(disk / "experience.sqlite", CONTRACT) as store:
        require_sound(store, taken + 1)


def test_a_store_that_was_closed_on_a_full_disk_has_lost_nothing(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(700)
    with ExperienceStore(disk / "experience.sqlite", CONTRACT) as store:
        taken = fill(store)
    roomy = small_disk(4096)
    for file in disk.iterdir():
        (roomy / file.name).write_bytes(file.read_bytes())
    with ExperienceStore(roomy / "experience.sqlite", CONTRACT) as store:
        require_sound(store, taken)
        store.append(messages(taken))


def test_an_export_without_room_leaves_nothing_behind(small_disk: Callable[[int], Path], tmp_path: Path) -> None:
    disk = small_disk(200)
    with ExperienceStore(tmp_path / "experience.sqlite", CONTRACT) as store:
        for episode in range(20):
            store.append(messages(episode))
        with pytest.raises(StoreFull, match="nothing was exported"):
            export_store(store, disk / "copy.sqlite", choose_episodes(store))
        assert list(disk.iterdir()) == []
