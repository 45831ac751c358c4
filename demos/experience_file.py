"""A new experience file, made outside the learner: it appears whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from policy.contract import Contract
from policy.durable import appearing
from policy.experience import Step
from policy.step_schema import adopt, connect, store_error, transaction
from policy.step_table import take_step
from policy.wire import pack_step, unpack_step


class NewExperience:
    """Episodes on their way into a new experience file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def append(self, steps: Sequence[Step], contract: Contract) -> None:
        """Take the steps of an episode, checked as those of an actor are.

        Raise `InvalidExperience` for one that the contract does not allow, or that does not follow the last one of
        its session. What is there already is skipped, as everywhere.
        """
        for step in steps:
            message = pack_step(step)
            take_step(self._connection, unpack_step(message, contract), message)


@contextmanager
def new_experience(target: Path, contract: Contract) -> Iterator[NewExperience]:
    """A new experience file; it appears whole when the block ends, and not at all when an exception leaves it.

    Raise `StoreError` when `target` exists, `StoreFull` when it finds no room.
    """
    with appearing(target, "an import") as partial, closing(connect(partial)) as connection:
        adopt(connection, partial, contract)
        try:
            with transaction(connection):
                yield NewExperience(connection)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all into the one file, while it has no name
        except sqlite3.Error as error:
            raise store_error(target, error, "nothing was imported") from error
