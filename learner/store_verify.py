"""Is everything in a store as it was stored? Each finding names its place; nothing is repaired here."""

from __future__ import annotations

from dataclasses import dataclass

from learner.store_reader import StoreReader
from nudge.v1 import learner_pb2 as pb
from policy.errors import InvalidExperience
from policy.step_schema import StoreDamaged
from policy.step_table import read_episode, row_differences
from policy.wire import unpack_step


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be. session: 8 digits; None where a whole file or episode is meant."""

    what: str
    session: str | None = None
    episode: int | None = None
    step: int | None = None

    def __str__(self) -> str:
        named = (("session", self.session), ("episode", self.episode), ("step", self.step))
        place = ", ".join(f"{name} {value}" for name, value in named if value is not None)
        return f"{place or 'file'}: {self.what}"


def check_structure(store: StoreReader) -> list[Finding]:
    """What SQLite's integrity check finds, rows that belong to nothing, and final frames of no final observation."""
    try:
        with store.snapshot() as connection:
            broken = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
            orphans = [
                f"row {row['rowid']} of {row['table']} belongs to no row of {row['parent']}"
                for row in connection.execute("PRAGMA foreign_key_check")
            ]
            loose = connection.execute(
                "SELECT DISTINCT s.seq FROM frames f JOIN steps s ON s.seq = f.seq "
                "WHERE f.final AND s.final_proprioception IS NULL"
            ).fetchall()
    except StoreDamaged as error:
        return [Finding(str(error))]
    return [
        *map(Finding, broken),
        *map(Finding, orphans),
        *(Finding(f"row {row['seq']} of steps has final frames, but no final observation") for row in loose),
    ]


def check_episode(store: StoreReader, episode_id: int) -> list[Finding]:
    """All that is wrong with one episode and its steps; nothing when it is not there any more."""
    try:
        with store.snapshot() as connection:
            row = connection.execute("SELECT * FROM episodes WHERE id = ?", (episode_id,)).fetchone()
            messages = [] if row is None else read_episode(connection, episode_id)
    except (StoreDamaged, TypeError, ValueError) as error:  # the last two: a value of another type than was stored
        return [Finding(f"row {episode_id} of episodes, or one of its steps, cannot be read: {error}")]
    if row is None:
        return []
    session, episode = row["session"][:8], row["episode"]
    found = [Finding(what, session, episode) for what in row_differences(row, messages)]
    for position, message in enumerate(messages):
        if message.id.step != position:
            found.append(Finding(f"got this step where {position} is due", session, episode, message.id.step))
            break  # all that follow are shifted
    for message in messages:
        what = _step_problem(store, message, is_last=message is messages[-1])
        if what is not None:
            found.append(Finding(what.replace(row["session"], session), session, episode, message.id.step))
    return found


def _step_problem(store: StoreReader, message: pb.Step, *, is_last: bool) -> str | None:
    try:
        step = unpack_step(message, store.contract)  # vectors, pictures, flags against the final observation
    except InvalidExperience as error:
        return str(error)
    if step.last and not is_last:
        return "the episode ends here, but further steps follow"
    return None
