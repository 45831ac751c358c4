"""A lock between processes that dies with the one that holds it, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Self

from policy.errors import NudgeError


class LockHeld(NudgeError):
    """Another process holds the lock."""


class FileLock:
    """Held from construction to `close`, or to the end of the process.

    path: a file of its own, which stays: closing a descriptor of a database would drop the locks that SQLite has on it
    refusal: what `LockHeld` says when another process holds it
    """

    def __init__(self, path: Path, refusal: str) -> None:
        self._file = path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise LockHeld(refusal) from error

    def close(self) -> None:
        """Let others have it. May be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
