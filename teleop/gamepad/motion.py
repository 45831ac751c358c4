"""The motion of a hand since it was last asked for, gathered by one thread and taken by another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from teleop.gamepad.shaping import STILL, Action

KEPT = 4096  # stretches; far more than fall into a window, and a bound while nobody asks


@dataclass(frozen=True, slots=True)
class _Stretch:
    """An action that was asked for from one moment to another [s, monotonic]."""

    action: Action
    begun_s: float
    ended_s: float


class Motion:
    """The mean of the action since the last time that it was taken: its integral over that time, as one action.

    A tick moves the target by one action times its scale. With the mean, the tool goes as far as the hand asked for, a
    flick between two ticks included, whenever in the tick it came; the furthest deflection would stretch a flick of
    20 ms to a tick, and overshoot by a tick each time that a stick is let go. The price is half a tick of delay.

    No lock: a deque's `append` and `popleft` are atomic, and the tick waits for nobody.
    """

    def __init__(self, window_s: float) -> None:
        """window_s: what is older counts no more when nobody has asked for so long, between two episodes say."""
        self._window_s = window_s
        self._stretches: deque[_Stretch] = deque(maxlen=KEPT)
        self._latest = STILL

    def add(self, actions: Sequence[Action], begun_s: float, ended_s: float) -> None:
        """Actions that followed each other in a stretch of time; when each began is not known, so it is shared out."""
        share_s = (ended_s - begun_s) / len(actions)
        for index, action in enumerate(actions):
            start_s = begun_s + index * share_s
            self._stretches.append(_Stretch(action, start_s, start_s + share_s))
        self._latest = actions[-1]

    def stop(self) -> None:
        """Nothing is asked for any more; what was gathered before is left to grow old."""
        self._latest = STILL

    def take(self, now_s: float) -> NDArray[np.float32]:
        """The mean action since the last call, (4,) of -1..1; that of now where nothing was added in between."""
        taken = [self._stretches.popleft() for _ in range(len(self._stretches))]
        recent = [it for it in taken if it.ended_s > now_s - self._window_s]
        if not recent:
            return np.array(self._latest, np.float32)
        lengths_s = np.array([it.ended_s - it.begun_s for it in recent])
        weights = lengths_s / lengths_s.sum() if lengths_s.sum() > 0 else np.full(len(recent), 1 / len(recent))
        mean: NDArray[np.float64] = weights @ np.array([it.action for it in recent])  # (n,) @ (n, 4)
        return np.clip(mean, -1.0, 1.0).astype(np.float32)
