"""What a check says of demonstrations: where, what was got, what was expected, and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from policy.contract import Frozen

SESSION_DIGITS = 8  # that are shown: the rest of a session is its actor's secret


class Severity(StrEnum):
    """What is to follow from a finding."""

    REFUSE = "refuse"  # learning from it does harm: leave it out, or record it anew
    MIND = "mind"  # it can be learned from, and a person should know


class EpisodeName(NamedTuple):
    """Which episode. session: all of it, 32 digits"""

    session: str
    episode: int

    def __str__(self) -> str:
        return f"{self.session[:SESSION_DIGITS]}/{self.episode}"


class Finding(Frozen):
    """One thing that is not as it should be.

    check: its name, `success`
    episode: as `EpisodeName` shows it; empty where the whole set is meant
    step: where it begins; None where no step is to blame
    """

    check: str
    severity: Severity
    episode: str = ""
    step: int | None = None
    got: str
    expected: str
    cure: str

    @property
    def name(self) -> str:
        """By which a person may wave it through: `success:e1f0d6a3/12`, of a whole set `coverage`."""
        return f"{self.check}:{self.episode}" if self.episode else self.check

    def __str__(self) -> str:
        place = f"episode {self.episode}" if self.episode else "the set"
        step = "" if self.step is None else f", step {self.step}"
        return f"{self.check}: {place}{step}: got {self.got}, expected {self.expected}; {self.cure}"
