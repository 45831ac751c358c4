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

from learner.store_schema import StoreError, adopt, connect, transaction
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import InvalidExperience
from policy.experience import Source, Step, StepId
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
                    _take(self._writer, step, message)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}; nothing of these {len(steps)} steps was stored") from error

    def read_after(self, cursor: int, limit: int) -> list[tuple[int, Step]]:
        """Up to `limit` steps that arrived after `cursor` (0: from the first), as (cursor, step), in that order."""
        with self._read_lock:
            rows = self._reader.execute(
                "SELECT s.*, e.session, e.episode FROM steps s JOIN episodes e ON e.id = s.episode_id "
                "WHERE s.seq > ? ORDER BY s.seq LIMIT ?",
                (cursor, limit),
            ).fetchall()
            pictures = [
                self._reader.execute("SELECT final, camera, png FROM frames WHERE seq = ?", (row["seq"],)).fetchall()
                for row in rows
            ]
        return [
            (row["seq"], unpack_step(_message(row, frames), self.contract))
            for row, frames in zip(rows, pictures, strict=True)
        ]

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


def _take(connection: sqlite3.Connection, step: Step, message: pb.Step) -> None:
    """Insert one step unless it is there, and keep its episode's row up to date."""
    where = step.id
    known = connection.execute(
        "SELECT id, steps, terminated OR truncated AS done FROM episodes WHERE session = ? AND episode = ?",
        (where.session, where.episode),
    ).fetchone()
    if known is not None and where.step < known["steps"]:
        return
    if known is not None and known["done"]:
        raise InvalidExperience(f"{where}: episode {where.episode} ended with its step {known['steps'] - 1}")
    expected = known["steps"] if known is not None else 0
    if where.step != expected:
        raise InvalidExperience(f"{where}: got step {where.step}, expected {expected}: send the steps without a gap")
    episode_id = int(known["id"]) if known is not None else _begin_episode(connection, step, message)
    _insert(connection, episode_id, step, message)
    connection.execute(
        "UPDATE episodes SET steps = steps + 1, demo_steps = demo_steps + ?, human_steps = human_steps + ?, "
        "reward = reward + ?, terminated = ?, truncated = ?, last_wall_ns = ? WHERE id = ?",
        (
            step.source == Source.DEMO,
            step.source == Source.HUMAN,
            step.reward,
            step.terminated,
            step.truncated,
            step.wall_ns,
            episode_id,
        ),
    )


def _begin_episode(connection: sqlite3.Connection, step: Step, message: pb.Step) -> int:
    where = step.id
    (last,) = connection.execute("SELECT MAX(episode) FROM episodes WHERE session = ?", (where.session,)).fetchone()
    if last is not None and where.episode < last:
        # An acknowledgement says "all up to here": it would have covered this step before it was stored.
        raise InvalidExperience(f"{where}: got episode {where.episode} after {last}: send the episodes in order")
    begun = connection.execute(
        "INSERT INTO episodes (session, episode, first_wall_ns, last_wall_ns, sim_only) VALUES (?, ?, ?, ?, ?)",
        (where.session, where.episode, step.wall_ns, step.wall_ns, message.observation.sim_only),
    )
    assert begun.lastrowid is not None  # an INSERT has one
    return begun.lastrowid


def _insert(connection: sqlite3.Connection, episode_id: int, step: Step, message: pb.Step) -> None:
    final = message.final_observation if step.final is not None else None
    values = {
        "episode_id": episode_id,
        "step": step.id.step,
        "proprioception": message.observation.proprioception,
        "sim_only": message.observation.sim_only,
        "action": message.action,
        "source": int(step.source),
        "reward": step.reward,
        "terminated": step.terminated,
        "truncated": step.truncated,
        "policy_version": step.policy_version,
        "monotonic_ns": step.monotonic_ns,
        "wall_ns": step.wall_ns,
        "final_proprioception": None if final is None else final.proprioception,
        "final_sim_only": None if final is None else final.sim_only,
    }
    columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    seq = connection.execute(f"INSERT INTO steps ({columns}) VALUES ({places})", values).lastrowid
    frames = [(seq, 0, frame.camera, frame.png) for frame in message.observation.frames]
    if final is not None:
        frames += [(seq, 1, frame.camera, frame.png) for frame in final.frames]
    connection.executemany("INSERT INTO frames VALUES (?, ?, ?, ?)", frames)


def _message(row: sqlite3.Row, frames: Sequence[sqlite3.Row]) -> pb.Step:
    """The message that a stored step came as."""
    seen = [pb.Frame(camera=frame["camera"], png=frame["png"]) for frame in frames if not frame["final"]]
    message = pb.Step(
        id=pb.StepId(session=row["session"], episode=row["episode"], step=row["step"]),
        observation=pb.Observation(frames=seen, proprioception=row["proprioception"], sim_only=row["sim_only"]),
        action=row["action"],
        source=row["source"],
        reward=row["reward"],
        terminated=bool(row["terminated"]),
        truncated=bool(row["truncated"]),
        policy_version=row["policy_version"],
        monotonic_ns=row["monotonic_ns"],
        wall_ns=row["wall_ns"],
    )
    if row["final_proprioception"] is not None:
        message.final_observation.proprioception = row["final_proprioception"]
        message.final_observation.sim_only = row["final_sim_only"]
        last = [pb.Frame(camera=frame["camera"], png=frame["png"]) for frame in frames if frame["final"]]
        message.final_observation.frames.extend(last)
    return message


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
