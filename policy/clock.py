"""The clock by which it is told how old something is."""

from __future__ import annotations

import time


def since_boot_ns() -> int:
    """Never steps back, whatever becomes of the wall clock; goes on while the machine is suspended, where it can [ns].

    `time.monotonic` stands still then: what is an hour old would pass for new.
    """
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns()
