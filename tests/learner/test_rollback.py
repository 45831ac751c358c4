"""Going back: nothing is deleted, a kill in the middle changes nothing, and what was undone is not owed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.checkpoint_folder import CheckpointError, checkpoint_name, list_checkpoints, updates_of
from learner.ratio import UpdateRatio
from learner.rollback import Rollback, finish_rollback, read_rollback, roll_back


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for updates in (10, 20, 30, 40):
        add(tmp_path, updates)
    return tmp_path


def add(root: Path, updates: int, content: str = "") -> Path:
    folder = root / checkpoint_name(updates)
    folder.mkdir()
    (folder / "checkpoint.json").write_text(content)
    return folder


def there(folder: Path) -> list[int]:
    return [updates_of(path) for path in list_checkpoints(folder)]


def test_later_ones_move_aside_and_may_come_again(root: Path) -> None:
    aside = roll_back(root, root / checkpoint_name(20), env_steps=7)
    assert (there(root), there(aside), aside.name) == ([10, 20], [30, 40], "rolled-back-1")
    add(root, 30, "another")
    finish_rollback(root)  # as each start does
    assert there(root) == [10, 20, 30]
    again = roll_back(root, root / checkpoint_name(10), env_steps=9)
    assert (there(root), there(again), again.name) == ([10], [20, 30], "rolled-back-2")
    assert (there(aside), (aside / checkpoint_name(30) / "checkpoint.json").read_text()) == ([30, 40], "")
    rollback = read_rollback(root)
    assert rollback is not None
    assert (rollback.updates, rollback.env_steps, rollback.pending) == (10, 9, ())


def test_from_the_newest_there_is_no_way_back(root: Path) -> None:
    with pytest.raises(CheckpointError, match="update-000000040 is the newest checkpoint already"):
        roll_back(root, root / checkpoint_name(40), env_steps=7)
    assert read_rollback(root) is None


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_one_that_was_killed_is_finished_by_the_next_start(root: Path, moved: int) -> None:
    pending = (checkpoint_name(30), checkpoint_name(40))
    rollback = Rollback(updates=20, env_steps=7, folder="rolled-back-1", pending=pending)
    (root / "rollback.json").write_text(rollback.model_dump_json())
    if moved:
        (root / "rolled-back-1").mkdir()
    for name in pending[:moved]:
        (root / name).rename(root / "rolled-back-1" / name)
    finish_rollback(root)
    assert (there(root), there(root / "rolled-back-1")) == ([10, 20], [30, 40])
    assert read_rollback(root) == rollback.model_copy(update={"pending": ()})


def test_a_note_that_cannot_be_read_is_refused(root: Path) -> None:
    (root / "rollback.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"rollback\.json: cannot be read"):
        finish_rollback(root)


class TestTheRatio:
    def test_it_counts_from_the_beginning_or_from_the_rollback(self) -> None:
        # 100 steps at 4 updates each are 400, of which 250 are done: 150 owed, the updates of 37.5 steps
        ratio = UpdateRatio(4.0)
        assert (ratio.owed(100, 250), ratio.steps_behind(100, 250), ratio.effective(100, 250)) == (150, 38, 2.5)
        # back at 80 updates when 100 steps were there: 10 steps later 40 are due, 12 of them done
        ratio = UpdateRatio(4.0, from_updates=80, from_env_steps=100)
        assert (ratio.owed(110, 92), ratio.steps_behind(110, 92), ratio.effective(110, 92)) == (28, 7, 1.2)
        assert (ratio.owed(100, 80), ratio.steps_behind(100, 80), ratio.effective(100, 80)) == (0, 0, 0)

    @given(st.floats(0.1, 20), st.integers(0, 10_000), st.integers(0, 10_000))
    def test_whoever_does_what_is_owed_reaches_it(self, utd: float, steps: int, more: int) -> None:
        ratio = UpdateRatio(utd)
        updates = 0
        for env_steps in (steps, steps + more):
            updates += max(0, int(ratio.owed(env_steps, updates)))
            assert ratio.owed(env_steps, updates) < 1
            assert ratio.steps_behind(env_steps, updates) <= max(1, 1 / utd) + 1
