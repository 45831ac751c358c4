"""Leases: which session may speak for an actor id, and which of its streams is the live one.

A session is a secret: whoever knows it is the actor. Messages show its first 8 digits.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from policy.errors import NudgeError


class LeaseHeld(NudgeError):
    """Another session holds this actor id."""


class TooManyActors(NudgeError):
    """More actor ids than this learner takes."""


class NoLease(NudgeError):
    """A stream of a session that has not said Hello here, or that another one has replaced."""


@dataclass(eq=False, slots=True)
class StreamLease:
    """One live stream. judge: who pays in that actor; `replaced` is set when a newer stream of its session ends it."""

    session: str
    judge: str
    end: Callable[[], None]
    replaced: bool = False


@dataclass(slots=True)
class _Lease:
    session: str
    judge: str
    seen_s: float  # last Hello, or end of the last stream
    stream: StreamLease | None = None


class LeaseTable:
    """One lease per actor id. Safe to use from any thread.

    A session keeps the lease while its stream lives and for `lease_s` after it. It may always come back, also beside a
    stream that seems alive, because nobody has told the learner that its cable was pulled.
    """

    def __init__(self, lease_s: float, max_actors: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_s = lease_s
        self._max_actors = max_actors
        self._clock = clock
        self._lock = threading.Lock()
        self._by_actor: dict[str, _Lease] = {}

    def hello(self, actor_id: str, session: str, judge: str = "") -> None:
        """Give the lease of an actor id to a session; raise `LeaseHeld` while another one has it, `TooManyActors`.

        judge: who pays there, for the streams to come
        """
        with self._lock:
            lease = self._by_actor.get(actor_id)
            if lease is not None and hmac.compare_digest(lease.session, session):
                lease.seen_s, lease.judge = self._clock(), judge
                return
            if lease is not None:
                self._require_free(actor_id, lease)
            if self._of_session(session) is not None:
                raise LeaseHeld(f"session {session[:8]}: it has another actor id than {actor_id!r}; make a new session")
            if lease is None:
                self._make_room(actor_id)
            self._by_actor[actor_id] = _Lease(session, judge, self._clock())

    def open_stream(self, session: str, end: Callable[[], None]) -> StreamLease:
        """Make a stream the live one of its session, ending an older one; raise `NoLease` without a Hello."""
        with self._lock:
            lease = self._of_session(session)
            if lease is None:
                raise _no_lease(session)
            older, lease.stream = lease.stream, StreamLease(session, lease.judge, end)
            opened = lease.stream
        if older is not None:
            older.replaced = True
            older.end()
        return opened

    def actor_of(self, session: str) -> str:
        """The actor id whose lease a session holds; raise `NoLease` when it holds none."""
        with self._lock:
            for actor_id, lease in self._by_actor.items():
                if hmac.compare_digest(lease.session.encode(), session.encode()):
                    return actor_id
        raise _no_lease(session)

    def close_stream(self, stream: StreamLease) -> None:
        """A stream is gone; its lease stays with the session for `lease_s`."""
        with self._lock:
            for lease in self._by_actor.values():
                if lease.stream is stream:
                    lease.stream, lease.seen_s = None, self._clock()

    def _of_session(self, session: str) -> _Lease | None:
        wanted = session.encode()
        found = [each for each in self._by_actor.values() if hmac.compare_digest(each.session.encode(), wanted)]
        return found[0] if found else None

    def _free_in_s(self, lease: _Lease) -> float:
        return lease.seen_s + self._lease_s - self._clock()

    def _require_free(self, actor_id: str, lease: _Lease) -> None:
        remedy = "stop that actor, or give this one another actor_id"
        if lease.stream is not None:
            raise LeaseHeld(
                f"actor id {actor_id!r}: session {lease.session[:8]} is connected with it, and keeps it for "
                f"{self._lease_s:g} s after it leaves; {remedy}"
            )
        if self._free_in_s(lease) > 0:
            raise LeaseHeld(
                f"actor id {actor_id!r}: session {lease.session[:8]} had it a moment ago and may come back; it is free "
                f"for another session in {self._free_in_s(lease):.0f} s: wait, or {remedy}"
            )

    def _make_room(self, actor_id: str) -> None:
        if len(self._by_actor) < self._max_actors:
            return
        kept = {name: each for name, each in self._by_actor.items() if each.stream or self._free_in_s(each) > 0}
        if len(kept) >= self._max_actors:
            raise TooManyActors(
                f"actor id {actor_id!r}: {len(kept)} actors hold a lease here, the most that this learner takes; stop "
                f"one and wait {self._lease_s:g} s, or raise service.max_actors"
            )
        self._by_actor = kept


def _no_lease(session: str) -> NoLease:
    return NoLease(f"session {session[:8]!r}: it holds no lease here; say Hello first, also after a restart")
