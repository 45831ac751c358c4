"""How a process of Nudge is asked to stop, and how it stops those it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Self

# Set for child processes: their standard input is a pipe that closes when the parent dies, however it dies.
FOLLOW_PARENT = "NUDGE_STOP_WHEN_STDIN_CLOSES"
GRACE_S = 30.0


def stop_event(on_second: Callable[[], None] | None = None) -> threading.Event:
    """An event that is set by SIGINT, SIGTERM, or the death of a parent that asked to be followed.

    on_second: called by a second SIGINT, when somebody is too impatient for an end in order
    """
    stop, interrupted = threading.Event(), False

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        stop.set()
        if number == signal.SIGINT:
            if interrupted and on_second is not None:
                on_second()
            interrupted = True

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if os.environ.get(FOLLOW_PARENT):
        threading.Thread(target=_follow_parent, args=(stop,), name="follow parent", daemon=True).start()
    return stop


def interrupted_as_by_hand() -> None:
    """For a verb that Ctrl+C ends: SIGTERM, or the death of a parent that asked to be followed, does the same."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if os.environ.get(FOLLOW_PARENT):
        threading.Thread(target=_interrupt_after_parent, name="follow parent", daemon=True).start()


def _interrupt_after_parent() -> None:
    sys.stdin.read()  # returns only at the end of the pipe
    os.kill(os.getpid(), signal.SIGTERM)


def _follow_parent(stop: threading.Event) -> None:
    sys.stdin.read()  # returns only at the end of the pipe
    stop.set()


class Child:
    """A verb of Nudge in a process of its own, with its output in a file; it never outlives its parent.

    A context that stops it: Ctrl+C while it stops is raised only after it has ended, since it has work to finish.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "console.main", *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, FOLLOW_PARENT: "1"},
                start_new_session=True,  # Ctrl+C reaches the parent alone, which then stops its children in order
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        interrupted: KeyboardInterrupt | None = None
        while True:
            try:
                self._stop()
                break
            except KeyboardInterrupt as caught:
                interrupted = caught
        if interrupted is not None:
            raise interrupted

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.poll()

    def _stop(self) -> None:
        """Ask it to stop, wait, and kill it only when it does not answer."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def last_lines(self, count: int = 15) -> str:
        """The end of its output, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
