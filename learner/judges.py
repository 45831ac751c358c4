"""Who pays the rewards of a run: it keeps to the judge that it began with, since rewards of two do not mix.

Only a person lets another classifier follow, which then judges anew what was judged before (`learner.acceptance`).
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime

from policy.errors import NudgeError

DIGITS = 12  # of a classifier's hash, in what people read
_TOLD = {"simulator": "the simulator's truth", "operator": "the operator's key alone"}


class OtherJudge(NudgeError):
    """An actor whose rewards come from another judge than those of the run."""


@dataclass(frozen=True, slots=True)
class PayingJudge:
    """A judge that a run has taken. name: as `HelloRequest.judge` says; wall_ns: when; replaced: who paid before it"""

    name: str
    wall_ns: int
    replaced: str | None = None

    @property
    def is_classifier(self) -> bool:
        """Whether its rewards come from pictures."""
        return self.name not in _TOLD


def newest_judge(connection: sqlite3.Connection) -> PayingJudge | None:
    """The judge of a store; None where nobody has said who pays, as in one of layout 2."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'judges'").fetchone() is None:
        return None
    rows = connection.execute("SELECT judge, wall_ns FROM judges ORDER BY version DESC LIMIT 2").fetchall()
    if not rows:
        return None
    newest, *before = rows
    return PayingJudge(newest["judge"], newest["wall_ns"], before[0]["judge"] if before else None)


def take_judge(connection: sqlite3.Connection, name: str, replaced: str | None = None) -> PayingJudge:
    """Note who pays from now on, inside a transaction. replaced: who has paid so far"""
    taken = PayingJudge(name, time.time_ns(), replaced)
    connection.execute("INSERT INTO judges (judge, wall_ns) VALUES (?, ?)", (taken.name, taken.wall_ns))
    return taken


def require_same_judge(name: str, known: PayingJudge | None) -> None:
    """Raise `OtherJudge` for an actor whose judge is not the run's.

    name: who pays in that actor, as its Hello says. One that does not say is older than classifiers: it may be right
    where none pays.
    """
    if known is None or name == known.name or (not name and not known.is_classifier):
        return
    got = told(name) if name else "an actor that does not say who pays, of an older Nudge"
    if known.is_classifier:
        cure = "give the actor that classifier: --task.judge classifier --judge.classifier FOLDER"
    else:
        cure = f"start the actor with --task.judge {known.name}"
    since = f"{datetime.fromtimestamp(known.wall_ns / 1e9).astimezone():%Y-%m-%d %H:%M}"
    if known.replaced is None:
        why = f"which has paid the rewards of this run since {since}"
    else:
        why = f"which was accepted on {since} in place of {told(known.replaced)}, and has judged this run anew"
    raise OtherJudge(
        f"judge: got {got}, expected {told(known.name)}, {why}: rewards of two judges do not mix; {cure}; or begin a "
        f"new run on both ends: --run NAME"
    )


def told(name: str) -> str:
    """A judge by its name, for people."""
    return _TOLD.get(name) or f"the classifier {name[:DIGITS]}"


def copy_judges(theirs: sqlite3.Connection, ours: sqlite3.Connection) -> None:
    """All judges of a store into a copy of it, inside a transaction."""
    if theirs.execute("SELECT 1 FROM sqlite_master WHERE name = 'judges'").fetchone() is not None:
        rows = theirs.execute("SELECT version, judge, wall_ns FROM judges ORDER BY version").fetchall()
        ours.executemany("INSERT INTO judges (version, judge, wall_ns) VALUES (?, ?, ?)", map(tuple, rows))
