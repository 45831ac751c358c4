"""The tables of experience, the same in the actor's spool and in the learner's store, and how a file of them is opened.

SQLite in WAL mode: a commit is on disk when it returns, a reader never waits for a writer, and a process that is killed
loses nothing but what it had not committed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from policy.contract import Contract
from policy.errors import NudgeError

APPLICATION_ID = 0x4E554447  # "NUDG" in the header of the file
SCHEMA_VERSION = 4
READABLE = (2, 3, SCHEMA_VERSION)  # what older ones lack is optional: a demo set of that time stays what it is
BUSY_TIMEOUT_S = 10.0

_SCHEMA = """
CREATE TABLE contract (hash TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE episodes (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    episode INTEGER NOT NULL,
    steps INTEGER NOT NULL DEFAULT 0,
    demo_steps INTEGER NOT NULL DEFAULT 0,
    human_steps INTEGER NOT NULL DEFAULT 0,
    reward REAL NOT NULL DEFAULT 0,       -- sum over the episode
    terminated INTEGER NOT NULL DEFAULT 0,
    truncated INTEGER NOT NULL DEFAULT 0,
    first_wall_ns INTEGER NOT NULL,
    last_wall_ns INTEGER NOT NULL,
    sim_only BLOB NOT NULL,               -- of the first step
    rejected INTEGER NOT NULL DEFAULT 0,  -- nothing is to be learned from it (since layout 2)
    UNIQUE (session, episode)
);
CREATE TABLE steps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival, the cursor of readers
    episode_id INTEGER NOT NULL REFERENCES episodes (id),
    step INTEGER NOT NULL,
    proprioception BLOB NOT NULL,          -- float32 little-endian, as all vectors here
    sim_only BLOB NOT NULL,
    action BLOB NOT NULL,
    source INTEGER NOT NULL,
    reward REAL NOT NULL,
    terminated INTEGER NOT NULL,
    truncated INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    monotonic_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    final_proprioception BLOB,             -- of the observation after the last step
    final_sim_only BLOB,
    judged_probability REAL,               -- of the judgement, if there is one (since layout 3, like the next)
    judged_reason INTEGER,
    clipped_tool INTEGER,                  -- of the action that was chosen, if noted (since layout 4, like the next)
    clipped_joints INTEGER,
    UNIQUE (episode_id, step)
);
CREATE TABLE frames (
    seq INTEGER NOT NULL REFERENCES steps (seq),
    final INTEGER NOT NULL,                -- 1: seen after the last step
    camera TEXT NOT NULL,
    png BLOB NOT NULL,
    PRIMARY KEY (seq, final, camera)
);
CREATE TABLE judges (                      -- who paid the rewards, in this order (since layout 3)
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    judge TEXT NOT NULL,                   -- as `HelloRequest.judge` says
    wall_ns INTEGER NOT NULL               -- when it was taken
);
CREATE TABLE rejudged (                    -- what a judge that was accepted later thinks of steps (since layout 3)
    judge INTEGER NOT NULL REFERENCES judges (version),
    episode_id INTEGER NOT NULL,
    step INTEGER NOT NULL,
    probability REAL NOT NULL,
    reason INTEGER NOT NULL,
    PRIMARY KEY (judge, episode_id, step),
    FOREIGN KEY (episode_id, step) REFERENCES steps (episode_id, step)
) WITHOUT ROWID;
CREATE TABLE endings (                     -- where it has an episode end, if not as recorded (since layout 3)
    judge INTEGER NOT NULL REFERENCES judges (version),
    episode_id INTEGER NOT NULL REFERENCES episodes (id),
    last_step INTEGER NOT NULL,            -- nothing is learned from the steps after it
    reward REAL NOT NULL,                  -- of that step, as the next two
    terminated INTEGER NOT NULL,
    truncated INTEGER NOT NULL,
    PRIMARY KEY (judge, episode_id)
) WITHOUT ROWID;
"""
_JUDGES = _SCHEMA[_SCHEMA.index("CREATE TABLE judges") :].split(";")
# What brings a layout to the next one. Columns are added at the end, as `_SCHEMA` has them.
_RENEWALS = {
    1: ("ALTER TABLE episodes ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0",),
    2: (
        "ALTER TABLE steps ADD COLUMN judged_probability REAL",
        "ALTER TABLE steps ADD COLUMN judged_reason INTEGER",
        *_JUDGES,
    ),
    3: (
        "ALTER TABLE steps ADD COLUMN clipped_tool INTEGER",
        "ALTER TABLE steps ADD COLUMN clipped_joints INTEGER",
    ),
}


class StoreError(NudgeError):
    """A file that is not an experience store, or one of another layout, or one that SQLite cannot use."""


class StoreFull(StoreError):
    """The disk has no room. Nothing of the transaction was kept; the same one succeeds once there is room."""


class StoreDamaged(StoreError):
    """The bytes of the file are not those that SQLite wrote."""


def store_error(path: Path, error: sqlite3.Error, consequence: str) -> StoreError:
    """The error of ours that SQLite's stands for.

    consequence: what that means for what was asked, "nothing of these 3 steps was stored"
    """
    code = getattr(error, "sqlite_errorcode", None)  # absent where Python itself refuses, as for a closed file
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        free = shutil.disk_usage(path.parent).free
        return StoreFull(f"{path}: the disk is full ({free / 1e6:.1f} MB free); {consequence}; make room on that disk")
    if code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):  # the primary code
        return StoreDamaged(
            f"{path}: {error}; {consequence}; if it is an experience store, `nudge store verify` names what is "
            f"damaged, and `nudge store export` saves the episodes that can still be read"
        )
    return StoreError(f"{path}: {error}; {consequence}")


def connect(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode whose commits are on disk when they return; the caller serialises its use."""
    refuse_lone_log(path)
    # isolation_level None: transactions begin where `transaction` says, and nowhere else.
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise store_error(path, error, "expected a path that this process may write") from error
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        connection.close()
        raise store_error(path, error, "expected an experience store, or a path where none is yet") from error
    return connection


