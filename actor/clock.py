"""Time in the control loop: absolute deadlines, and what each part of a tick costs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Deadlines:
    """Absolute deadlines of a fixed rate: a late tick does not shift the ones after it."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._next_s = time.perf_counter()
        self.overruns = 0

    def start(self) -> None:
        """The first tick begins now."""
        self._next_s = time.perf_counter()

    def wait(self) -> None:
        """Sleep until the next deadline; when it has passed by more than a period, count it and start afresh."""
        self._next_s += self._period_s
        remaining_s = self._next_s - time.perf_counter()
        if remaining_s > 0:
            time.sleep(remaining_s)
            return
        self.overruns += 1
        if -remaining_s > self._period_s:
            self.start()


class GapWatch:
    """Tells when this process, or the whole machine, has slept between two looks.

    A suspended machine stops `time.monotonic` as well; where there is one, the clock that goes on is read.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._last_s = _seconds_since_boot()
        self.gaps = 0

    def start(self) -> None:
        """The time until the next look counts from now."""
        self._last_s = _seconds_since_boot()

    def slept(self) -> bool:
        """True, and counted, when the last look is longer ago than the longest gap allowed."""
        last_s, self._last_s = self._last_s, _seconds_since_boot()
        slept = self._last_s - last_s > self._longest_s
        self.gaps += slept
        return slept


def _seconds_since_boot() -> float:
    """Never steps back, whatever becomes of the wall clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Stopwatch:
    """Durations by name, summarised as percentiles."""

    def __init__(self) -> None:
        self._durations_s: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of the block to `name`."""
        start_s = time.perf_counter()
        yield
        self._durations_s[name].append(time.perf_counter() - start_s)

    def summary(self) -> list[dict[str, float | int | str]]:
        """One row per name: p50_ms, p99_ms, count."""
        return [
            {
                "name": name,
                "p50_ms": round(float(np.percentile(values, 50)) * 1e3, 3),
                "p99_ms": round(float(np.percentile(values, 99)) * 1e3, 3),
                "count": len(values),
            }
            for name, values in self._durations_s.items()
        ]
