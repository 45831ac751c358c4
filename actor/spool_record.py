"""The one row that makes a file of steps a spool: whose they are, for which run, and how far the learner has them."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path

from policy.experience import StepId
from policy.step_schema import StoreError, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (
    session TEXT NOT NULL,                  -- random, drawn once for this file: who knows it holds the lease
    actor_id TEXT NOT NULL,
    run_id TEXT,                            -- of the learner that these steps go to; NULL before the first handshake
    acknowledged_seq INTEGER NOT NULL,      -- `steps.seq` up to which the learner has all; 0: nothing
    acknowledged_episode INTEGER,           -- the same place as the learner names it
    acknowledged_step INTEGER,
    env_steps INTEGER NOT NULL,             -- ever taken, those that are trimmed included
    demonstrations INTEGER NOT NULL         -- successful ones among the complete episodes
)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A step and where it stands in the file: `seq` counts up with every step."""

    seq: int
    step: StepId | None  # None only before the first one, with seq 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session has come: what a restarted actor goes on from. All of it is on disk.

    newest: the last step that was taken; None before the first
    in_episode: `newest` was not the last step of its episode
    demonstrations: successful ones
    """

    newest: StepId | None = None
    in_episode: bool = False
    env_steps: int = 0
    demonstrations: int = 0

    @property
    def next_episode(self) -> int:
        """The first number that no episode has had. An episode that a crash has cut stays unfinished."""
        return 0 if self.newest is None else self.newest.episode + 1

    @property
    def trained_episodes(self) -> int:
        """Those that are no demonstration; one that failed counts here, for it is none."""
        return self.next_episode - self.demonstrations


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """What a spool says of itself."""

    session: str
    run_id: str | None
    acknowledged: Place
    trimmed_seq: int
    newest_seq: int
    progress: Progress


def adopt_record(connection: sqlite3.Connection, path: Path, actor_id: str) -> SpoolRecord:
    """The record of a spool; a new file begins a new session. Raise `StoreError` for a file that is not ours."""
    with transaction(connection):
        spools = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'spool'").fetchone()[0]
        episodes = connection.execute("SELECT COUNT(*) FROM episodes").fetchone()[0]
        if not spools and episodes:
            raise StoreError(
                f"{path}: an experience store with {episodes} episodes, expected a spool; name another path"
            )
        connection.execute(_SCHEMA)
        if connection.execute("SELECT COUNT(*) FROM spool").fetchone()[0] == 0:
            new = (uuid.uuid4().hex, actor_id, None, 0, None, None, 0, 0)
            connection.execute("INSERT INTO spool VALUES (?, ?, ?, ?, ?, ?, ?, ?)", new)
        row = connection.execute("SELECT * FROM spool").fetchone()
    if row["actor_id"] != actor_id:
        raise StoreError(
            f"{path}: got the spool of actor {row['actor_id']!r}, expected one of {actor_id!r}; set link.actor_id to "
            f"{row['actor_id']!r} again, or take another run folder"
        )
    return _read(connection, row)


def _read(connection: sqlite3.Connection, row: sqlite3.Row) -> SpoolRecord:
    session = row["session"]
    known = row["acknowledged_episode"] is not None
    acknowledged = StepId(session, row["acknowledged_episode"], row["acknowledged_step"]) if known else None
    last = connection.execute(
        "SELECT episode, steps, NOT (terminated OR truncated) AS open FROM episodes ORDER BY episode DESC LIMIT 1"
    ).fetchone()
    newest = None if last is None else StepId(session, last["episode"], last["steps"] - 1)
    oldest_seq, newest_seq = connection.execute("SELECT MIN(seq), MAX(seq) FROM steps").fetchone()
    return SpoolRecord(
        session=session,
        run_id=row["run_id"],
        acknowledged=Place(row["acknowledged_seq"], acknowledged),
        trimmed_seq=row["acknowledged_seq"] if oldest_seq is None else oldest_seq - 1,
        newest_seq=row["acknowledged_seq"] if newest_seq is None else newest_seq,
        progress=Progress(newest, bool(last and last["open"]), row["env_steps"], row["demonstrations"]),
    )
