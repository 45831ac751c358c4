"""A countdown before each demonstration."""

from __future__ import annotations

import numpy as np

from teleop.countdown import CountedDown
from teleop.takeover import Control, Decision, OperatorView
from waiting import Clock

VIEW = OperatorView(np.zeros(1, np.float32), np.zeros(0, np.float32))


class Waiting:
    """An operator who wants something first, as long as it says so."""

    def __init__(self) -> None:
        self.wish, self.paused, self.begun = "", False, 0

    def awaits(self, _view: OperatorView, /, *, demonstrating: bool) -> str:
        return self.wish

    def begin_episode(self, *, demonstrating: bool) -> None:
        self.begun += demonstrating

    def poll(self, _view: OperatorView) -> Decision:
        return Decision(Control.POLICY)


def test_whole_seconds_are_counted_down_before_each_demonstration() -> None:
    clock, operator = Clock(), Waiting()
    counted = CountedDown(operator, 2, clock)
    for _ in range(2):
        told = []
        for _ in range(5):
            told.append(counted.awaits(VIEW, demonstrating=True))
            clock.now_s += 0.5
        # at 0, 0.5, 1, 1.5 and 2 s
        assert told == [f"the demonstration begins in {left} s" for left in (2, 2, 1, 1)] + [""]
        counted.begin_episode(demonstrating=True)
    assert operator.begun == 2


def test_it_begins_once_the_operator_wants_nothing_else() -> None:
    clock, operator = Clock(), Waiting()
    counted = CountedDown(operator, 1, clock)
    operator.wish = "paused"
    assert counted.awaits(VIEW, demonstrating=True) == "paused"
    clock.now_s += 5
    operator.wish = ""
    assert counted.awaits(VIEW, demonstrating=True) == "the demonstration begins in 1 s"


def test_nothing_is_counted_before_the_policy_drives() -> None:
    assert CountedDown(Waiting(), 9, Clock()).awaits(VIEW, demonstrating=False) == ""


def test_all_else_is_as_the_operator_says() -> None:
    operator = Waiting()
    counted = CountedDown(operator, 1)
    operator.paused = True
    assert counted.paused
    assert counted.poll(VIEW) == Decision(Control.POLICY)
