"""The tables of experience, the same in the actor's spool and in the learner's store, and how a file of them is opened.

SQLite in WAL mode: a commit is on disk when it returns, a reader never waits for a writer, and a process that is killed
loses nothing but what it had not committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from policy.contract import Contract
from policy.errors import NudgeError

APPLICATION_ID = 0x4E554447  # "NUDG" in the header of the file
SCHEMA_VERSION = 1
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
    UNIQUE (episode_id, step)
);
CREATE TABLE frames (
    seq INTEGER NOT NULL REFERENCES steps (seq),
    final INTEGER NOT NULL,                -- 1: seen after the last step
    camera TEXT NOT NULL,
    png BLOB NOT NULL,
    PRIMARY KEY (seq, final, camera)
);
"""


class StoreError(NudgeError):
    """A file that is not an experience store, or one of another layout."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode whose commits are on disk when they return; the caller serialises its use."""
    # isolation_level None: transactions begin where `transaction` says, and nowhere else.
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: {error}; expected an experience store, or a path where none is yet") from error
    return connection


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
    with transaction(connection):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if tables == 0:
            _create(connection, contract)
        elif (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise StoreError(
                f"{path}: got an SQLite file with application id {application:#x} and layout {version}, expected "
                f"{APPLICATION_ID:#x} and layout {SCHEMA_VERSION}; use the Nudge that wrote it, or a new path"
            )
        else:
            _require_same(connection, path, contract)


def _create(connection: sqlite3.Connection, contract: Contract) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute("INSERT INTO contract VALUES (?, ?)", (contract.hash, contract.canonical_json()))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _require_same(connection: sqlite3.Connection, path: Path, contract: Contract) -> None:
    stored_hash, body = connection.execute("SELECT hash, body FROM contract").fetchone()
    if stored_hash == contract.hash:
        return
    try:
        stored = Contract.model_validate_json(body)
    except ValidationError as error:
        raise StoreError(f"{path}: its contract cannot be read by this version of Nudge: {error}") from error
    contract.require_equal(stored, "this run", f"the store {path}")
