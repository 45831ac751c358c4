"""How the newest judge of a run has it: what is read of a store to be learned from, where a classifier was accepted.

The record stays what it was. What a judge thinks that was accepted later lies beside it, by the judge's version; the
newest one counts, also where it has nothing to say: it judged all episodes anew that any classifier had judged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from nudge.v1 import learner_pb2 as pb
from policy.experience import Step
from policy.step_table import read_messages

NEWEST = "(SELECT MAX(version) FROM judges)"
_EPISODES = (
    "(SELECT e.id, e.session, e.episode, e.steps, e.demo_steps, e.human_steps, COALESCE(n.reward, e.reward) AS reward, "
    "COALESCE(n.terminated, e.terminated) AS terminated, COALESCE(n.truncated, e.truncated) AS truncated, "
    "e.first_wall_ns, e.last_wall_ns, e.sim_only, e.rejected FROM episodes e "
    f"LEFT JOIN endings n ON n.episode_id = e.id AND n.judge = {NEWEST})"
)
_IDS = (
    "SELECT e.session, e.episode, s.step, {terminated} FROM steps s JOIN episodes e ON e.id = s.episode_id "
    "{endings}WHERE s.seq <= ? ORDER BY s.seq"
)
_JOINED = f"LEFT JOIN endings n ON n.episode_id = s.episode_id AND n.judge = {NEWEST} "
_CHANGES = (
    "SELECT s.seq, s.episode_id, s.step, n.last_step, n.reward, n.terminated, n.truncated, j.probability, j.reason "
    f"FROM steps s {_JOINED}LEFT JOIN rejudged j ON j.judge = {NEWEST} AND j.episode_id = s.episode_id AND "
    "j.step = s.step WHERE s.seq BETWEEN ? AND ? AND (n.judge IS NOT NULL OR j.judge IS NOT NULL)"
)


def has_endings(connection: sqlite3.Connection) -> bool:
    """Whether a later judge can have said something: layout 2 has no place for it."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'endings'").fetchone() is not None


def episodes_as_judged(connection: sqlite3.Connection) -> str:
    """What stands for the table of episodes in SQL, with reward and end as the newest judge has them."""
    return _EPISODES if has_endings(connection) else "episodes"


def ids_as_judged(connection: sqlite3.Connection, cursor: int) -> list[sqlite3.Row]:
    """Session, episode, step and `terminated` of every step up to `cursor`, in the order of arrival."""
    if not has_endings(connection):
        sql = _IDS.format(terminated="s.terminated", endings="")
    else:
        terminated = "CASE n.last_step WHEN s.step THEN n.terminated ELSE s.terminated END"
        sql = _IDS.format(terminated=terminated, endings=_JOINED)
    return connection.execute(sql, (cursor,)).fetchall()


class Changes:
    """What the newest judge changes of some steps. messages: as recorded, by cursor, in the order of arrival"""

    def __init__(self, connection: sqlite3.Connection, messages: Sequence[tuple[int, pb.Step]]) -> None:
        self._after_end: set[int] = set()
        if not messages or not has_endings(connection):
            return
        by_cursor = dict(messages)
        for row in connection.execute(_CHANGES, (messages[0][0], messages[-1][0])).fetchall():
            message = by_cursor[row["seq"]]
            if row["reason"] is not None:
                message.judgement.probability, message.judgement.reason = row["probability"], row["reason"]
            if row["last_step"] is None or row["step"] < row["last_step"]:
                continue
            if row["step"] > row["last_step"]:
                self._after_end.add(row["seq"])
                continue
            message.reward = row["reward"]
            message.terminated, message.truncated = bool(row["terminated"]), bool(row["truncated"])
            if not message.HasField("final_observation"):
                seen = _next_message(connection, row["episode_id"], row["step"]).observation
                message.final_observation.CopyFrom(seen)

    def of(self, cursor: int, step: Step) -> Step:
        """A step that was unpacked from its message, with what no message can say."""
        return replace(step, after_end=True) if cursor in self._after_end else step


def _next_message(connection: sqlite3.Connection, episode_id: int, step: int) -> pb.Step:
    """The message of the step after this one, whose observation was seen after it."""
    (seq,) = connection.execute(
        "SELECT seq FROM steps WHERE episode_id = ? AND step = ?", (episode_id, step + 1)
    ).fetchone()
    ((_, message),) = read_messages(connection, seq - 1, 1)
    return message
