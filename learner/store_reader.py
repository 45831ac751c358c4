"""What an experience store holds, read without changing a byte of it: also while a learner writes into it."""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from learner.judges import PayingJudge, newest_judge
from learner.rejudged import Changes, episodes_as_judged, ids_as_judged
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import InvalidExperience
from policy.experience import Source, Step, StepId
from policy.step_schema import StoreDamaged, connect_to_look, require_ours, store_error, stored_contract
from policy.step_table import read_episode, read_messages
from policy.wire import unpack_step

# One row of `StoreCounts`, of what is to follow: `episodes_as_judged`, and which of them.
COUNTS_SQL = (
    "SELECT COALESCE(SUM(steps), 0), COUNT(*) FILTER (WHERE terminated OR truncated), "
    "COUNT(*) FILTER (WHERE NOT (terminated OR truncated)), "
    "COUNT(*) FILTER (WHERE (terminated OR truncated) AND steps = demo_steps AND NOT rejected), "
    "COUNT(*) FILTER (WHERE terminated AND reward > 0 AND NOT rejected) FROM "
)

# An actor draws the UUID of its session, version 4; a demo set names its sessions anew, by UUIDs of version 5.
SHARED_DEMONSTRATIONS_SQL = (
    "SELECT COUNT(*) FROM episodes WHERE substr(session, 13, 1) = '5' AND substr(session, 17, 1) IN ('8', '9', 'a', "
    "'b') AND terminated AND steps = demo_steps AND reward > 0 AND NOT rejected"
)


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What the store holds. All but `env_steps` and `unfinished_episodes` count completed episodes only.

    demo_episodes, successes: without those that were rejected
    """

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
    rejected: nothing is to be learned from it
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
    rejected: bool
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
        return self.terminated and self.episode_return > 0 and not self.rejected


class StoreReader:
    """A look into a store. Safe to use from any thread.

    Rewards and ends of episodes are those that the newest judge of the run has; `recorded_episode` tells what was
    stored.
    contract: what the store must have been made under; None takes whatever it says
    Raise `StoreError` for a file that is missing, damaged, another application's or of another layout,
    `ContractMismatch` with the difference for another contract.
    """

    contract: Contract

    def __init__(self, path: Path, contract: Contract | None = None) -> None:
        self.path = path
        self._read_lock = threading.Lock()
        self._reader = connect_to_look(path)
        try:
            require_ours(self._reader, path)
            self.contract = stored_contract(self._reader, path)
            if contract is not None:
                contract.require_equal(self.contract, "this run", f"the store {path}")
        except BaseException:
            self._reader.close()
            raise

    def read_after(self, cursor: int, limit: int) -> list[tuple[int, Step]]:
        """Up to `limit` steps that arrived after `cursor` (0: from the first), as (cursor, step), in that order."""
        with self.reading() as connection:
            messages = read_messages(connection, cursor, limit)
            changes = Changes(connection, messages)
        return [(seq, changes.of(seq, self._unpack(message))) for seq, message in messages]

    def cursors_after(self, cursor: int, limit: int) -> list[int]:
        """The cursors of up to `limit` steps that arrived after `cursor`, in that order."""
        rows = self._read("SELECT seq FROM steps WHERE seq > ? ORDER BY seq LIMIT ?", (cursor, limit))
        return [row["seq"] for row in rows]

    def recorded_episode(self, episode_id: int) -> list[Step]:
        """The steps of an episode as they were stored, whoever judged them later. episode_id: its row"""
        with self.reading() as connection:
            messages = read_episode(connection, episode_id)
        return [self._unpack(message) for message in messages]

    def demo_cursors(self) -> list[int]:
        """The cursors of all demonstrated steps, oldest first."""
        return [row["seq"] for row in self._read("SELECT seq FROM steps WHERE source = ? ORDER BY seq", (Source.DEMO,))]

    def ids_up_to(self, cursor: int) -> tuple[list[str], NDArray[np.int64]]:
        """The sessions, and of every step up to `cursor` (session's place among them, episode, step, terminated).

        As int64 (N, 4).
        """
        with self.reading() as connection:
            rows = ids_as_judged(connection, cursor)
        sessions: dict[str, int] = {}
        ids = [(sessions.setdefault(session, len(sessions)), *numbers) for session, *numbers in rows]
        return list(sessions), np.array(ids, np.int64).reshape(-1, 4)

    def last_durable(self, session: str) -> StepId | None:
        """The last step of a session that is here; all before it are here as well."""
        found = self._read(
            "SELECT episode, steps FROM episodes WHERE session = ? ORDER BY episode DESC LIMIT 1", (session,)
        )
        return StepId(session, found[0]["episode"], found[0]["steps"] - 1) if found else None

    def unfinished_episodes(self, session: str) -> int:
        """How many episodes of a session have no end; the running one is among them."""
        rows = self._read(
            "SELECT COUNT(*) FROM episodes WHERE session = ? AND NOT (terminated OR truncated)", (session,)
        )
        return int(rows[0][0])

    def sessions(self) -> list[str]:
        """Every session, the one that was heard of last at the end. The full id is a secret of its actor."""
        rows = self._read("SELECT session FROM episodes GROUP BY session ORDER BY MAX(id)")
        return [row["session"] for row in rows]

    def counts(self) -> StoreCounts:
        """How much is here: sums over all episodes, 30 ms for 50,000 of them."""
        with self.reading() as connection:
            return StoreCounts(*connection.execute(COUNTS_SQL + episodes_as_judged(connection)).fetchone())

    def judge(self) -> PayingJudge | None:
        """Who pays the rewards of this run; None where nobody has said."""
        with self.reading() as connection:
            return newest_judge(connection)

    def shared_demonstrations(self) -> int:
        """How many successful demonstrations came with demo sets."""
        return int(self._read(SHARED_DEMONSTRATIONS_SQL)[0][0])

    def episodes(self) -> list[EpisodeRecord]:
        """Every episode, the unfinished ones too, in the order in which they began."""
        with self.reading() as connection:
            rows = connection.execute(f"SELECT * FROM {episodes_as_judged(connection)} ORDER BY id").fetchall()
        return [episode_record(row) for row in rows]

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone; SQLite's errors leave as ours."""
        with self._read_lock:
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise store_error(self.path, error, "it cannot be read") from error

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """The same, and all that is read inside is of one moment, whatever a learner writes meanwhile."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")  # nothing was written

    def close(self) -> None:
        """Close the file; it cannot be used afterwards. May be called twice."""
        with self._read_lock:
            self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _unpack(self, message: pb.Step) -> Step:
        try:
            return unpack_step(message, self.contract, stored=True)
        except InvalidExperience as error:  # it was checked before it was stored
            raise StoreDamaged(
                f"{self.path}: episode {message.id.episode}, step {message.id.step} of session "
                f"{message.id.session[:8]} is not what was stored: {error}; `nudge store verify` names all that is "
                f"damaged, `nudge store prune` removes an episode"
            ) from error

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self.reading() as connection:
            return connection.execute(sql, values).fetchall()


def episode_record(row: sqlite3.Row) -> EpisodeRecord:
    """What a row of the episodes says."""
    return EpisodeRecord(
        session=row["session"],
        index=row["episode"],
        kind="demo" if row["steps"] == row["demo_steps"] else "online",
        steps=row["steps"],
        human_steps=row["human_steps"],
        episode_return=row["reward"],
        terminated=bool(row["terminated"]),
        truncated=bool(row["truncated"]),
        rejected=bool(row["rejected"]),
        first_wall_ns=row["first_wall_ns"],
        last_wall_ns=row["last_wall_ns"],
        sim_only=struct.unpack(f"<{len(row['sim_only']) // 4}f", row["sim_only"]),
    )
