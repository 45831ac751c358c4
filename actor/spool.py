"""The spool: an actor's steps on disk, from the moment they count as taken until the learner has them.

An SQLite file with the tables of the learner's store, and one row more (`actor.spool_record`). It outlives the process:
the next one goes on with its session. Steps that the learner has are trimmed, and their pages used again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

from actor.link_settings import LinkSettings
from actor.spool_gauge import capacity_bytes
from actor.spool_record import Place, Progress, SpoolRecord, adopt_record
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import InvalidExperience, NudgeError
from policy.experience import Step, StepId
from policy.file_lock import FileLock
from policy.step_schema import StoreDamaged, adopt, connect, log_bytes, store_error, transaction
from policy.step_table import read_messages, take_step

TRIM_BATCH = 64  # steps trimmed at a time: a deletion reads all pages of a picture
LOG_BYTES = 16 << 20  # to which SQLite cuts its write-ahead log again


class SpoolFull(NudgeError):
    """More steps wait than there is room for: whoever sends must look whether there is a pause."""


class Spool:
    """The steps of one session that the learner has not acknowledged. Safe to use from any thread.

    One process at a time: raise `LockHeld` when another has it, `StoreDamaged` when its integrity is not that of a
    database, `StoreError` for another kind of file or another actor's, `ContractMismatch` for another contract.
    """

    def __init__(self, path: Path, contract: Contract, settings: LinkSettings) -> None:
        self.path = path
        self.capacity_bytes = capacity_bytes(contract, settings)
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            opened.enter_context(
                FileLock(
                    path.with_name(f"{path.name}.lock"),
                    f"{path}: another process has this spool, an actor of the same run for one; stop it first, or name "
                    f"another run",
                )
            )
            self.left_open = log_bytes(path) > 0  # who had it last was killed
            path.touch(mode=0o600)  # it holds the session, which is the secret of the lease
            self._writer = opened.enter_context(closing(connect(path)))
            with self._told("nothing was changed"):
                record = _adopt(self._writer, path, contract, settings.actor_id)
            self._reader = opened.enter_context(closing(connect(path)))
            self._resources = opened.pop_all()
        self.session, self.run_id, self.progress = record.session, record.run_id, record.progress
        self.acknowledged, self.newest_seq, self.trimmed_seq = (
            record.acknowledged,
            record.newest_seq,
            record.trimmed_seq,
        )
        self.used_bytes = self._used_bytes()

    def commit(
        self, steps: Sequence[tuple[Step, pb.Step]], acknowledged: Place | None = None, *, trim: bool = False
    ) -> None:
        """Take steps, each with its message, and note how far the learner is; all is on disk when this returns.

        trim: delete a batch of what the learner has
        Raise `InvalidExperience` for a step that does not follow, `StoreFull` when the disk has no room, another
        `StoreError` when it fails; nothing of the group was taken then, and the same may be tried again.
        """
        with self._write_lock, self._told(f"none of these {len(steps)} steps is on disk yet"):
            upto = max(self.acknowledged, acknowledged or self.acknowledged, key=lambda place: place.seq)
            with transaction(self._writer):
                for step, message in steps:
                    take_step(self._writer, step, message)
                progress, newest_seq = self._after(steps)
                self._note(upto, progress)
                trimmed_seq = self._trim(upto) if trim else self.trimmed_seq
            self.acknowledged, self.progress = upto, progress
            self.newest_seq, self.trimmed_seq = newest_seq, trimmed_seq
            self.used_bytes = self._used_bytes()

    def bind(self, run_id: str) -> None:
        """From now on, and for good, the steps go to this run."""
        with self._write_lock, self._told("the run that its steps go to is not noted"):
            self._writer.execute("UPDATE spool SET run_id = ?", (run_id,))
            self.run_id = run_id

    def read_after(self, seq: int, limit: int) -> list[tuple[int, pb.Step]]:
        """Up to `limit` steps behind a place, as (seq, message), in the order in which they were taken."""
        with self._read_lock, self._told("its steps cannot be read"):
            return read_messages(self._reader, seq, limit)

    def place_of(self, step: StepId) -> Place | None:
        """Where a step stands in the file; None when it is not in it, or not any more."""
        with self._read_lock, self._told("its steps cannot be read"):
            row = self._reader.execute(
                "SELECT s.seq FROM episodes e JOIN steps s ON s.episode_id = e.id "
                "WHERE e.session = ? AND e.episode = ? AND s.step = ?",
                (step.session, step.episode, step.step),
            ).fetchone()
        return None if row is None else Place(row["seq"], step)

    def __len__(self) -> int:
        """Steps that the learner has not acknowledged, as far as this file knows."""
        return self.newest_seq - self.acknowledged.seq

    def describe(self) -> str:
        """What the file holds, for the operator who starts an actor on it."""
        recovered = ", left by a process that was killed" if self.left_open else ""
        newest = self.progress.newest
        if newest is None:
            return f"{self.path}: new, session {self.session[:8]}"
        cut = f"; episode {newest.episode} was cut after its step {newest.step}" if self.progress.in_episode else ""
        waiting = "nothing waits"
        if len(self):
            (_, oldest), *_ = self.read_after(self.acknowledged.seq, 1)
            waiting = f"{len(self)} steps wait for the learner, from episode {oldest.id.episode}, step {oldest.id.step}"
        return f"{self.path}: session {self.session[:8]} goes on{recovered}; {waiting}{cut}"

    def close(self) -> None:
        """Close the file and let another process have it. May be called twice."""
        with self._write_lock, self._read_lock:
            self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _told(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(self.path, error, consequence) from error

    def _after(self, steps: Sequence[tuple[Step, pb.Step]]) -> tuple[Progress, int]:
        """Progress and newest place after these steps, which are in the tables."""
        if not steps:
            return self.progress, self.newest_seq
        newest = steps[-1][0]
        newest_seq = self._writer.execute("SELECT MAX(seq) FROM steps").fetchone()[0]
        if newest_seq != self.newest_seq + len(steps):
            raise InvalidExperience(f"{newest.id}: the spool had it, or one before it, already; take each step once")
        demonstrations = sum(self._is_demonstration(step.id) for step, _ in steps if step.terminated)
        progress = Progress(
            newest=newest.id,
            in_episode=not newest.last,
            env_steps=self.progress.env_steps + len(steps),
            demonstrations=self.progress.demonstrations + demonstrations,
        )
        return progress, newest_seq

    def _is_demonstration(self, last: StepId) -> bool:
        """Whether the operator drove the whole of an episode that has ended, and had success."""
        row = self._writer.execute(
            "SELECT steps = demo_steps AND reward > 0 AND NOT rejected FROM episodes WHERE session = ? AND episode = ?",
            (last.session, last.episode),
        ).fetchone()
        return bool(row[0])

    def _note(self, acknowledged: Place, progress: Progress) -> None:
        step = acknowledged.step
        self._writer.execute(
            "UPDATE spool SET acknowledged_seq = ?, acknowledged_episode = ?, acknowledged_step = ?, env_steps = ?, "
            "demonstrations = ?",
            (
                acknowledged.seq,
                None if step is None else step.episode,
                None if step is None else step.step,
                progress.env_steps,
                progress.demonstrations,
            ),
        )

    def _trim(self, acknowledged: Place) -> int:
        """Delete a batch of acknowledged steps, and the episodes of which nothing is left; return the end of it."""
        end = min(acknowledged.seq, self.trimmed_seq + TRIM_BATCH)
        self._writer.execute("DELETE FROM frames WHERE seq <= ?", (end,))
        self._writer.execute("DELETE FROM steps WHERE seq <= ?", (end,))
        # The newest episode stays: the next step must follow it.
        self._writer.execute(
            "DELETE FROM episodes WHERE episode < (SELECT MAX(episode) FROM episodes) "
            "AND NOT EXISTS (SELECT 1 FROM steps WHERE episode_id = episodes.id)"
        )
        return end

    def _used_bytes(self) -> int:
        """Bytes of pages in use; the file is as large as it ever was, its free pages are taken first."""
        pages, free, size = (
            self._writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


def _adopt(connection: sqlite3.Connection, path: Path, contract: Contract, actor_id: str) -> SpoolRecord:
    """The record of a spool that is sound, or made now."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()  # a second for each GB
    if verdict != "ok":
        raise StoreDamaged(
            f"{path}: its integrity check says {verdict!r}; nothing was changed; move it and what lies beside it "
            f"({path.name}-wal) to a safe place, for the steps in it that no learner has, and start again: a new spool "
            f"begins a new session"
        )
    adopt(connection, path, contract)
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    return adopt_record(connection, path, actor_id)
