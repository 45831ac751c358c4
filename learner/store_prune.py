"""The one way in which a store shrinks: chosen episodes are removed, by a person, while no learner runs.

Replay is a cache of the store: it compares its steps with the store's when it is opened, and is made again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from learner.rejudged import has_endings
from learner.store import require_sound
from learner.store_selection import ChosenEpisode
from policy.step_schema import StoreError, connect, log_bytes, store_error, transaction


def prune_store(path: Path, episodes: Sequence[ChosenEpisode]) -> int:
    """Remove episodes for good and give their room back to the disk; return how many bytes that was.

    The caller holds `lock_store`. Numbers of arrival are not used again, and the other rows stay as they are.
    """
    before = file_bytes(path)
    with closing(connect(path)) as connection:
        require_sound(connection, path)
        try:
            with transaction(connection):
                for episode in episodes:
                    _delete(connection, episode.id)
        except sqlite3.Error as error:
            raise store_error(path, error, "nothing was removed") from error
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(
                f"{path}: {error}; {len(episodes)} episodes are removed, but the file keeps its size: compacting needs "
                f"as much room once more for a while; make room and prune again"
            ) from error
    return before - file_bytes(path)


def file_bytes(path: Path) -> int:
    """Size of a store with its log."""
    return path.stat().st_size + log_bytes(path)


def _delete(connection: sqlite3.Connection, episode_id: int) -> None:
    if has_endings(connection):
        connection.execute("DELETE FROM rejudged WHERE episode_id = ?", (episode_id,))
        connection.execute("DELETE FROM endings WHERE episode_id = ?", (episode_id,))
    connection.execute("DELETE FROM frames WHERE seq IN (SELECT seq FROM steps WHERE episode_id = ?)", (episode_id,))
    connection.execute("DELETE FROM steps WHERE episode_id = ?", (episode_id,))
    connection.execute("DELETE FROM episodes WHERE id = ?", (episode_id,))
