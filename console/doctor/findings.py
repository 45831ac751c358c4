"""What the doctor finds: one line each, with what was got, what was expected, and the cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from policy.errors import NudgeError

NOTHING: Mapping[str, float] = MappingProxyType({})


class Level(Enum):
    """How good or bad a finding is."""

    GREEN = "green"
    AMBER = "amber"  # it will run, less well than it could
    RED = "red"  # do not run like this
    SKIPPED = "skipped"  # nobody has looked


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis.

    check: stable name, `room.what`; the runner fills it in
    got, expected, cure: the last two are empty where there is nothing to mend
    values: measured figures by stable name, with their unit in it
    """

    level: Level
    got: str
    expected: str = ""
    cure: str = ""
    values: Mapping[str, float] = NOTHING
    check: str = ""


def good(got: str, expected: str = "", values: Mapping[str, float] = NOTHING) -> Finding:
    """All is as it should be."""
    return Finding(Level.GREEN, got, expected, "", values)


def amber(got: str, expected: str, cure: str, values: Mapping[str, float] = NOTHING) -> Finding:
    """It will run, less well than it could."""
    return Finding(Level.AMBER, got, expected, cure, values)


def red(got: str, expected: str, cure: str, values: Mapping[str, float] = NOTHING) -> Finding:
    """Do not run like this."""
    return Finding(Level.RED, got, expected, cure, values)


def skipped(why: str) -> Finding:
    """Nobody has looked, and why."""
    return Finding(Level.SKIPPED, why)


def of_error(error: NudgeError) -> Finding:
    """An error that ended a check: what it says first is what was got, the rest is the cure."""
    said = "\n".join([str(error), *getattr(error, "__notes__", ())])
    got, _, cure = said.partition("; ")
    return red(got, "", cure)


def worst(findings: Sequence[Finding]) -> Level:
    """The verdict: red before amber before green; what was skipped has no say in it."""
    levels = [finding.level for finding in findings]
    return next((level for level in (Level.RED, Level.AMBER, Level.GREEN) if level in levels), Level.SKIPPED)
