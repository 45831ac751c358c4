"""How the service says no: a status with a reason to the peer, and a line in the log, not one for every attempt."""

from __future__ import annotations

import logging
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import NoReturn

import grpc

from learner.peers import DoorPeers, connection_of

MAX_REASON = 2000  # characters: a status travels in HTTP/2 headers, which gRPC limits to 8 KB
MAX_HEADER_BYTES = 6000
EVERY_S = 60.0
MAX_PEERS = 256

log = logging.getLogger(__name__)


class Refusals:
    """Refuses calls; logs the first one of each peer and status, then one line a minute with their number.

    Bounded: when too many peers are refused within a minute, the further ones share one entry.

    door: who is behind the calls that come through the TLS door; None without one
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, door: DoorPeers | None = None) -> None:
        self._clock = clock
        self._door = door
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # when logged last [s], refusals since then

    def refuse(self, context: grpc.ServicerContext, code: grpc.StatusCode, reason: object) -> NoReturn:
        """End the call with a reason; a long one loses its middle, its end says what to do."""
        text = fitting(str(reason))
        self.note(self.peer_host(context), code, text)
        context.abort(code, text)

    def peer_host(self, context: grpc.ServicerContext) -> str:
        """The peer's address without its port: `192.168.1.7`, `[::1]`."""
        host = None if self._door is None else self._door.host(context)
        if host is not None:
            return host
        family, _, address = connection_of(context).partition(":")
        return address.rpartition(":")[0] if family.startswith("ipv") else address or "unknown peer"

    def note(self, peer: str, code: grpc.StatusCode, text: str) -> None:
        """Log a refusal, unless one of this peer and status was logged within the last minute."""
        now_s = self._clock()
        with self._lock:
            key = (peer, code.name)
            if key not in self._seen and len(self._seen) >= MAX_PEERS:
                self._forget(now_s)
                key = key if len(self._seen) < MAX_PEERS else ("other peers", code.name)
            logged_s, since = self._seen.get(key, (-float("inf"), 0))
            due = now_s - logged_s >= EVERY_S
            self._seen[key] = (now_s, 0) if due else (logged_s, since + 1)
        if due:
            more = f" (and {since} times since the last line)" if since else ""
            log.warning("refused %s (%s)%s: %s", key[0], code.name, more, text)

    def _forget(self, now_s: float) -> None:
        self._seen = {key: seen for key, seen in self._seen.items() if now_s - seen[0] < EVERY_S}


def fitting(text: str) -> str:
    """The text as it fits a status and a log: bounded, and without characters that steer a terminal."""
    text = "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
    if len(text) > MAX_REASON:
        text = f"{text[: MAX_REASON - 400]}\n… {len(text) - MAX_REASON} characters left out …\n{text[-380:]}"
    if len(urllib.parse.quote(text)) > MAX_HEADER_BYTES:  # so gRPC encodes what is not ASCII, and then cuts it off
        text = text.encode("ascii", "replace").decode()
    return text
