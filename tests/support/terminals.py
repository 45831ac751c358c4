"""The other end of a pseudo-terminal: what a terminal's window would send and show."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import termios
import threading
from collections.abc import Iterator
from typing import Any, Self

KNOWS_FOCUS, KNOWS_NO_FOCUS = b"\x1b[?1004;2$y", b"\x1b[?1004;0$y"
_ATTRIBUTES = b"\x1b[?64;1c"
_TOKEN = re.compile(r"\x1b\[(?P<numbers>[?0-9;]*)(?P<what>[A-Za-z])|(?P<character>.)", re.DOTALL)


class Window:
    """Answers as xterm does, and keeps what it was sent.

    answer: to the question whether it reports the focus; columns, rows: None leaves the size open
    """

    def __init__(self, answer: bytes = KNOWS_FOCUS, columns: int | None = None, rows: int = 24) -> None:
        self.shown = b""
        self.columns, self.rows = columns or 80, rows
        self._answer = answer
        self._master, self.fd = pty.openpty()
        if columns is not None:
            termios.tcsetwinsize(self.fd, (rows, columns))
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

    @property
    def lines(self) -> list[str]:
        """What a person reads in it, with all that has scrolled away above."""
        return drawn(self.shown, self.columns, self.rows)

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


def drawn(shown: bytes, columns: int, rows: int) -> list[str]:
    """The lines of a terminal that was sent this: a cursor that goes up and home, lines that are erased and wrapped."""
    lines, row, column = [""], 0, 0
    for token in _TOKEN.finditer(shown.decode(errors="ignore")):
        character, what = token["character"], token["what"]
        if what == "A":
            row = max(0, len(lines) - rows, row - int(token["numbers"] or 1))
        elif what == "K":
            lines[row] = "" if token["numbers"] == "2" else lines[row][:column]
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
        elif character is not None and character.isprintable():
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
