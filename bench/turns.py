"""Sides of a comparison that take turns: each in a process of its own that stands still while another one runs.

So neither the background threads of one side nor a shared allocator can favour or hurt another, and slow drifts of the
machine hit all alike.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from policy.errors import NudgeError

WARM_UP_UPDATES = 3


class BenchError(NudgeError):
    """A side of the comparison that could not be built, or died."""


@dataclass(frozen=True)
class Built:
    """A side, ready to learn.

    update: samples one batch and learns from it once
    close: ends threads and deletes files
    facts: what else a reader of the figures should know, for the JSON object
    remark: the same in one line, for the table
    """

    update: Callable[[], object]
    close: Callable[[], object]
    facts: Mapping[str, float]
    remark: str


class Side:
    """The parent's end of a side, whose process runs only while it is being built, in `turn`, and in `close`.

    build: makes the side in its own process, so it must be importable there
    threads: torch's in its process; None leaves it to torch
    turn_s: wanted length of a turn [s]: long against the pipe, short against the drift of the machine
    """

    def __init__(self, title: str, build: Callable[[], Built], threads: int | None, turn_s: float = 2.0) -> None:
        context = multiprocessing.get_context("spawn")
        self.title = title
        self._walls_s: list[float] = []
        self._cpus_s: list[float] = []
        self._peaks_bytes: list[int] = []
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(build, threads, theirs), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.facts, self.remark, update_s = self._receive()
        except BaseException:
            self.close()
            raise
        self._updates_per_turn = max(1, round(turn_s / update_s))
        self._signal(signal.SIGSTOP)

    def turn(self) -> None:
        """Let the side learn for about `turn_s`, at least one update, and note the mean times."""
        self._signal(signal.SIGCONT)
        self._pipe.send(self._updates_per_turn)
        wall_s, cpu_s, peak_bytes = self._receive()
        self._signal(signal.SIGSTOP)
        self._walls_s.append(wall_s)
        self._cpus_s.append(cpu_s)
        self._peaks_bytes.append(peak_bytes)

    def close(self) -> None:
        """End the process: asked to, and killed if it is in the middle of a long update."""
        self._signal(signal.SIGCONT)
        with suppress(BrokenPipeError):  # it has ended already
            self._pipe.send(0)
        self._process.join(timeout=20.0)
        self._process.kill()
        self._process.join()

    @property
    def turns(self) -> int:
        """Turns taken."""
        return len(self._walls_s)

    @property
    def update_s(self) -> float:
        """Median over the turns of the wall time of an update [s]."""
        return statistics.median(self._walls_s)

    @property
    def cpu_s(self) -> float:
        """Median over the turns of the processor time of an update, all threads together [s]."""
        return statistics.median(self._cpus_s)

    @property
    def peak_bytes(self) -> int:
        """Most memory that the process has held so far, building and mapped files included [bytes]."""
        return max(self._peaks_bytes)

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise BenchError(f"{self.title}: its process ended unasked; its own message stands above") from error

    def _signal(self, number: signal.Signals) -> None:
        # Through the process object's pid only while it is alive: a reaped one's number may be somebody else's.
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)


def _serve(build: Callable[[], Built], threads: int | None, pipe: Connection) -> None:
    """A side's process: build, warm up, then run as many updates as asked for and answer with their cost; 0 ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group: the parent decides
    if threads is not None:
        torch.set_num_threads(threads)
    built = build()
    try:
        _timed(built.update, WARM_UP_UPDATES)
        update_s, _ = _timed(built.update, 1)
        pipe.send((dict(built.facts), built.remark, update_s))
        while (updates := pipe.recv()) > 0:
            pipe.send((*_timed(built.update, updates), peak_bytes()))
    finally:
        built.close()


def _timed(update: Callable[[], object], updates: int) -> tuple[float, float]:
    """Mean wall time and mean processor time (all threads) of an update [s]."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(updates):
        update()
    return (time.perf_counter() - wall_s) / updates, (time.process_time() - cpu_s) / updates


def peak_bytes() -> int:
    """Most memory that this process has held so far, mapped files included [bytes]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS tells bytes, Linux KiB
