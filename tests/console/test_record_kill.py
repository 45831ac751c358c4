"""SIGKILL while demonstrations are recorded: what counted as recorded is there, and the next process goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.killed_recorder import Killed, kill_recorders


def require_nothing_lost(found: Killed) -> None:
    assert found.told > 0
    assert found.lost == 0
    assert found.unfinished <= found.kills
    assert found.episodes > 0


def test_a_killed_recorder_loses_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    require_nothing_lost(kill_recorders(tmp_path, kills=2, seed=1))


@pytest.mark.slow
def test_thirty_kills_lose_nothing(tmp_path: Path) -> None:
    found = kill_recorders(tmp_path, kills=30)
    require_nothing_lost(found)
    assert found.unfinished > 5  # most were killed in the middle of a demonstration
