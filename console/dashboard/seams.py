"""What others give the dashboard to show: commands to the actor, and advice. Without them their places stay empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    from console.dashboard.run_state import RunState

Verb = Literal["pause", "resume", "success", "failure", "rerecord", "stop", "estop", "checkpoint"]
VERBS: tuple[Verb, ...] = get_args(Verb)


class Commands(Protocol):
    """The operator's commands, on their way to the actor or to the learner."""

    def control(self) -> str:
        """Who is in control and what is awaited, in words; empty where nobody can say. Never waits long."""
        ...

    def send(self, verb: Verb) -> str:
        """Give a command; what came of it, in words. Raises `NudgeError` where it cannot be given."""
        ...


class Advice(Protocol):
    """One piece of advice."""

    @property
    def title(self) -> str:
        """In a few words."""
        ...

    @property
    def seen(self) -> str:
        """What was seen, with numbers."""
        ...

    @property
    def do(self) -> str:
        """What to do about it."""
        ...


class Coach(Protocol):
    """Looks at a run, and says what the operator may do better."""

    def __call__(self, state: RunState) -> Sequence[Advice]:
        """The most important first. Called in a thread of its own when an episode has ended; it may take seconds."""
        ...
