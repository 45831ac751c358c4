"""The other end of a pseudo-terminal: what a terminal's window would send and show."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import termios
import threading
from collections.abc import Iterator
from typing import Any, Self

KNOWS_FOCUS, KNOWS_NO_FOCUS = b"\x1b[?1004;2$y", b"\x1b[?1004;0$y"
_ATTRIBUTES = b"\x1b[?64;1c"


class Window:
    """Answers as xterm does, and keeps what it was sent. answer: to the question whether it reports the focus."""

    def __init__(self, answer: bytes = KNOWS_FOCUS) -> None:
        self.shown = b""
        self._answer = answer
        self._master, self.fd = pty.openpty()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    @property
    def mode(self) -> list[Any]:
        """How the terminal is set up."""
        return termios.tcgetattr(self.fd)

    @contextlib.contextmanager
    def as_file(self) -> Iterator[Any]:
        """To stand for standard input."""
        with os.fdopen(os.dup(self.fd)) as file:
            yield file

    def type(self, data: bytes) -> None:
        """Keys, or reports."""
        os.write(self._master, data)

    def hang_up(self) -> None:
        """Close the window: its programs read the end."""
        self._closing.set()
        self._thread.join(timeout=10)

    def _show(self) -> None:
        while not self._closing.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.02)
            if ready:
                data = os.read(self._master, 1024)
                self.shown += data
                if b"\x1b[c" in data:
                    self.type(self._answer + _ATTRIBUTES)
        os.close(self._master)
        os.close(self.fd)
