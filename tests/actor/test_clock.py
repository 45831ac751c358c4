"""The loop's clock: what is late, what is an overrun, and figures in bounded memory."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from actor.clock import EXACT_COUNT, Deadlines, Reservoir
from actor.timing import LoopTiming


def rows(timing: LoopTiming) -> dict[str, dict[str, float]]:
    """By name, as they come out of `timing.json`."""
    return {row["name"]: row for row in json.loads(json.dumps(timing.summary()))["durations"]}


def test_percentiles_are_exact_for_ten_minutes_at_30_hz() -> None:
    durations_s = np.random.default_rng(0).exponential(size=18_000)
    reservoir = Reservoir()
    for duration_s in durations_s:
        reservoir.add(duration_s)
    for percent in (50, 99, 99.9):
        assert reservoir.percentile_ms(percent) == pytest.approx(1e3 * np.percentile(durations_s, percent))


def test_a_working_day_takes_no_more_memory_and_every_hour_of_it_counts_alike() -> None:
    reservoir = Reservoir()
    ticks = 8 * EXACT_COUNT
    for tick in range(ticks):
        reservoir.add(tick / ticks)  # uniform in 0..1 s, in order
    reservoir.add(9.0)
    assert len(reservoir._kept_s) == EXACT_COUNT
    assert (reservoir.count, reservoir.longest_s) == (ticks + 1, 9.0)
    # The standard error of the median of 20,000 uniform numbers: 0.5 / sqrt(20,000) = 0.0035 s.
    assert reservoir.percentile_ms(50) == pytest.approx(500, abs=4 * 3.5)
    assert reservoir.percentile_ms(99) == pytest.approx(990, abs=4)


def test_lateness_is_measured_from_the_absolute_deadline() -> None:
    deadlines = Deadlines(rate_hz=50)
    deadlines.start()
    time.sleep(0.03)  # one and a half of its periods of 20 ms: the next tick is 10 ms late, an overrun
    deadlines.wait()
    assert 1e3 * deadlines.late.longest_s >= 10
    assert deadlines.overruns == 1
    assert 1e3 * deadlines.period_error.longest_s == pytest.approx(1e3 * deadlines.late.longest_s, abs=1)


def test_what_happens_between_two_episodes_is_neither_late_nor_slow_to_answer() -> None:
    timing = LoopTiming(rate_hz=20)
    for _ in range(2):
        time.sleep(0.3)  # a reset
        timing.begin_episode()
        timing.acted()  # upon what the reset has seen
        for _ in range(3):
            timing.deadlines.wait()
            timing.observing()
            time.sleep(0.01)
            timing.acted()
    found = rows(timing)
    assert found["late"]["count"] == found["period error"]["count"] == found["observation to action"]["count"] == 6
    assert found["observation to action"]["p50_ms"] >= 10
    assert found["late"]["p50_ms"] < 250
    assert "6 ticks at 20 Hz" in timing.line()


def test_a_loop_without_deadlines_says_nothing_of_them() -> None:
    timing = LoopTiming(rate_hz=10)
    timing.begin_episode()
    with timing.stopwatch.measure("act"):
        timing.acted()
    assert timing.line() == ""
    assert list(rows(timing)) == ["act"]
