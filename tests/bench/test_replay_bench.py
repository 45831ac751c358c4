"""The replay benchmark: what it counts is what it claims to count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.replay import Steps, anonymous_bytes, grow, make_fast_layout
from learner.replay import Replay


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestGrowing:
    def test_every_figure_is_measured_at_every_size(self, tmp_path: Path) -> None:
        points = grow(make_fast_layout(1, "cached"), (2000, 100), (16,), tmp_path)
        assert [point["transitions"] for point in points] == [
            99,
            2000,
        ]  # the newest step of an open episode has no next one
        for point in points:
            assert point["draw_s"]["16"] > 0
            assert point["inserts_per_s"] == pytest.approx(1 / point["insert_s"])
            assert {"save_s", "open_s", "compare_s", "longest_insert_s"} <= point.keys()
        # 4096 slots at first, of 4 views * 64 * 4 * 4 * 2 bytes, 13 + 4 numbers of 4, and 24
        assert points[-1]["disk_bytes_reserved"] == 4096 * (8192 + 68 + 24)
        assert points[-1]["disk_bytes_per_transition"] == pytest.approx((8192 + 68 + 24) * 81 / 80)

    def test_mapped_files_are_not_anonymous_memory(self, tmp_path: Path) -> None:
        layout = make_fast_layout(1, "cached")
        replay, steps = Replay(tmp_path, layout, {}, 4096), iter(Steps(layout))
        before = anonymous_bytes()
        for _ in range(4000):  # 33 MB
            replay.add(next(steps))
        assert anonymous_bytes() - before < 8e6


def test_frames_take_98_kb(tmp_path: Path) -> None:
    (point,) = grow(make_fast_layout(2, "on-the-fly"), (30,), (), tmp_path)
    assert 98_304 < point["disk_bytes_per_transition"] < 100_000


def test_the_command_shows_its_options() -> None:
    command = [sys.executable, "bench/replay.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--frame-sizes" in done.stdout
