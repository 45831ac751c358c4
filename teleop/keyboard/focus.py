"""The terminal that Nudge runs in: whether its window has the focus, and what is typed into it."""

from __future__ import annotations

import atexit
import errno
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable
from typing import Any, Self

from teleop.errors import TeleopError
from teleop.keyboard.decode import Attributes, Decoder, FocusReport, ModeReport, Typed

ANSWER_S = 1.5  # a terminal behind a slow ssh has answered by then
ESC_WAIT_S = 0.1  # the rest of a sequence comes with its Esc, unless the network cuts it in two

_REPORT, _REPORT_NO_MORE = b"\x1b[?1004h", b"\x1b[?1004l"  # DECSET, DECRST
_ASK = b"\x1b[?1004$p\x1b[c"  # DECRQM: is it known; and DA1, which every terminal answers, so that nobody waits in vain
_IFLAG, _CC = 0, 6  # in what `tcgetattr` gives

_CURE = (
    "start Nudge from the terminal at which the operator sits, set teleop.keyboard.source page, or set teleop.keys "
    "false and teleop.device to another"
)


class FocusedTerminal:
    """Swallows what is typed into standard input and tells it; tells too when the window gets or loses the focus.

    A context, in which the terminal neither echoes nor collects lines; Ctrl+C works as ever, and Ctrl+S and Ctrl+Z,
    which would stop the control loop with the arm stiff, do nothing. Both callables are called from a thread.
    """

    def __init__(self, on_focus: Callable[[bool], None], on_typed: Callable[[str], None]) -> None:
        self._on_focus, self._on_typed = on_focus, on_typed
        self._decoder = Decoder()
        self._answered = threading.Event()
        self._saved: list[Any] | None = None  # how the terminal was, while it is another
        self._reports = False
        self._alive = False

    @property
    def alive(self) -> bool:
        """Whether the terminal is still there: it has not hung up."""
        return self._alive

    @property
    def reports_focus(self) -> bool:
        """Whether the terminal has told, by an answer or by a report, that it reports the focus."""
        return self._reports

    def __enter__(self) -> Self:
        """Take the terminal over. Raises `TeleopError` where standard input is none, or is another's."""
        self._fd = _require_terminal()
        self._stop, self._wake = os.pipe()
        self._saved = termios.tcgetattr(self._fd)
        atexit.register(self._restore)
        mode = termios.tcgetattr(self._fd)
        tty.cfmakecbreak(mode)
        mode[_IFLAG] &= ~termios.IXON
        mode[_CC][termios.VSUSP] = bytes([os.fpathconf(self._fd, "PC_VDISABLE")])
        termios.tcsetattr(self._fd, termios.TCSAFLUSH, mode)  # what was typed before proves no focus
        self._alive = True
        self._thread = threading.Thread(target=self._listen, name="terminal", daemon=True)
        self._thread.start()
        os.write(self._fd, _REPORT + _ASK)
        self._answered.wait(ANSWER_S)
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake, b"x")
        self._thread.join()
        self._alive = False
        self._restore()
        atexit.unregister(self._restore)
        os.close(self._wake)
        os.close(self._stop)

    def _restore(self) -> None:
        saved, self._saved = self._saved, None
        if saved is None or not _in_foreground(self._fd):  # else the shell has the terminal, and has set it up
            return
        try:
            os.write(self._fd, _REPORT_NO_MORE)
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, saved)
        except (OSError, termios.error) as error:
            if error.args[0] != errno.EIO:  # it hung up: nothing is left to restore
                raise

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._fd, self._stop], [], [], ESC_WAIT_S if self._decoder.waiting else None)
            if self._stop in ready:
                return
            data = _read(self._fd) if ready else b""
            if ready and not data:
                self._alive = False
                self._on_focus(False)
                return
            for token in self._decoder.feed(data) if ready else self._decoder.flush():
                self._heed(token)

    def _heed(self, token: object) -> None:
        match token:
            case Typed(key):
                self._on_typed(key)
            case FocusReport(focused):
                self._reports = True
                self._on_focus(focused)
            case ModeReport(known):
                self._reports |= known
            case Attributes():
                self._answered.set()


def _require_terminal() -> int:
    """The file descriptor of standard input, which must be a terminal that is ours."""
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise TeleopError(
            "keyboard: standard input is no terminal, expected one, which knows whether its window has the focus; "
            f"{_CURE}"
        )
    fd = sys.stdin.fileno()
    if not _in_foreground(fd):
        raise TeleopError(
            "keyboard: Nudge runs in the background of its terminal, expected the foreground, where keys are typed; "
            f"type fg, or {_CURE}"
        )
    return fd


def _in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError as error:
        return error.errno == errno.ENOTTY  # a terminal that controls no jobs


def _read(fd: int) -> bytes:
    """What was typed; empty when the terminal has hung up."""
    try:
        return os.read(fd, 1024)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""
