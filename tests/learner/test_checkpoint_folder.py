"""Which checkpoints stay, what a killed process may leave of them, and policy versions that never come twice."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.checkpoint_folder import (
    CheckpointError,
    checkpoint_name,
    last_policy_version,
    list_checkpoints,
    prune,
    put_in_place,
    reserve_policy_versions,
    tidy,
    updates_of,
)
from learner.evaluations import best_checkpoint, read_evaluations

GRID = {"grid": "5 x 5", "seed": "3"}


def make(root: Path, updates: int, content: str = "") -> Path:
    folder = root / checkpoint_name(updates)
    folder.mkdir(parents=True)
    (folder / "checkpoint.json").write_text(json.dumps({"policy_version": updates}))
    (folder / "state.safetensors").write_text(content)
    return folder


def evaluate(folder: Path, successes: int, trials: int = 10, **conditions: str) -> None:
    outcomes = [{"success": index < successes, "row": 0} for index in range(trials)]
    text = json.dumps({"trials": outcomes, "conditions": GRID | conditions, "label": "simulator"})
    (folder / "evaluation.json").write_text(text)


def there(root: Path) -> list[int]:
    return [updates_of(folder) for folder in list_checkpoints(root)]


class TestPruning:
    def test_the_newest_stay_and_the_best_evaluated_one(self, tmp_path: Path) -> None:
        for updates, successes in ((10, 7), (20, 9), (30, 8), (40, 2), (50, 3)):
            evaluate(make(tmp_path, updates), successes)
        prune(tmp_path, keep=2)
        assert there(tmp_path) == [20, 40, 50]
        prune(tmp_path, keep=2)
        assert there(tmp_path) == [20, 40, 50]
        evaluate(make(tmp_path, 60), 10)
        prune(tmp_path, keep=2)
        assert there(tmp_path) == [50, 60]
        assert not list(tmp_path.glob(".*"))

    def test_of_equal_rates_the_newer_is_the_best(self, tmp_path: Path) -> None:
        for updates, successes, trials in ((10, 8, 10), (20, 16, 20), (30, 7, 10)):
            evaluate(make(tmp_path, updates), successes, trials)
        best = best_checkpoint(read_evaluations(list_checkpoints(tmp_path)))
        assert best is not None
        assert updates_of(best) == 20

    def test_rates_under_other_conditions_do_not_compare_but_cost_no_checkpoint(self, tmp_path: Path) -> None:
        evaluate(make(tmp_path, 10), 10, grid="1 x 1")
        evaluate(make(tmp_path, 20), 9, grid="1 x 1")
        evaluate(make(tmp_path, 30), 4)
        evaluate(make(tmp_path, 40), 3)
        make(tmp_path, 50)
        evaluated = read_evaluations(list_checkpoints(tmp_path))
        best = best_checkpoint(evaluated)
        assert best is not None
        assert updates_of(best) == 30  # under the conditions of the newest evaluation
        first, *_, last = evaluated.values()
        assert last.difference(first) == ["grid"]
        prune(tmp_path, keep=1)
        assert there(tmp_path) == [10, 30, 50]

    def test_an_evaluation_that_cannot_be_read_is_named_and_counts_as_none(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (make(tmp_path, 10) / "evaluation.json").write_text('{"trials": [')
        make(tmp_path, 20)
        with caplog.at_level(logging.WARNING):
            prune(tmp_path, keep=1)
        assert there(tmp_path) == [20]
        assert "update-000000010/evaluation.json: cannot be read" in caplog.text


class TestWhatAKilledProcessLeaves:
    def test_is_removed_but_a_checkpoint_whose_successor_did_not_come_is_put_back(self, tmp_path: Path) -> None:
        for name in (".update-000000030.tmp", ".update-000000010.removed", ".update-000000020.replaced"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "checkpoint.json").write_text("{}")
        (tmp_path / ".versions.json.partial").touch()
        make(tmp_path, 40, "new")
        (tmp_path / ".update-000000040.replaced").mkdir()
        tidy(tmp_path)
        assert there(tmp_path) == [20, 40]
        assert (tmp_path / "update-000000040" / "state.safetensors").read_text() == "new"
        assert not list(tmp_path.glob(".*"))

    def test_one_in_the_place_of_another_leaves_nothing_behind(self, tmp_path: Path) -> None:
        target = make(tmp_path, 10, "old")
        temporary = make(tmp_path / "elsewhere", 10, "new")
        put_in_place(temporary, target)
        assert (target / "state.safetensors").read_text() == "new"
        assert [path.name for path in tmp_path.iterdir() if path.name != "elsewhere"] == [target.name]


class TestVersions:
    def test_a_run_of_before_the_note_is_asked_for_its_checkpoints_rolled_back_ones_too(self, tmp_path: Path) -> None:
        assert last_policy_version(tmp_path, 50, 5000) == 0
        make(tmp_path, 40)
        # up to 5000 / 50 = 100 more may have been published by the next checkpoint, one on resuming, one on stopping
        assert last_policy_version(tmp_path, 50, 5000) == 142
        make(tmp_path / "rolled-back-1", 60)
        assert last_policy_version(tmp_path, 50, 5000) == 162

    def test_the_note_never_goes_down(self, tmp_path: Path) -> None:
        reserve_policy_versions(tmp_path, 300, 50, 5000)
        assert last_policy_version(tmp_path, 50, 5000) == 402
        reserve_policy_versions(tmp_path, 2, 50, 5000)
        assert last_policy_version(tmp_path, 50, 5000) == 402

    def test_a_note_that_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "versions.json").write_text("[]")
        with pytest.raises(CheckpointError, match=r"versions\.json: got '\[\]', expected the last policy version"):
            last_policy_version(tmp_path, 50, 5000)

    @settings(deadline=None, max_examples=25)  # each note waits for the disk
    @given(
        lives=st.lists(st.tuples(st.integers(0, 15), st.sampled_from([(1, 3), (5, 5), (5, 12), (7, 3)])), max_size=6)
    )
    def test_however_often_it_dies_no_version_comes_twice(
        self, tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[int, tuple[int, int]]]
    ) -> None:
        """Each life publishes on resuming and every so many updates, notes with each checkpoint, and is then killed."""
        root, seen, saved = tmp_path_factory.mktemp("checkpoints"), 0, 0
        for lasts, (publish_every, checkpoint_every) in lives:
            version = last_policy_version(root, publish_every, checkpoint_every)
            assert version >= seen
            reserve_policy_versions(root, version, publish_every, checkpoint_every)
            version, updates = version + 1, saved
            seen = max(seen, version)
            for updates in range(saved + 1, saved + lasts + 1):
                if updates % publish_every == 0:
                    version += 1
                    seen = max(seen, version)
                if updates % checkpoint_every == 0:
                    reserve_policy_versions(root, version, publish_every, checkpoint_every)
                    saved = updates
            seen = max(seen, version + 1)  # it may have stopped in order, and published once more
            assert last_policy_version(root, publish_every, checkpoint_every) >= seen, updates
