"""LeRobot's side of `control_loop.py`: its actor loop in a process of its own, and what its moments come to."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from actor.clock import Reservoir

Entry = tuple[str, float]


class Rhythm(NamedTuple):
    """What the moments of a loop come to, by the rules of `actor.clock.Deadlines` and `actor.timing.LoopTiming`.

    overruns: ticks whose observation came only when the period was over
    """

    late: Reservoir
    period_error: Reservoir
    observation_to_action: Reservoir
    overruns: int


def drive(folder: Path, cameras: Mapping[str, int], control_hz: float, seconds: float, episode_s: float) -> Any:
    """Run LeRobot's loop for so many seconds against its own service: `bench.lerobot_actor.Drive`."""
    from bench.lerobot_actor import Orders, run
    from bench.lerobot_wire import service

    shutdown = threading.Event()
    spawn = multiprocessing.get_context("spawn")
    with service(shutdown, queue.Queue(), queue.Queue()) as port, ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(run, Orders(folder, dict(cameras), port, control_hz, seconds, episode_s)).result()


def rhythm(entries: Sequence[Entry], period_s: float) -> Rhythm:
    """From the moments of all episodes; the first tick of each begins when it begins."""
    late, error, answer = Reservoir(), Reservoir(), Reservoir()
    overruns = 0
    for episode in _episodes(entries):
        ticks_s = [when for what, when in episode if what == "tick"]
        deadline_s = ticks_s[0]
        for before_s, now_s in pairwise(ticks_s):
            deadline_s += period_s
            late.add(now_s - deadline_s)
            error.add(abs(now_s - before_s - period_s))
            if now_s - deadline_s > period_s:
                deadline_s = now_s
        observed_s = begun_s = None
        for what, when in episode:
            if what == "acted" and observed_s is not None:
                answer.add(when - observed_s)
            observed_s = when if what == "observe" else observed_s
            begun_s = when if what == "tick" else begun_s
            overruns += what == "observed" and begun_s is not None and when - begun_s > period_s
    return Rhythm(late, error, answer, overruns)


def _episodes(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Moments by episode: one begins with the first tick after an observation that follows no action, the reset's."""
    episodes: list[list[Entry]] = []
    acted = False
    for what, when in entries:
        if what == "observe" and not acted:
            episodes.append([])
        elif episodes and (what == "tick" or episodes[-1]):
            episodes[-1].append((what, when))
        acted = what == "acted" or (acted and what != "observe")
    return [episode for episode in episodes if episode]
