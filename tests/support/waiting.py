"""Waiting for what a test needs, and a clock that passes only when told to."""

from __future__ import annotations

import time
from collections.abc import Callable

SOON_S = 20.0  # far more than most things take, on a busy machine too
LOOK_EVERY_S = 0.01


def eventually(
    holds: Callable[[], bool], what: str = "it", within_s: float = SOON_S, look_every_s: float = LOOK_EVERY_S
) -> None:
    """Wait until something holds; fails when it does not."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"{what}: did not happen within {within_s} s"
        time.sleep(look_every_s)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class NsClock:
    """Nanoseconds that pass only when told to."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_ns = round(now_s * 1e9)

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)
