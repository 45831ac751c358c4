"""The newest policy that has come, prepared outside the control loop, until the loop takes it between two ticks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class PolicyInbox:
    """Holds one policy: a newer one takes the place of one that nobody has taken. Safe to use from any thread.

    arrived: version of the one that came last, and when it did (time.monotonic); None before the first
    """

    def __init__(self) -> None:
        self.arrived: tuple[int, float] | None = None
        self._lock = threading.Lock()
        self._prepare: Callable[[bytes], None] | None = None
        self._newest: tuple[int, bytes] | None = None
        self._known_version = 0

    def prepare_with(self, prepare: Callable[[bytes], None]) -> None:
        """Have every policy that comes from now on prepared before it is handed out."""
        with self._lock:
            self._prepare = prepare

    def put(self, version: int, data: bytes) -> None:
        """Take in a policy; raise what its preparation raises, and keep the one before it then."""
        with self._lock:
            prepare = self._prepare
        if prepare is not None:
            prepare(data)
        with self._lock:
            self._newest, self._known_version = (version, data), version
            self.arrived = version, time.monotonic()

    def take(self) -> tuple[int, bytes] | None:
        """Version and bytes of the newest policy, once for each."""
        with self._lock:
            newest, self._newest = self._newest, None
            return newest

    def known_version(self, offered: int) -> int:
        """The version that we know, for a learner that offers `offered`: none of its own, if it went back."""
        with self._lock:
            if offered < self._known_version:
                log.info("the learner went back from policy %d to %d", self._known_version, offered)
                self._known_version = 0
            return self._known_version
