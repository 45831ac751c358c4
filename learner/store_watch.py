"""A store that is looked at again and again while it grows: each look reads only what is new."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from learner.clipping import ClipShares, clip_shares
from learner.judges import PayingJudge, newest_judge
from learner.rejudged import episodes_as_judged
from learner.store_reader import EpisodeRecord, StoreReader, episode_record
from policy.experience import Source

_NEWEST = "SELECT s.*, e.episode FROM steps s JOIN episodes e ON e.id = s.episode_id ORDER BY s.seq DESC LIMIT 1"
CLIP_STEPS = 600  # a minute of acting, at 10 Hz
_PROBABILITY = "judged_probability"  # a column that stores of layout 2 have not


@dataclass(frozen=True, slots=True)
class NewestStep:
    """The step that arrived last.

    cursor: of readers, grows with every step; row: the episode's; wall_ns: the actor's clock [ns since 1970]
    probability: that it shows success, by the reward classifier's opinion; None where none was asked
    """

    cursor: int
    row: int
    episode: int
    step: int
    source: Source
    policy_version: int
    wall_ns: int
    probability: float | None


class StoreWatch:
    """What a store holds by now. One thread at a time.

    episodes: by the number of their row, which ascends in the order in which they began, with reward and end as the
        newest judge has them; another mapping at each change
    newest: None before the first step
    clipped: of the newest `CLIP_STEPS` steps; None where they do not say it
    finished: grows whenever an episode has ended, or some were removed: what is reckoned over episodes is old then
    """

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._unfinished: set[int] = set()
        self._judge: PayingJudge | None = None
        self.episodes: dict[int, EpisodeRecord] = {}
        self.newest: NewestStep | None = None
        self.clipped: ClipShares | None = None
        self.finished = 0

    def look(self) -> None:
        """Read what came since the last look. Raise `StoreError` where the file cannot be read."""
        with self._store.snapshot() as connection:
            row = connection.execute(_NEWEST).fetchone()
            newest = None if row is None else _newest(row)
            (count,) = connection.execute("SELECT COUNT(*) FROM episodes").fetchone()
            judge, table = newest_judge(connection), episodes_as_judged(connection)
            if newest == self.newest and count == len(self.episodes) and judge == self._judge:
                return
            accepted = self._judge is not None and judge != self._judge
            self.newest, self._judge = newest, judge
            self.clipped = clip_shares(connection, CLIP_STEPS)
            last = next(reversed(self.episodes), 0)
            wanted = ", ".join(map(str, sorted(self._unfinished)))
            self._take(
                connection.execute(f"SELECT * FROM {table} WHERE id > ? OR id IN ({wanted}) ORDER BY id", (last,))
            )
            if accepted or count != len(self.episodes):  # another judge has them otherwise, or somebody has pruned it
                self.episodes, self._unfinished = {}, set()
                self._take(connection.execute(f"SELECT * FROM {table} ORDER BY id"))

    def frame(self, cursor: int, camera: str, *, final: bool = False) -> bytes | None:
        """What a camera saw at a step, as PNG, as it came; None where there is none.

        final: after it, where it was the last of its episode
        """
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT png FROM frames WHERE seq = ? AND final = ? AND camera = ?", (cursor, final, camera)
            ).fetchone()
        return None if row is None else bytes(row["png"])

    def cursors(self, row: int) -> list[int]:
        """Of all steps of an episode, in their order."""
        with self._store.reading() as connection:
            found = connection.execute("SELECT seq FROM steps WHERE episode_id = ? ORDER BY step", (row,)).fetchall()
        return [each["seq"] for each in found]

    def _take(self, rows: sqlite3.Cursor) -> None:
        episodes = dict(self.episodes)
        for row in rows:
            record = episodes[row["id"]] = episode_record(row)
            if record.complete:
                self._unfinished.discard(row["id"])
                self.finished += 1
            else:
                self._unfinished.add(row["id"])
        self.episodes = episodes


def _newest(row: sqlite3.Row) -> NewestStep:
    return NewestStep(
        cursor=row["seq"],
        row=row["episode_id"],
        episode=row["episode"],
        step=row["step"],
        source=Source(row["source"]),
        policy_version=row["policy_version"],
        wall_ns=row["wall_ns"],
        probability=row[_PROBABILITY] if _PROBABILITY in row.keys() else None,  # noqa: SIM118  # a row iterates over values
    )
