"""The experience store: one SQLite database per run that only grows, the record of all that happened.

Frames stay the PNG bytes that came. Replay, indices of demonstrations and curves are made from it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from learner.acceptance import Rejudged, require_replaceable, write_rejudged
from learner.judges import PayingJudge, require_same_judge, take_judge
from learner.rejudged import episodes_as_judged
from learner.store_adoption import copy_episode, missing_episodes
from learner.store_reader import COUNTS_SQL, EpisodeRecord, StoreCounts, StoreReader
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.file_lock import FileLock
from policy.step_schema import (
    StoreDamaged,
    StoreError,
    StoreFull,
    adopt,
    connect,
    log_bytes,
    store_error,
    transaction,
)
from policy.step_table import take_step
from policy.wire import unpack_step

__all__ = [
    "EpisodeRecord",
    "ExperienceStore",
    "StoreCounts",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreReader",
    "lock_store",
    "require_sound",
]

SESSIONS_NAMED = 8  # of those that a recovered store holds

log = logging.getLogger(__name__)


class ExperienceStore(StoreReader):
    """Steps of one run, durable once `append` returns. Safe to use from any thread; one process writes at a time.

    Writers take turns on one connection, readers on another: in WAL mode neither waits for the other.
    Raise `LockHeld` when another process writes into it, `StoreDamaged` when its integrity is not that of a database.
    """

    def __init__(self, path: Path, contract: Contract) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write_lock = threading.Lock()
        self._lock_file = lock_store(path)
        try:
            left_open = log_bytes(path) > 0
            self._writer = _open_for_writing(path, contract)
            try:
                super().__init__(path, contract)
                self._totals = _totals(self._writer)
                self._judge = self.judge()
            except BaseException:
                self._writer.close()
                raise
        except BaseException:
            self._lock_file.close()
            raise
        if left_open:
            self._tell_recovered()

    def append(self, messages: Sequence[pb.Step]) -> None:
        """Take steps, all or none of them; they are on disk when this returns.

        A step that is there already is skipped: appending is idempotent on (session, episode, step). Raise
        `InvalidExperience` for one that the contract does not allow, or that does not follow the last one of its
        session; `StoreFull` when the disk has no room, `StoreError` when it does not take them for another reason.
        """
        steps = [unpack_step(message, self.contract) for message in messages]  # before the lock: it decodes pictures
        touched = {(step.id.session, step.id.episode) for step in steps}
        try:
            with self._write_lock, self._counting(touched):
                for step, message in zip(steps, messages, strict=True):
                    take_step(self._writer, step, message)
        except sqlite3.Error as error:
            raise store_error(self.path, error, f"nothing of these {len(steps)} steps was stored") from error

    def keep_to_judge(self, name: str) -> None:
        """Note who pays the rewards of what comes, unless that is known or not said; on disk when this returns.

        Raise `OtherJudge` where another one has paid so far; `StoreFull`, `StoreError` as `append` does.
        """
        try:
            with self._write_lock:
                require_same_judge(name, self._judge)
                if name and self._judge is None:
                    with transaction(self._writer):
                        taken = take_judge(self._writer, name)
                    self._judge = taken
        except sqlite3.Error as error:
            raise store_error(self.path, error, "nothing of what comes was stored") from error

    def accept_judge(self, name: str, episodes: Iterable[Rejudged]) -> PayingJudge:
        """Let another classifier pay from now on, with its opinions on what was judged before; all of it, or nothing.

        Nothing that was recorded is changed. episodes: all that `read_judged` gives, judged anew
        Raise `NothingToReplace` where no classifier has paid so far, or this one; `StoreFull`, `StoreError` as `append`
        does.
        """
        try:
            with self._write_lock:
                replaced = require_replaceable(name, self._judge)
                with transaction(self._writer):
                    taken = take_judge(self._writer, name, replaced.name)
                    write_rejudged(self._writer, episodes)
                self._judge, self._totals = taken, _totals(self._writer)
        except sqlite3.Error as error:
            raise store_error(self.path, error, "nothing was changed") from error
        return taken

    def lacks(self, path: Path) -> bool:
        """Whether `adopt` would take anything of this file; raises as it does."""
        with StoreReader(path, self.contract) as other, other.snapshot() as theirs, self.reading() as ours:
            return bool(missing_episodes(theirs, ours))

    def adopt(self, path: Path) -> int:
        """Take the complete episodes of another experience file that are not here yet; how many those were.

        Each is on disk, whole, before the next: after a kill the same call goes on. Rows are taken as they are, so the
        caller knows the file to be sound. Raise `ContractMismatch` with the difference for one of another contract,
        `StoreError` for an episode that is here with other steps; `StoreFull`, `StoreError` as `append` does.
        """
        with StoreReader(path, self.contract) as other, other.snapshot() as theirs, self._write_lock:
            try:
                rows = missing_episodes(theirs, self._writer)
                for row in rows:
                    with self._counting([(row["session"], row["episode"])]):
                        copy_episode(theirs, self._writer, row)
            except sqlite3.Error as error:
                raise store_error(self.path, error, f"not all episodes of {path} were taken") from error
        return len(rows)

    def counts(self) -> StoreCounts:
        """How much is here, kept in memory: asked for at every acknowledgement."""
        return StoreCounts(*self._totals)

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards. May be called twice."""
        super().close()
        with self._write_lock:
            self._writer.close()
        self._lock_file.close()

    @contextmanager
    def _counting(self, episodes: Collection[tuple[str, int]]) -> Iterator[None]:
        """A transaction, with the lock held, that changes only these episodes; `counts` follows it."""
        with transaction(self._writer):
            before = _totals_of(self._writer, episodes)
            yield
            after = _totals_of(self._writer, episodes)
        self._totals = tuple(total + new - old for total, new, old in zip(self._totals, after, before, strict=True))

    def _tell_recovered(self) -> None:
        """Say what a process that could not close the store has left."""
        sessions = self.sessions()
        durable = [self.last_durable(session) for session in sessions[-SESSIONS_NAMED:]]
        lines = [f"session {at.session[:8]}: episode {at.episode}, step {at.step}" for at in durable if at is not None]
        if len(sessions) > SESSIONS_NAMED:
            lines.insert(0, f"{len(sessions) - SESSIONS_NAMED} earlier sessions")
        log.warning(
            "%s: was not closed in order; SQLite has recovered it, %d steps are there; the last ones are %s",
            self.path,
            self.counts().env_steps,
            "; ".join(lines) or "none",
        )


