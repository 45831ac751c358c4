"""The arithmetic of the process that trains, and on how many threads: tried, since others may need the cores."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from learner.sac import use_matmul
from learner.settings import LearnerSettings

Threads = int | Literal["auto"]

WARM_UP_UPDATES = 2
TRIED_UPDATES = 8  # even: every second update has the actor's too
RETRY_S = 120.0
# A thread more must earn its core, which encodes and serves otherwise.
WORTH_IT = 0.9
# Threads that wait for a core that somebody else has slow an update tenfold and more: one such update says enough.
HOPELESS = 3.0


class ThreadChoice:
    """Gives updates the number of torch threads that is fastest here and now.

    `auto` times a few updates with each of 1, 2, 4, ... threads, at the start and every `RETRY_S`: what two idle cores
    do in two thirds of the time takes ten times as long when an actor has one of them.
    """

    def __init__(
        self,
        threads: Threads,
        device: torch.device,
        *,
        use: Callable[[int], None] = torch.set_num_threads,
        now_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._use, self._now_s = use, now_s
        self._candidates = _up_to_cores() if threads == "auto" and device.type == "cpu" else ()
        self.chosen = threads if isinstance(threads, int) else 1
        self._used = 0
        self._retry_at_s = 0.0
        self._open: list[int] = list(self._candidates)
        self._scores_s: dict[int, float] = {}
        self._times_s: list[float] = []

    @property
    def trying(self) -> bool:
        """Whether the updates to come are a trial."""
        return bool(self._open)

    @contextmanager
    def update(self) -> Iterator[None]:
        """Around each update."""
        if not self._open and self._candidates and self._now_s() >= self._retry_at_s:
            self._open, self._scores_s = list(self._candidates), {}
        threads = self._open[0] if self._open else self.chosen
        if threads != self._used:
            self._use(threads)
            self._used = threads
        start_s = self._now_s()
        yield
        if self._open:
            self._took(self._now_s() - start_s)

    def _took(self, duration_s: float) -> None:
        """Another update of the candidate that is tried; after enough of them, or a hopeless one, on to the next."""
        self._times_s.append(duration_s)
        counted = self._times_s[WARM_UP_UPDATES:]
        best_s = min(self._scores_s.values(), default=float("inf"))
        hopeless = bool(counted) and counted[-1] > HOPELESS * best_s
        if len(counted) < TRIED_UPDATES and not hopeless:
            return
        self._scores_s[self._open.pop(0)] = statistics.mean(counted)
        self._times_s = []
        if hopeless:
            self._open = []  # more threads would wait even longer
        if not self._open:
            self._choose()

    def _choose(self) -> None:
        best = self._candidates[0]
        for threads, score_s in self._scores_s.items():
            if score_s < WORTH_IT * self._scores_s[best]:
                best = threads
        self.chosen = best
        self._retry_at_s = self._now_s() + RETRY_S


def _up_to_cores() -> tuple[int, ...]:
    """1, 2, 4, ... and the number of cores that this process may use; nothing to try where that is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    powers = [1 << exponent for exponent in range(cores.bit_length())]
    return tuple(sorted({*powers, cores})) if cores > 1 else ()


@contextmanager
def arithmetic(settings: LearnerSettings) -> Iterator[ThreadChoice]:
    """Products and threads of this process as the settings say; as they were before, afterwards."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    device = torch.device(settings.trainer.device)
    use_matmul(settings.sac.matmul, device)
    torch.set_flush_denormal(True)  # products of vanishing gradients would otherwise take 100x as long
    try:
        yield ThreadChoice(settings.trainer.threads, device)
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
        torch.set_flush_denormal(False)
