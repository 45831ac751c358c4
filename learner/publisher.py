"""Where the trainer leaves its newest policy and the service finds it: latest wins, nothing is queued."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

from policy.errors import NudgeError


class PublisherError(NudgeError):
    """A snapshot that cannot be published."""


@dataclass(frozen=True, slots=True)
class Published:
    """One snapshot: `sha256` are the 32 bytes over `data`."""

    version: int
    sha256: bytes
    data: bytes


class PolicyPublisher:
    """Holds one snapshot. Safe to use from any thread.

    start_version: the last version that this run has used already; the first snapshot gets the next one
    """

    def __init__(self, start_version: int = 0) -> None:
        if start_version < 0:
            raise PublisherError(f"start_version: got {start_version}, versions count from 0 (none yet)")
        self._changed = threading.Condition()
        self._version = start_version
        self._latest: Published | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """True once nobody should wait any more."""
        with self._changed:
            return self._closed

    def publish(self, snapshot: bytes) -> int:
        """Put a snapshot in the place of the last one; return its version."""
        if not snapshot:
            raise PublisherError("snapshot: got 0 bytes, expected safetensors")
        digest = hashlib.sha256(snapshot).digest()  # outside the lock: megabytes
        with self._changed:
            self._version += 1
            self._latest = Published(self._version, digest, snapshot)
            self._changed.notify_all()
            return self._version

    def latest(self) -> Published | None:
        """The newest snapshot, None before the first."""
        with self._changed:
            return self._latest

    def wait_newer(self, version: int, timeout_s: float) -> Published | None:
        """The newest snapshot as soon as it is above `version`; None after `timeout_s`, or at once when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newer(version) is not None, timeout_s)
            return self._newer(version)

    def close(self) -> None:
        """Wake everyone who waits. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _newer(self, version: int) -> Published | None:
        return self._latest if self._latest is not None and self._latest.version > version else None
