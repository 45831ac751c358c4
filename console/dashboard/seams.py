"""What the pages ask of others, so that they can be tried without them: commands, and advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from console.dashboard.run_state import RunState


class Commands(Protocol):
    """Takes the operator's words to the actor or to the learner."""

    def send(self, word: str) -> str:
        """Say one of `console.terminal.words.WORDS`; what came of it. Raises `NudgeError` where that failed."""
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
