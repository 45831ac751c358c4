"""An actor's end of commands without an arm: a desk, an operator who does nothing of its own, and ticks by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from actor.command_desk import CommandDesk
from actor.commanded import CommandedOperator
from actor.episode import EpisodeOutcome
from actor.learner_clock import LearnerClock
from robot.safety.emergency import EmergencyStop
from teleop.attended import AttendedProgram
from teleop.events import EventLatch, TeleopEvent
from teleop.takeover import Control, Decision, OperatorView

VIEW = OperatorView(np.zeros(1, np.float32), np.zeros(0, np.float32))


class Idle:
    """A program that leaves everything to the policy."""

    paused = False

    def begin_episode(self, *, demonstrating: bool) -> None:
        pass

    def awaits(self, _view: OperatorView, *, demonstrating: bool) -> str:
        return ""

    def poll(self, _view: OperatorView) -> Decision:
        return Decision(Control.POLICY)


class NotedLatch(EventLatch):
    """Keeps what was pressed."""

    def __init__(self, emergency: EmergencyStop) -> None:
        super().__init__(emergency.press, emergency.reset)
        self.pressed: list[TeleopEvent] = []

    def press(self, event: TeleopEvent, by: str) -> None:
        self.pressed.append(event)
        super().press(event, by)


class CommandedActor:
    """What a control loop has of commands; `episode` begins one, `tick` is one of its ticks."""

    def __init__(self, clock: LearnerClock | None = None) -> None:
        self.stop, self.emergency = threading.Event(), EmergencyStop()
        self.told: list[str] = []
        self.desk = CommandDesk(self.stop, self.emergency, self.told.append, clock)
        self.latch = NotedLatch(self.emergency)
        self.operator = CommandedOperator(AttendedProgram(Idle(), self.latch), self.latch, self.desk)
        self.decisions: list[Decision] = []

    @property
    def pressed(self) -> list[TeleopEvent]:
        return self.latch.pressed

    def episode(self, index: int) -> None:
        self.desk.board.episode_began(index, demonstrating=False)
        self.operator.begin_episode(demonstrating=False)

    def end(self, index: int) -> None:
        self.desk.board.episode_ended(EpisodeOutcome(index, False, False, 1, 0, 1))

    def tick(self) -> Decision:
        self.decisions.append(self.operator.poll(VIEW))
        return self.decisions[-1]

    def wait(self) -> str:
        return self.operator.awaits(VIEW, demonstrating=False)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Ticks of an episode, or looks between two, while this lasts."""
        over = threading.Event()

        def loop() -> None:
            while not over.is_set():
                if self.desk.board.state.running is None:
                    self.wait()
                else:
                    self.tick()
                time.sleep(0.005)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
