"""A program as the operator, and people who press keys beside it: they pause it, and end its episodes."""

from __future__ import annotations

from dataclasses import replace

from teleop.events import EventLatch
from teleop.pause import PauseSwitch
from teleop.takeover import VERDICTS, Decision, Operator, OperatorView


class AttendedProgram:
    """An `Operator` like the one that it is made of, which knows neither pause nor verdict of its own."""

    def __init__(self, program: Operator, latch: EventLatch) -> None:
        self._program, self._latch = program, latch
        self._pause = PauseSwitch()

    @property
    def paused(self) -> bool:
        """Whether somebody wants the arm to hold still."""
        return self._pause.on

    def begin_episode(self, *, demonstrating: bool) -> None:
        """As the program does."""
        self._program.begin_episode(demonstrating=demonstrating)

    def awaits(self, view: OperatorView, /, *, demonstrating: bool) -> str:
        """The end of a pause, or what the program waits for."""
        for event in self._latch.take():
            self._pause.heed(event)
        return self._pause.wish or self._program.awaits(view, demonstrating=demonstrating)

    def poll(self, view: OperatorView) -> Decision:
        """As the program decides, unless somebody ends the episode."""
        events = self._latch.take()
        for event in events:
            self._pause.heed(event)
        verdicts = [VERDICTS[event] for event in events if event in VERDICTS]
        decision = self._program.poll(view)
        return replace(decision, verdict=verdicts[0]) if verdicts else decision
