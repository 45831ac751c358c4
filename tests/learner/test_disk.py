"""Writing on a full disk: whatever does not fit leaves nothing behind, says so, and succeeds once there is room."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from disks import no_file_larger_than
from learner.columns import MappedColumns
from learner.disk import AppendedFile, DiskFull, room_needed
from learner.metrics import MetricsLog


def fill_up(disk: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free)
    return ballast


def test_an_appended_piece_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    file = AppendedFile(tmp_path / "log")
    file.append(b"a" * 900)
    with no_file_larger_than(1000), pytest.raises(DiskFull, match=r"disk full: .*/log, [0-9.]+ MB free .*200 bytes"):
        file.append(b"b" * 200)  # the first 100 of it were taken, and cut off again
    assert (tmp_path / "log").read_bytes() == b"a" * 900
    file.append(b"c" * 200)
    file.close()
    assert (tmp_path / "log").read_bytes() == b"a" * 900 + b"c" * 200


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), room_needed(tmp_path, "nothing"):
        tmp_path.open("w")


def test_columns_that_find_no_room_keep_what_they_have(tmp_path: Path) -> None:
    columns = MappedColumns(tmp_path, {"x": (np.float32, (8,)), "y": (np.int8, ())}, 16)
    columns.arrays["x"][:] = 7
    with no_file_larger_than(600), pytest.raises(DiskFull, match=r"x\.bin"):
        columns.grow()  # 32 rows of 32 bytes are 1024
    assert columns.capacity == len(columns.arrays["x"]) == len(columns.arrays["y"]) == 16
    assert (tmp_path / "x.bin").stat().st_size == 512
    columns.grow()
    assert columns.capacity == len(columns.arrays["y"]) == 32
    assert (columns.arrays["x"][:16] == 7).all()


def test_columns_on_a_full_disk_leave_the_room_that_is_left_to_others(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(200)
    columns = MappedColumns(disk, {"x": (np.float32, (1024,))}, 32)  # 128 KiB
    with pytest.raises(DiskFull, match=r"no room for 0\.000 GB of replay"):
        columns.grow()
    assert os.statvfs(disk).f_bavail * 4096 == (200 - 128) << 10


def test_metrics_refused_for_want_of_room_are_written_once_there_is(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(64)
    with MetricsLog(disk) as log:
        log.write(1, 10, {"loss": 0.5})
        ballast = fill_up(disk)
        updates = 2
        with suppress(DiskFull):
            while True:  # what is left of the pages in use takes a few
                log.write(updates, 10, {"loss": float(updates)})
                updates += 1
        ballast.unlink()
        log.write(updates, 10, {"loss": float(updates)})
        log.write(updates + 1, 10, {"loss": 1.0})
    lines = [json.loads(line)["updates"] for line in (disk / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(range(1, updates + 2))
    board = EventAccumulator(str(disk / "tensorboard"))
    board.Reload()
    assert sorted({event.step for event in board.Scalars("learner/loss")}) == lines
    assert {event.value for event in board.Scalars("learner/env_steps")} == {10.0}


def test_a_line_that_a_killed_process_left_unfinished_is_dropped(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        log.write(1, 10, {})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"updates": 2, "env')
    with MetricsLog(tmp_path) as log:
        log.write(2, 10, {})
    assert [json.loads(line)["updates"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2]
