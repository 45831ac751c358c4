"""The operator whose page shows who is in control, and what the operator is awaited for."""

from __future__ import annotations

from teleop.keyboard.device import Keyboard
from teleop.takeover import Decision, Operator, OperatorView


class ShownOperator:
    """An `Operator` like the one that it is made of, whichever device that one has in hand beside the keyboard."""

    def __init__(self, operator: Operator, keyboard: Keyboard) -> None:
        self._operator, self._keyboard = operator, keyboard

    @property
    def paused(self) -> bool:
        """As the operator says."""
        return self._operator.paused

    def begin_episode(self, *, demonstrating: bool) -> None:
        """Nothing is awaited any more."""
        self._keyboard.ask("")
        self._operator.begin_episode(demonstrating=demonstrating)

    def awaits(self, view: OperatorView, /, *, demonstrating: bool) -> str:
        """As the operator says, and shown."""
        wish = self._operator.awaits(view, demonstrating=demonstrating)
        self._keyboard.ask(wish)
        return wish

    def poll(self, view: OperatorView) -> Decision:
        """As the operator decides, and shown."""
        decision = self._operator.poll(view)
        self._keyboard.follow(decision.control, view)
        return decision
