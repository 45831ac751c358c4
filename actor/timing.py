"""How the control loop keeps time: what `timing.json` holds, and its line in the terminal."""

from __future__ import annotations

import time
from typing import Any

from actor.clock import Deadlines, Reservoir, Stopwatch


class LoopTiming:
    """Of all ticks of a process. What happens between two episodes counts nowhere but in `reset`.

    late, period error, overruns: of the ticks that have a deadline, as `Deadlines` says; none with pace `learner`
    observation to action: from the moment joints and frames are asked for until the goal that follows from them is
    written; not for the first of an episode, which was seen while the arm stood still
    stopwatch: the parts of a tick
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._observed_s: float | None = None
        self._observation_to_action = Reservoir()
        self.deadlines = Deadlines(rate_hz)
        self.stopwatch = Stopwatch()

    def begin_episode(self) -> None:
        """The first tick begins now."""
        self._observed_s = None
        self.deadlines.start()

    def observing(self) -> None:
        """Joints and frames are about to be asked for."""
        self._observed_s = time.perf_counter()

    def acted(self) -> None:
        """A goal has been written."""
        if self._observed_s is not None:
            self._observation_to_action.add(time.perf_counter() - self._observed_s)

    def summary(self) -> dict[str, Any]:
        """control_hz, overruns, and `durations`: rows as `Reservoir.summary` has them, each with its name."""
        return {
            "control_hz": self._rate_hz,
            "overruns": self.deadlines.overruns,
            "durations": [
                {"name": name, **durations.summary()}
                for name, durations in (*self._of_ticks().items(), *self.stopwatch.durations.items())
                if durations.count
            ],
        }

    def line(self) -> str:
        """The same for people; empty when no tick had a deadline."""
        late, answer = self.deadlines.late, self._observation_to_action
        if not late.count or not answer.count:
            return ""
        return (
            f"{late.count} ticks at {self._rate_hz:g} Hz: {late.percentile_ms(50):.1f} ms late "
            f"(99.9 %: {late.percentile_ms(99.9):.1f} ms, worst {1e3 * late.longest_s:.1f} ms), "
            f"{self.deadlines.overruns} overruns; {answer.percentile_ms(50):.0f} ms from observation to action "
            f"(99 %: {answer.percentile_ms(99):.0f} ms)"
        )

    def _of_ticks(self) -> dict[str, Reservoir]:
        return {
            "late": self.deadlines.late,
            "period error": self.deadlines.period_error,
            "observation to action": self._observation_to_action,
        }