def connect_to_look(path: Path) -> sqlite3.Connection:
    """A connection that reads and changes nothing, neither the file nor the log of a process that was killed.

    Raise `StoreError` when there is no file. What file it is, `require_ours` tells.
    """
    refuse_lone_log(path)
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file, expected an experience store; name its run or its path")
    log = log_bytes(path) > 0
    # SQLite shares an index of the log beside the file, and takes it away again: so it must be allowed to write there.
    # Where it may not, no other process can either, unless there is a log: then the file is the whole truth.
    writable = os.access(path.parent, os.W_OK)
    mode = "mode=rw" if writable else "mode=ro" if log else "immutable=1"
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise store_error(path, error, "it cannot be opened for reading") from error
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA writable_schema = ON")  # else SQLite reads nothing of a file that lost its end
    if log:  # else who looks last would move the log into the file
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
    return connection


def log_bytes(path: Path) -> int:
    """Size of the write-ahead log beside the file: 0 when who wrote last has closed it in order."""
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.is_file() else 0


def refuse_lone_log(path: Path) -> None:
    """Raise `StoreDamaged` for a log without its file: SQLite would delete it, with the steps that are only there."""
    if log_bytes(path) and not (path.is_file() and path.stat().st_size):
        raise StoreDamaged(
            f"{path}: the file is {'empty' if path.is_file() else 'missing'}, but its log {path.name}-wal holds "
            f"{log_bytes(path)} bytes; put the file back beside it, or move the log away to begin anew"
        )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that happens inside is durable at the end; nothing of it is, if an exception leaves."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back when the disk is full
            connection.execute("ROLLBACK")
        raise


def adopt(connection: sqlite3.Connection, path: Path, contract: Contract) -> None:
    """Make the tables of an empty file, or check that those of an older one are ours and of the same contract.

    Raise `StoreError` for another kind of file, `ContractMismatch` with the difference for another contract.
    """
    try:
        with transaction(connection):
            (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            if tables == 0:
                _create(connection, contract)
            else:
                _renew(connection)
                require_ours(connection, path)
                contract.require_equal(stored_contract(connection, path), "this run", f"the store {path}")
    except sqlite3.Error as error:
        raise store_error(path, error, "it cannot be opened") from error


def require_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreError` unless the file has the tables of this layout; each other kind of file is told apart."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise store_error(path, error, "expected an experience store") from error
    if tables == 0:
        raise StoreError(f"{path}: an empty database, expected an experience store; start the learner of its run first")
    if application != APPLICATION_ID:
        raise StoreError(
            f"{path}: got the database of another application (id {application:#x}, layout {version}), expected an "
            f"experience store ({APPLICATION_ID:#x}); take another path"
        )
    if version not in READABLE:
        cure = "use a newer Nudge, the one that wrote it"
        if version < SCHEMA_VERSION:
            cure = "start the learner or the actor of its run once, which brings it up to date"
        raise StoreError(
            f"{path}: got layout {version} of an experience store, this Nudge reads {SCHEMA_VERSION}; {cure}"
        )


def stored_contract(connection: sqlite3.Connection, path: Path) -> Contract:
    """The contract under which the steps were taken."""
    try:
        (body,) = connection.execute("SELECT body FROM contract").fetchone()
        return Contract.model_validate_json(body)
    except sqlite3.Error as error:
        raise store_error(path, error, "its contract cannot be read") from error
    except ValidationError as error:
        raise StoreError(f"{path}: its contract cannot be read by this version of Nudge: {error}") from error


def _renew(connection: sqlite3.Connection) -> None:
    """Bring the tables of an older layout up to date; others are left for `require_ours` to judge."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or version not in _RENEWALS:
        return
    for layout in range(version, SCHEMA_VERSION):
        for statement in _RENEWALS[layout]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _create(connection: sqlite3.Connection, contract: Contract) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute("INSERT INTO contract VALUES (?, ?)", (contract.hash, contract.canonical_json()))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
