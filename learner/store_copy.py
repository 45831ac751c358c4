"""A copy of a store, or of some of its episodes, while a learner writes into it; and what a damaged one still gives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from learner.judges import copy_judges
from learner.rejudged import has_endings
from learner.store_reader import StoreReader
from learner.store_selection import ChosenEpisode
from learner.store_verify import Finding
from policy.durable import appearing
from policy.step_schema import adopt, connect, store_error, transaction

_TABLES = {  # each with the rows of one episode, found by an index: what lies elsewhere may be damaged
    "episodes": "SELECT * FROM episodes WHERE id = ?",
    "steps": "SELECT * FROM steps WHERE episode_id = ? ORDER BY step",
    "frames": "SELECT * FROM frames WHERE seq IN (SELECT seq FROM steps WHERE episode_id = ?) ORDER BY seq",
}
_JUDGED_ANEW = {  # what judges say that were accepted later, of a layout that has a place for it
    "rejudged": "SELECT * FROM rejudged WHERE episode_id = ? ORDER BY judge, step",
    "endings": "SELECT * FROM endings WHERE episode_id = ? ORDER BY judge",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What a copy holds. lost: the episodes that could not be read, and whatever else"""

    episodes: int
    steps: int
    lost: tuple[Finding, ...]


def export_store(store: StoreReader, target: Path, episodes: Iterable[ChosenEpisode]) -> Exported:
    """Copy episodes into a new store: rows and bytes as they are, all of one moment, on disk when this returns.

    The file appears whole or not at all, and never in place of another. An episode that is damaged is left out.
    Raise `StoreError` when `target` exists, `StoreFull` when it finds no room.
    """
    with appearing(target, "an export") as partial, closing(connect(partial)) as copy:
        adopt(copy, partial, store.contract)
        return _copy(store, copy, target, episodes)


def _copy(store: StoreReader, copy: sqlite3.Connection, path: Path, episodes: Iterable[ChosenEpisode]) -> Exported:
    lost: list[Finding] = []
    copied, steps = 0, 0
    with store.snapshot() as connection:
        try:
            with transaction(copy):
                lost += _copy_judges(connection, copy)
                # What is said by judges that cannot be named is lost with them.
                tables = _TABLES if lost or not has_endings(connection) else _TABLES | _JUDGED_ANEW
                for episode in episodes:
                    try:
                        rows = _copy_episode(connection, copy, episode, tables)
                    except sqlite3.DatabaseError as error:
                        if not _is_damage(error):
                            raise
                        lost.append(Finding(f"left out: {error}", episode.session[:8], episode.index))
                    else:
                        copied, steps = copied + 1, steps + rows
            copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all into the one file, or an error while it has no name
        except sqlite3.Error as error:
            raise store_error(path, error, "nothing was exported") from error
    return Exported(copied, steps, tuple(lost))


def _copy_judges(connection: sqlite3.Connection, copy: sqlite3.Connection) -> list[Finding]:
    """Who paid the rewards; what cannot be read of it is named, and costs no episode."""
    try:
        copy_judges(connection, copy)
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        return [Finding(f"who paid the rewards is left out: {error}")]
    return []


def _copy_episode(
    connection: sqlite3.Connection, copy: sqlite3.Connection, episode: ChosenEpisode, tables: Mapping[str, str]
) -> int:
    """Copy all rows of an episode, or none; return how many steps that were."""
    rows = {table: connection.execute(sql, (episode.id,)).fetchall() for table, sql in tables.items()}
    _insert(copy, rows)
    return len(rows["steps"])


def _insert(copy: sqlite3.Connection, rows: dict[str, list[sqlite3.Row]]) -> None:
    """The rows of one episode, all or none; each value by its name, since an older layout has fewer."""
    copy.execute("SAVEPOINT episode")
    try:
        for table, some in rows.items():
            if some:
                names, places = ", ".join(some[0].keys()), ", ".join("?" * len(some[0]))
                copy.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", map(tuple, some))
    except sqlite3.IntegrityError:
        copy.execute("ROLLBACK TO episode")
        raise
    finally:
        if copy.in_transaction:  # SQLite itself rolls back when the disk is full
            copy.execute("RELEASE episode")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """True for what cannot be read, and for rows that contradict each other."""
    return isinstance(error, sqlite3.IntegrityError) or error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT
