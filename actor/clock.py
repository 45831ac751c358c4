"""Time in the control loop: absolute deadlines, and what each part of a tick costs."""

from __future__ import annotations

import random
import time
from array import array
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from policy.clock import since_boot_ns

# 11 minutes at 30 Hz, 33 at 10 Hz; 160 KB for each name.
EXACT_COUNT = 20_000


class Reservoir:
    """Durations in bounded memory: the first `EXACT_COUNT` as they are, of more an even sample (Vitter's algorithm R).

    count: how many there were
    longest_s: the longest of all
    """

    def __init__(self) -> None:
        self.count = 0
        self.longest_s = 0.0
        self._kept_s = array("d")
        self._random = random.Random(0)

    def add(self, duration_s: float) -> None:
        """Take in one more."""
        self.count += 1
        self.longest_s = max(self.longest_s, duration_s)
        if len(self._kept_s) < EXACT_COUNT:
            self._kept_s.append(duration_s)
        elif (place := self._random.randrange(self.count)) < EXACT_COUNT:
            self._kept_s[place] = duration_s

    def percentile_ms(self, percent: float) -> float:
        """So many percent of the durations are no longer than this [ms]; there must be one."""
        return 1e3 * float(np.percentile(self._kept_s, percent))

    def summary(self) -> dict[str, float | int]:
        """p50_ms, p99_ms, p99_9_ms, max_ms, count; there must be one."""
        percentiles = {"p50_ms": 50.0, "p99_ms": 99.0, "p99_9_ms": 99.9}
        found = {name: round(self.percentile_ms(percent), 3) for name, percent in percentiles.items()}
        return {**found, "max_ms": round(1e3 * self.longest_s, 3), "count": self.count}


class Deadlines:
    """Absolute deadlines of a fixed rate: a late tick does not shift the ones after it.

    late: how long after its deadline each tick began
    period_error: by how much the time between the beginnings of two ticks differed from the period
    overruns: ticks whose deadline passed while the tick before was still at work
    """

    def __init__(self, rate_hz: float) -> None:
        self.period_s = 1.0 / rate_hz
        self.late, self.period_error = Reservoir(), Reservoir()
        self.overruns = 0
        self._next_s = self._began_s = time.perf_counter()

    def start(self) -> None:
        """The first tick begins now, and is not late."""
        self._next_s = self._began_s = time.perf_counter()

    def wait(self) -> None:
        """Sleep until the next deadline; when it has passed by more than a period, start afresh from here."""
        self._next_s += self.period_s
        remaining_s = self._next_s - time.perf_counter()
        if remaining_s > 0:
            time.sleep(remaining_s)
        else:
            self.overruns += 1
        self._note(time.perf_counter())

    def _note(self, now_s: float) -> None:
        late_s = now_s - self._next_s
        self.late.add(late_s)
        self.period_error.add(abs(now_s - self._began_s - self.period_s))
        self._began_s = now_s
        if late_s > self.period_s:
            self._next_s = now_s


class GapWatch:
    """Tells when this process, or the whole machine, has slept between two looks.

    A suspended machine stops `time.monotonic` as well; where there is one, the clock that goes on is read.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._last_s = since_boot_ns() / 1e9
        self.gaps = 0

    def start(self) -> None:
        """The time until the next look counts from now."""
        self._last_s = since_boot_ns() / 1e9

    def slept(self) -> bool:
        """True, and counted, when the last look is longer ago than the longest gap allowed."""
        last_s, self._last_s = self._last_s, since_boot_ns() / 1e9
        slept = self._last_s - last_s > self._longest_s
        self.gaps += slept
        return slept


class Stopwatch:
    """Durations by name."""

    def __init__(self) -> None:
        self.durations: defaultdict[str, Reservoir] = defaultdict(Reservoir)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of the block to `name`."""
        start_s = time.perf_counter()
        yield
        self.durations[name].add(time.perf_counter() - start_s)
