"""Leases: which session may speak for an actor id, and which of its streams is the live one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from policy.errors import NudgeError


class LeaseHeld(NudgeError):
    """Another session with a live stream holds this actor id."""


class NoLease(NudgeError):
    """A stream of a session that has not said Hello here, or that another one has replaced."""


@dataclass(eq=False, slots=True)
class StreamLease:
    """One live stream. `replaced` is set when a newer stream of its session ends it."""

    session: str
    end: Callable[[], None]
    replaced: bool = False


@dataclass(slots=True)
class _Lease:
    session: str
    stream: StreamLease | None = None


class LeaseTable:
    """One lease per actor id. Safe to use from any thread.

    A session keeps the lease while its stream lives. When that is gone (the process died, the cable was pulled and
    keepalive noticed), the next Hello takes the lease over, so a restarted actor never waits for its former self.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_actor: dict[str, _Lease] = {}

    def hello(self, actor_id: str, session: str) -> None:
        """Give the lease of an actor id to a session; raise `LeaseHeld` while another one's stream lives."""
        with self._lock:
            lease = self._by_actor.get(actor_id)
            if lease is not None and lease.session == session:
                return
            if lease is not None and lease.stream is not None:
                raise LeaseHeld(
                    f"actor id {actor_id!r}: session {lease.session[:8]} is connected with it, and {session[:8]} asks "
                    f"for it; stop the other actor, or give this one another actor_id"
                )
            if any(other.session == session for other in self._by_actor.values()):
                raise LeaseHeld(f"session {session[:8]}: it has another actor id than {actor_id!r}; make a new session")
            self._by_actor[actor_id] = _Lease(session)

    def open_stream(self, session: str, end: Callable[[], None]) -> StreamLease:
        """Make a stream the live one of its session, ending an older one; raise `NoLease` without a Hello."""
        with self._lock:
            lease = next((each for each in self._by_actor.values() if each.session == session), None)
            if lease is None:
                raise NoLease(f"session {session[:8]!r}: it holds no lease here; say Hello first, also after a restart")
            older, lease.stream = lease.stream, StreamLease(session, end)
            opened = lease.stream
        if older is not None:
            older.replaced = True
            older.end()
        return opened

    def close_stream(self, stream: StreamLease) -> None:
        """A stream is gone; its lease stays with the session until another one asks."""
        with self._lock:
            for lease in self._by_actor.values():
                if lease.stream is stream:
                    lease.stream = None
