"""Episodes of one experience file as rows of another: nothing is decoded, what was stored stays what it is."""

from __future__ import annotations

import sqlite3

from policy.step_schema import StoreError


def missing_episodes(theirs: sqlite3.Connection, ours: sqlite3.Connection) -> list[sqlite3.Row]:
    """Rows of the complete episodes of another file that are not here, in the order in which they began.

    Raise `StoreError` where one is here with other steps.
    """
    rows = theirs.execute("SELECT * FROM episodes WHERE terminated OR truncated ORDER BY id").fetchall()
    return [row for row in rows if not _is_here(row, ours)]


def copy_episode(theirs: sqlite3.Connection, ours: sqlite3.Connection, episode: sqlite3.Row) -> None:
    """Copy an episode, inside a transaction. episode: its row in the other file"""
    episode_id = _insert(ours, "episodes", _without(episode, "id"))
    for step in theirs.execute("SELECT * FROM steps WHERE episode_id = ? ORDER BY step", (episode["id"],)).fetchall():
        seq = _insert(ours, "steps", _without(step, "seq") | {"episode_id": episode_id})
        frames = theirs.execute("SELECT final, camera, png FROM frames WHERE seq = ?", (step["seq"],)).fetchall()
        ours.executemany("INSERT INTO frames VALUES (?, ?, ?, ?)", [(seq, *frame) for frame in frames])


def _is_here(episode: sqlite3.Row, ours: sqlite3.Connection) -> bool:
    known = ours.execute(
        "SELECT * FROM episodes WHERE session = ? AND episode = ?", (episode["session"], episode["episode"])
    ).fetchone()
    if known is None:
        return False
    differing = [name for name in known.keys() if name != "id" and known[name] != episode[name]]  # noqa: SIM118  # a row
    if differing:
        raise StoreError(
            f"episode {episode['episode']} of session {episode['session'][:8]}: it is here already, but with another "
            f"{', '.join(differing)}; one of the two files was changed: take another copy of the demo set, or begin a "
            f"new run"
        )
    return True


def _insert(connection: sqlite3.Connection, table: str, values: dict[str, object]) -> int:
    columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    row = connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", values).lastrowid
    assert row is not None  # an INSERT has one
    return row


def _without(row: sqlite3.Row, name: str) -> dict[str, object]:
    return {key: row[key] for key in row.keys() if key != name}  # noqa: SIM118  # a row's own are its values
