"""Rows of the step tables from messages, and messages from rows: what was put in comes out byte for byte."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from nudge.v1 import learner_pb2 as pb
from policy.errors import InvalidExperience
from policy.experience import Source, Step


def take_step(connection: sqlite3.Connection, step: Step, message: pb.Step) -> None:
    """Insert one step, inside a transaction, unless it is there; keep its episode's row up to date.

    step: what `message` says, unpacked and checked
    Raise `InvalidExperience` for a step that does not follow the last one of its session.
    """
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
        "reward = reward + ?, terminated = ?, truncated = ?, rejected = ?, last_wall_ns = ? WHERE id = ?",
        (
            step.source == Source.DEMO,
            step.source == Source.HUMAN,
            step.reward,
            step.terminated,
            step.truncated,
            step.rejected,
            step.wall_ns,
            episode_id,
        ),
    )


def read_messages(connection: sqlite3.Connection, cursor: int, limit: int) -> list[tuple[int, pb.Step]]:
    """Up to `limit` steps that arrived after `cursor` (0: from the first), as (cursor, message), in that order."""
    rows = connection.execute(
        "SELECT s.*, e.session, e.episode, e.rejected FROM steps s JOIN episodes e ON e.id = s.episode_id "
        "WHERE s.seq > ? ORDER BY s.seq LIMIT ?",
        (cursor, limit),
    ).fetchall()
    return [(row["seq"], _message(row, _frames(connection, row["seq"]))) for row in rows]


def read_episode(connection: sqlite3.Connection, episode_id: int) -> list[pb.Step]:
    """The messages of one episode, in the order of its steps."""
    rows = connection.execute(
        "SELECT s.*, e.session, e.episode, e.rejected FROM steps s JOIN episodes e ON e.id = s.episode_id "
        "WHERE s.episode_id = ? ORDER BY s.step",
        (episode_id,),
    ).fetchall()
    return [_message(row, _frames(connection, row["seq"])) for row in rows]


def row_differences(row: sqlite3.Row, messages: Sequence[pb.Step]) -> Iterator[str]:
    """Where the episode's row does not say what its steps say."""
    if not messages:
        yield "it has no steps"
        return
    first, last = messages[0], messages[-1]
    sources = [int(message.source) for message in messages]
    reward = 0.0
    for message in messages:  # in the order of storing, so that the sum is the same to the last bit
        reward += message.reward
    told: dict[str, Any] = {
        "steps": len(messages),
        "demo_steps": sources.count(Source.DEMO),
        "human_steps": sources.count(Source.HUMAN),
        "reward": reward,
        "terminated": int(last.terminated),
        "truncated": int(last.truncated),
        "rejected": int(last.rejected),
        "first_wall_ns": first.wall_ns,
        "last_wall_ns": last.wall_ns,
        "sim_only": first.observation.sim_only,
    }
    for name, value in told.items():
        if row[name] != value:
            yield f"its row says {name} {row[name]}, its steps say {value}"


def _frames(connection: sqlite3.Connection, seq: int) -> list[sqlite3.Row]:
    return connection.execute("SELECT final, camera, png FROM frames WHERE seq = ?", (seq,)).fetchall()


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
        "judged_probability": None if step.judgement is None else step.judgement.probability,
        "judged_reason": None if step.judgement is None else int(step.judgement.reason),
        "clipped_tool": None if step.clipped is None else step.clipped.tool,
        "clipped_joints": None if step.clipped is None else step.clipped.joints,
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
        rejected=bool(row["rejected"] and (row["terminated"] or row["truncated"])),
    )
    if row["final_proprioception"] is not None:
        message.final_observation.proprioception = row["final_proprioception"]
        message.final_observation.sim_only = row["final_sim_only"]
        last = [pb.Frame(camera=frame["camera"], png=frame["png"]) for frame in frames if frame["final"]]
        message.final_observation.frames.extend(last)
    _judge(row, message)
    _clip(row, message)
    return message


def _judge(row: sqlite3.Row, message: pb.Step) -> None:
    """The judgement of a stored step, if it has one; layout 2 has no columns for it."""
    if "judged_reason" not in row.keys():  # noqa: SIM118  # a row iterates over its values
        return
    probability, reason = row["judged_probability"], row["judged_reason"]
    if probability is not None or reason is not None:  # one alone raises, as any value of another type
        message.judgement.probability = probability
        message.judgement.reason = reason


def _clip(row: sqlite3.Row, message: pb.Step) -> None:
    """What was clipped in a stored step, if that was noted; layouts before 4 have no columns for it."""
    if "clipped_tool" not in row.keys():  # noqa: SIM118  # a row iterates over its values
        return
    tool, joints = row["clipped_tool"], row["clipped_joints"]
    if tool is not None or joints is not None:
        message.clipped.tool, message.clipped.joints = tool, joints
