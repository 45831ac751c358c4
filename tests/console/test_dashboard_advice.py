"""The coach behind the pages: it thinks again when episodes have ended, and never takes much of a core."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from console.dashboard.advice import SHARE, Advising
from console.dashboard.run_state import RunState, RunWatch
from console.dashboard.seams import Advice
from console.presets.load import load_preset
from console.settings import Settings
from waiting import Clock, eventually

WORK_S = 0.02


def test_after_its_work_the_coach_rests_so_long_that_it_takes_a_small_share(tmp_path: Path) -> None:
    asked: list[int] = []

    def think(state: RunState) -> Sequence[Advice]:
        begun_s = time.thread_time()
        while time.thread_time() - begun_s < WORK_S:
            pass
        asked.append(state.finished)
        return ()

    watch = RunWatch(load_preset(Settings, "sim").model_copy(update={"runs": tmp_path}))
    (tmp_path / "demo").mkdir()
    state, clock = watch.look(), Clock()
    advising = Advising(think, clock)

    def look_until_done(finished: int, count: int) -> None:
        def done() -> bool:
            advising.look(replace(state, finished=finished))
            return len(asked) == count and advising.idle

        eventually(done, f"thought {count}")

    look_until_done(1, 1)
    for _ in range(3):
        advising.look(replace(state, finished=2))
        assert advising.idle
    clock.now_s += 0.9 * WORK_S / SHARE
    advising.look(replace(state, finished=2))
    assert advising.idle
    clock.now_s += 30 * WORK_S / SHARE  # whatever it took on a busy machine
    look_until_done(2, 2)
    assert asked == [1, 2]
    watch.close()
