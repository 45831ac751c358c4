"""A console on which several threads print while lines stay at its bottom."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import IO

from rich.console import Console


class SteadyConsole(Console):
    """What one thread prints is written whole before the next one begins.

    rich itself looks where the lines at the bottom are before it has the terminal, so that two threads that print at
    the same time would leave a part of them behind.
    """

    def __init__(self, file: IO[str] | None = None, *, quiet: bool = False) -> None:
        super().__init__(file=file, quiet=quiet)
        self._turn = threading.RLock()

    def __enter__(self) -> Console:
        """Whatever is printed begins here."""
        self._turn.acquire()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """And is written here."""
        try:
            super().__exit__(kind, error, at)
        finally:
            self._turn.release()
