"""Where the log of a long-lived process goes: all of it into a file of its run, and warnings to the terminal.

Both are written by threads of their own, so that who logs waits neither for a disk nor for a terminal that was halted.
"""

from __future__ import annotations

import copy
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path

from console.guard import ROOMS
from console.logs.file import LogFile, gap
from console.logs.settings import LogSettings
from console.run_folder import LOGS_FOLDER
from console.terminal.telling import TOLD

MOST_WAITING = 10_000  # lines: a disk that hangs for longer costs lines, not memory


class BehindQueue(QueueHandler):
    """Hands records on without waiting. Of too many the oldest stay; the others are counted."""

    def __init__(self, most: int) -> None:
        self.waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        super().__init__(self.waiting)
        self._most, self._lost, self._text = most, 0, logging.Formatter()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record as text, since what it speaks of goes on changing; its exception apart from its message."""
        prepared = copy.copy(record)
        prepared.msg, prepared.args = record.getMessage(), None
        if record.exc_info:
            prepared.exc_text, prepared.exc_info = self._text.formatException(record.exc_info), None
        return prepared

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never waits."""
        if self.waiting.qsize() >= self._most:
            self._lost += 1
            return
        if self._lost:
            self.waiting.put(gap(self._lost, "they came faster than they could be written"))
            self._lost = 0
        self.waiting.put(record)


class _TerminalLines(logging.Handler):
    """The message of a record on stderr, yellow or red where that is a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it on whatever stderr is at that time: live lines at the bottom of a terminal stand in its way."""
        try:
            coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
            colour = "\033[31m" if record.levelno >= logging.ERROR else "\033[33m"
            start, end = (colour, "\033[0m") if coloured else ("", "")
            print(f"{start}{self.format(record)}{end}", file=sys.stderr, flush=True)
        except Exception:  # noqa: BLE001  # as every handler of the standard library
            self.handleError(record)


@contextmanager
def logged(folder: Path, process: str, settings: LogSettings) -> Iterator[None]:
    """As long as this lasts all that our rooms log goes into `folder/logs/<process>.jsonl`, and warnings to stderr.

    Of other libraries warnings alone. What was told to the terminal stands in the file, too, and how the process ended.
    """
    root = logging.getLogger()
    with ExitStack() as stack:
        to_file = _attached(stack, LogFile(folder / LOGS_FOLDER / f"{process}.jsonl", process, settings), root)
        to_terminal = _TerminalLines(logging.WARNING)
        _attached(stack, to_terminal, root)
        _attach(stack, to_file, TOLD)
        for room in ROOMS:
            _listen(stack, logging.getLogger(room))
        _hear_threads(stack)
        TOLD.info("%s begins: %s", process, " ".join(sys.argv[1:]))
        try:
            yield
        except BaseException as error:
            TOLD.error("%s ends: %s", process, error, exc_info=True)
            raise
        TOLD.info("%s ends in order", process)


def _attached(stack: ExitStack, handler: logging.Handler, logger: logging.Logger) -> logging.Handler:
    """Have a handler hear a logger from behind a queue; returns the queue's end."""
    behind = BehindQueue(MOST_WAITING)
    behind.setLevel(handler.level)
    listener = QueueListener(behind.waiting, handler)
    listener.start()
    stack.callback(handler.close)
    stack.callback(listener.stop)
    _attach(stack, behind, logger)
    return behind


def _attach(stack: ExitStack, handler: logging.Handler, logger: logging.Logger) -> None:
    logger.addHandler(handler)
    stack.callback(logger.removeHandler, handler)


def _listen(stack: ExitStack, logger: logging.Logger) -> None:
    stack.callback(logger.setLevel, logger.level)
    logger.setLevel(logging.INFO)


def _hear_threads(stack: ExitStack) -> None:
    """What ends a thread goes into the file as well."""
    before = threading.excepthook

    def hear(ended: threading.ExceptHookArgs) -> None:
        name = "a thread" if ended.thread is None else f"the thread {ended.thread.name!r}"
        if ended.exc_value is not None:
            TOLD.error("%s ended: %s", name, ended.exc_value, exc_info=ended.exc_value)
        before(ended)

    threading.excepthook = hear
    stack.callback(setattr, threading, "excepthook", before)
