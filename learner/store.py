"""The experience store: one SQLite database per run that only grows, the record of all that happened.

Frames stay the PNG bytes that came. Replay, indices of demonstrations and curves are made from it.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.experience import Step, StepId
from policy.step_schema import StoreError, adopt, connect, transaction
from policy.step_table import read_messages, take_step
from policy.wire import unpack_step

__all__ = ["EpisodeRecord", "ExperienceStore", "StoreCounts", "StoreError"]


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What the store holds. All but `env_steps` and `unfinished_episodes` count completed episodes only."""

    env_steps: int
    episodes: int
    unfinished_episodes: int
    demo_episodes: int
    successes: int


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """One episode as a learning curve needs it.

    kind: "demo" when all its steps are demonstrations, else "online"
    human_steps: interventions; the steps of a demonstration are not among them
    episode_return: sum of rewards
    first_wall_ns, last_wall_ns: the actor's wall clock at the first and at the last step [ns since 1970]
    sim_only: of the first step, in the contract's order; empty on a real arm
    """

    session: str
    index: int
    kind: Literal["demo", "online"]
    steps: int
    human_steps: int
    episode_return: float
    terminated: bool
    truncated: bool
    first_wall_ns: int
    last_wall_ns: int
    sim_only: tuple[float, ...]

    @property
    def complete(self) -> bool:
        """True once its last step is there."""
        return self.terminated or self.truncated

    @property
    def success(self) -> bool:
        """The task ended here, with reward: the reward is paid once, at success."""
        return self.terminated and self.episode_return > 0


class ExperienceStore:
    """Steps of one run, durable once `append` returns. Safe to use from any thread.

    Writers take turns on one connection, readers on another: in WAL mode neither waits for the other.
    """

    def __init__(self, path: Path, contract: Contract) -> None:
        self.path = path
        self.contract = contract
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        self._writer = connect(path)
        try:
            adopt(self._writer, path, contract)
            self._reader = connect(path)
        except BaseException:
            self._writer.close()
            raise

    def append(self, messages: Sequence[pb.Step]) -> None:
        """Take steps, all or none of them; they are on disk when this returns.

        A step that is there already is skipped: appending is idempotent on (session, episode, step). Raise
        `InvalidExperience` for one that the contract does not allow, or that does not follow the last one of its
        session; `StoreError` when the disk does not take them.
        """
        steps = [unpack_step(message, self.contract) for message in messages]  # before the lock: it decodes pictures
        try:
            with self._write_lock, transaction(self._writer):
                for step, message in zip(steps, messages, strict=True):
                    take_step(self._writer, step, message)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}; nothing of these {len(steps)} steps was stored") from error

    def read_after(self, cursor: int, limit: int) -> list[tuple[int, Step]]:
        """Up to `limit` steps that arrived after `cursor` (0: from the first), as (cursor, step), in that order."""
        with self._read_lock:
            messages = read_messages(self._reader, cursor, limit)
        return [(seq, unpack_step(message, self.contract)) for seq, message in messages]

    def last_durable(self, session: str) -> StepId | None:
        """The last step of a session that is here; all before it are here as well."""
        found = self._read(
            "SELECT episode, steps FROM episodes WHERE session = ? ORDER BY episode DESC LIMIT 1", (session,)
        )
        return StepId(session, found[0]["episode"], found[0]["steps"] - 1) if found else None

    def counts(self) -> StoreCounts:
        """How much is here; a few thousand short rows are summed, cheap enough for every `Status`."""
        (row,) = self._read(
            "SELECT COALESCE(SUM(steps), 0), COUNT(*) FILTER (WHERE done), COUNT(*) FILTER (WHERE NOT done), "
            "COUNT(*) FILTER (WHERE done AND steps = demo_steps), "
            "COUNT(*) FILTER (WHERE terminated AND reward > 0) "
            "FROM (SELECT *, terminated OR truncated AS done FROM episodes)"
        )
        return StoreCounts(*row)

    def episodes(self) -> list[EpisodeRecord]:
        """Every episode, the unfinished ones too, in the order in which they began."""
        return [_record(row) for row in self._read("SELECT * FROM episodes ORDER BY id")]

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards. May be called twice."""
        with self._read_lock:
            self._reader.close()
        with self._write_lock:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._read_lock:
            return self._reader.execute(sql, values).fetchall()


def _record(row: sqlite3.Row) -> EpisodeRecord:
    return EpisodeRecord(
        session=row["session"],
        index=row["episode"],
        kind="demo" if row["steps"] == row["demo_steps"] else "online",
        steps=row["steps"],
        human_steps=row["human_steps"],
        episode_return=row["reward"],
        terminated=bool(row["terminated"]),
        truncated=bool(row["truncated"]),
        first_wall_ns=row["first_wall_ns"],
        last_wall_ns=row["last_wall_ns"],
        sim_only=struct.unpack(f"<{len(row['sim_only']) // 4}f", row["sim_only"]),
    )
