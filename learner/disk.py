"""A disk without room: told apart from other errors, so that whoever writes can wait for room instead of ending."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from policy.errors import NudgeError

# No room, no quota left, no larger file allowed: for all three somebody must make room, and then it goes on.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WAIT_S = 1.0  # between two tries on a full disk

log = logging.getLogger(__name__)


class DiskFull(NudgeError):
    """Something could not be written for want of room. Nothing is half done: the same may be tried again."""


@contextmanager
def room_needed(path: Path, purpose: str) -> Iterator[None]:
    """Turn the errors that want of room gives into `DiskFull`; others pass.

    purpose: what is being written, "the checkpoint of update 5000"
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise DiskFull(
            f"disk full: {path}, {free_bytes(path) / 1e6:.1f} MB free ({error.strerror}), no room for {purpose}"
        ) from error


def free_bytes(path: Path) -> int:
    """Room on the disk that a path lies on, or will lie on."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks finds the old one or the whole new one; `DiskFull` when there is no room."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with room_needed(path, path.name), partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class PatientWriter:
    """Does what needs room on the disk; while there is none it waits, visibly.

    waiting: what it waits for, for whoever shows the status; None while there is room
    """

    def __init__(self) -> None:
        self.waiting: str | None = None

    def __call__[**P, T](self, stop: threading.Event, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `write`; on a full disk again and again, until there is room. Raises `DiskFull` at `stop`."""
        while True:
            try:
                done = write(*args, **kwargs)
            except DiskFull as error:
                if self.waiting is None:
                    log.warning("%s; training waits until there is", error)
                self.waiting = str(error)
                if stop.wait(WAIT_S):
                    raise
            else:
                if self.waiting is not None:
                    log.warning("there is room on the disk again; training goes on")
                    self.waiting = None
                return done


def drop_unfinished_line(path: Path) -> None:
    """A process that was killed as it wrote may have left a part of a line, and the next line would be joined to it."""
    if path.is_file():
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)


class AppendedFile:
    """A file that grows by whole pieces: one that does not fit leaves nothing behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    @property
    def size_bytes(self) -> int:
        """How large it is now."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, data: bytes) -> None:
        """Write all of it; raise `DiskFull` and leave the file as it was when there is no room."""
        before = self.size_bytes
        try:
            with room_needed(self.path, f"{len(data)} bytes more"):
                written = 0
                while written < len(data):  # a disk that fills up takes a part first
                    written += self._file.write(data[written:])
        except BaseException:
            self._file.truncate(before)
            raise

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()
