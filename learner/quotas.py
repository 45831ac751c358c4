"""Counts and rates by peer, in tables that do not grow with the number of peers."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

MAX_PEERS = 1024


class PlaceQuota:
    """Places that calls take while they are open: so many in all, so many for one peer."""

    def __init__(self, places: int, per_peer: int) -> None:
        self.places, self.per_peer = places, per_peer
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()  # a peer without a place is not in it

    def take(self, peer: str) -> bool:
        """Take a place; False when there is none for this peer."""
        with self._lock:
            if self._taken.total() >= self.places or self._taken[peer] >= self.per_peer:
                self._taken += Counter()  # drops what was asked for and is zero
                return False
            self._taken[peer] += 1
            return True

    def give_back(self, peer: str) -> None:
        """End what `take` began."""
        with self._lock:
            self._taken[peer] -= 1
            if self._taken[peer] == 0:
                del self._taken[peer]


class RateQuota:
    """So many events in a time for each peer, and as many at once (a token bucket).

    Bounded: when many peers come, the one that has been silent longest is forgotten, and begins anew.
    """

    def __init__(self, events: float, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._rate = max(1.0, events), events / per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # events left, when [s]

    def take(self, peer: str) -> float:
        """0 when this event is within the rate; else how long to wait for the next one [s]."""
        now_s = self._clock()
        with self._lock:
            left, when_s = self._left.pop(peer, (self._burst, now_s))
            left = min(self._burst, left + (now_s - when_s) * self._rate)
            allowed = left >= 1.0
            self._left[peer] = (left - 1.0 if allowed else left, now_s)
            if len(self._left) > MAX_PEERS:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._rate