def lock_store(path: Path) -> FileLock:
    """The right to write into a store; raise `LockHeld` while another has it."""
    return FileLock(
        path.with_name(f"{path.name}.lock"),
        f"{path}: another process writes into this experience store, a learner for one; stop it first",
    )


def _open_for_writing(path: Path, contract: Contract) -> sqlite3.Connection:
    """A connection to a store that is sound, or made now."""
    connection = connect(path)
    try:
        adopt(connection, path, contract)
        require_sound(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def require_sound(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreDamaged` unless the structure of the whole file is sound: a second for each GB."""
    try:
        (first,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise store_error(path, error, "nothing was changed") from error
    if first != "ok":
        raise StoreDamaged(
            f"{path}: its integrity check says {first!r}; nothing was changed; `nudge store verify` names what is "
            f"damaged, `nudge store export` saves the episodes that can still be read; then move the file away"
        )


def _totals(connection: sqlite3.Connection) -> tuple[int, ...]:
    """The fields of `StoreCounts`, over all episodes."""
    return tuple(connection.execute(COUNTS_SQL + episodes_as_judged(connection)).fetchone())


def _totals_of(connection: sqlite3.Connection, episodes: Iterable[tuple[str, int]]) -> tuple[int, ...]:
    """The same over some episodes."""
    sql = f"{COUNTS_SQL}{episodes_as_judged(connection)} WHERE session = ? AND episode = ?"
    rows = [tuple(connection.execute(sql, place).fetchone()) for place in episodes]
    return tuple(map(sum, zip((0,) * 5, *rows, strict=True)))
