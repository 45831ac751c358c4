"""Lines that stay at the bottom of a terminal while all else scrolls above them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.text import Text

LEFT_ABOVE = 4  # lines of a terminal that are left to what scrolls


class LastLines:
    """Asks for them again and again in a thread of its own, and draws them where they have changed.

    console: a `SteadyConsole` where other threads print on it, too
    lines: called in that thread with the size of the terminal
    every_s: between two looks; each takes the interpreter from the others for a moment
    They vanish in the end. A thread that dies takes them with it: what no longer is true does not stay there.
    """

    def __init__(self, console: Console, lines: Callable[[ConsoleDimensions], list[Text]], every_s: float) -> None:
        # What goes to stderr is printed above the lines where both are the same terminal, and else stays what it is.
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stderr=sys.stderr.isatty())
        self._console, self._lines, self._every_s = console, lines, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True, name="last-lines")

    def __enter__(self) -> Self:
        with self._console:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _draw(self) -> None:
        drawn: Text | None = None
        try:
            while True:
                now = fitted(self._lines(self._console.size), self._console.size)
                if now != drawn:
                    with self._console:  # before the lock of rich's own that whoever prints takes after it
                        self._live.update(now, refresh=True)
                    drawn = now
                if self._stop.wait(self._every_s):
                    return
        finally:
            with self._console:
                self._live.stop()


@contextmanager
def line_ended(console: Console) -> Iterator[None]:
    """Around a `rich.live.Live`: in a file it leaves its last line without an end, and the next one would join it."""
    try:
        yield
    finally:
        if not console.is_terminal:
            console.line()


def fitted(lines: list[Text], size: ConsoleDimensions) -> Text:
    """The lines as the terminal has room for them: the last ones, each cut at its edge."""
    single = [each for line in lines for each in line.split(allow_blank=True)]
    kept = single[-max(1, size.height - LEFT_ABOVE) :]
    for line in kept:
        line.truncate(size.width, overflow="ellipsis")
    return Text("\n", no_wrap=True, end="").join(kept)
