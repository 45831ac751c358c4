"""Priority over other processes on this machine, for those that must not be late."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where Linux weighs sessions before processes (sched_autogroup_enabled), a niceness counts only within its session.
AUTOGROUP = Path("/proc/self/autogroup")
TURN_S = 0.0005


def take_short_turns() -> None:
    """From now on a thread that wakes up waits no longer than this for another of its process that computes.

    Python's own turns are ten times as long, and a tick needs several: waking up, and each answer of the bus.
    """
    sys.setswitchinterval(TURN_S)


@contextmanager
def niceness(value: int) -> Iterator[str]:
    """Give this process, with the threads that it starts from now on, and its session this niceness.

    value: -20 to 19; 0 changes nothing
    Yields why that was refused; empty when it was not. The session has its own niceness back afterwards.
    """
    if not value:
        yield ""
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, value)
        session_before = _renice_session(value)
    except PermissionError as error:
        yield str(error)
        return
    try:
        yield ""
    finally:
        if session_before is not None:
            _renice_session(session_before)


@contextmanager
def realtime(priority: int) -> Iterator[str]:
    """Within this context the calling thread goes before all that has no such priority (SCHED_FIFO).

    priority: 1 to 99; 0 changes nothing. Threads and processes that it starts do not inherit it.
    Yields why that was refused; empty when it was not.
    """
    if not priority:
        yield ""
        return
    if not hasattr(os, "sched_setscheduler"):
        yield "this system has no such priority"
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except PermissionError as error:
        yield str(error)
        return
    try:
        yield ""
    finally:
        os.sched_setscheduler(0, *before)


def _renice_session(value: int) -> int | None:
    """Give the session a niceness; the one it had, or None where sessions are not weighed."""
    before = _session_niceness()
    if before is None:
        return None
    while True:
        try:
            AUTOGROUP.write_text(str(value))
        except BlockingIOError:  # Linux lets only one session do so in 0.1 s
            time.sleep(0.1)
        else:
            return before


def _session_niceness() -> int | None:
    """Linux writes "/autogroup-12 nice 0", and nothing at all for a process that belongs to no session's group."""
    try:
        told = AUTOGROUP.read_text()
    except FileNotFoundError:  # another kernel
        return None
    return int(told.split()[-1]) if told else None
