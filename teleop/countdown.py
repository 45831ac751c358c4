"""A countdown before each demonstration of an operator that begins by itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from teleop.takeover import Decision, Operator, OperatorView


class CountedDown:
    """An `Operator` like the one that it is made of, for whom people beside the arm are warned before it moves."""

    def __init__(self, operator: Operator, countdown_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._operator, self._countdown_s, self._now_s = operator, countdown_s, now_s
        self._begins_s: float | None = None

    @property
    def paused(self) -> bool:
        """As the operator says."""
        return self._operator.paused

    def begin_episode(self, *, demonstrating: bool) -> None:
        """The next one is counted down anew."""
        self._begins_s = None
        self._operator.begin_episode(demonstrating=demonstrating)

    def awaits(self, view: OperatorView, /, *, demonstrating: bool) -> str:
        """As the operator says, and then whole seconds until a demonstration begins."""
        wish = self._operator.awaits(view, demonstrating=demonstrating)
        if wish or not demonstrating:
            return wish
        now_s = self._now_s()
        if self._begins_s is None:
            self._begins_s = now_s + self._countdown_s
        left = math.ceil(self._begins_s - now_s)
        return f"the demonstration begins in {left} s" if left > 0 else ""

    def poll(self, view: OperatorView) -> Decision:
        """As the operator decides."""
        return self._operator.poll(view)
