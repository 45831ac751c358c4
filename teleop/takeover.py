"""Who is in control: the rule by which an operator takes over from the policy, and what any operator is to the loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policy.experience import Source, is_resting
from teleop.events import TeleopEvent


class Control(Enum):
    """Who drives the arm at a tick."""

    POLICY = "policy"
    ALIGNING = "aligning"  # a hand has been laid on a device that does not follow it yet: the arm holds still
    HUMAN = "human"
    RELEASING = "releasing"  # the policy drives again, the device is on its way back to where it mirrors the arm

    @property
    def by_hand(self) -> bool:
        """Whether the policy's hands are off."""
        return self in (Control.ALIGNING, Control.HUMAN)


class Verdict(Enum):
    """How the operator ends an episode."""

    SUCCESS = "success"
    FAILURE = "failure"
    RERECORD = "re-record"  # nothing is learned from it, and a demonstration is made anew


# By the event that says so.
VERDICTS = {
    TeleopEvent.SUCCESS: Verdict.SUCCESS,
    TeleopEvent.FAILURE: Verdict.FAILURE,
    TeleopEvent.RERECORD: Verdict.RERECORD,
}
_SOURCES = {
    Control.POLICY: Source.POLICY,
    Control.ALIGNING: Source.HOLD,
    Control.HUMAN: Source.HUMAN,
    Control.RELEASING: Source.POLICY,
}


@dataclass(frozen=True, slots=True)
class OperatorView:
    """What an operator sees at a tick. A person sees the desk; a scripted one needs the simulator's truth.

    proprioception: float32 (P,) in the contract's order and units
    sim_only: float32 (S,), empty on a real arm
    """

    proprioception: NDArray[np.float32]
    sim_only: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator decided at a tick.

    action: (A,) of -1..1, there if and only if `control` is `HUMAN`
    verdict: ends the episode with this tick's step
    lost: why a takeover ended that nobody ended; empty when none did
    silent_s: for how long the device has been silent; 0 while it is heard
    """

    control: Control
    action: NDArray[np.float32] | None = None
    verdict: Verdict | None = None
    lost: str = ""
    silent_s: float = 0.0

    def source(self, *, demonstrating: bool) -> Source:
        """Whose action the step of this tick holds."""
        if demonstrating:
            return Source.DEMO  # holding still is the operator's choice too
        if self.action is not None and is_resting(self.action):
            return Source.HOLD  # a hand that rests on the device does not teach the policy to stand still
        return _SOURCES[self.control]


class Operator(Protocol):
    """Someone who may take the arm over for a while. None of the calls waits."""

    def begin_episode(self, *, demonstrating: bool) -> None:
        """A new episode starts; when demonstrating, the operator drives all of it."""
        ...

    def poll(self, view: OperatorView) -> Decision:
        """Who drives at this tick, and how."""
        ...

    def awaits(self, view: OperatorView, /, *, demonstrating: bool) -> str:
        """Asked again and again before an episode: what a person must do first; empty when it may begin."""
        ...

    @property
    def paused(self) -> bool:
        """Whether the operator wants the arm to hold still until further notice."""
        ...


class TakeoverMachine:
    """policy -> aligning -> human -> releasing -> policy. One `tick` a control period; presses in between count.

    A press is heeded in the order in which it came, and none is lost: a takeover that is released within the same tick
    still has that tick.
    """

    def __init__(self) -> None:
        self.control = Control.POLICY
        self._pending: deque[TeleopEvent] = deque()

    def begin(self, *, by_hand: bool) -> None:
        """A new episode: what was pressed before it counts no more."""
        self._pending.clear()
        self.control = Control.ALIGNING if by_hand else Control.POLICY

    def end(self) -> None:
        """An episode is over: nobody drives until the next one."""
        self._pending.clear()
        if self.control.by_hand:
            self.control = Control.RELEASING

    def tick(self, events: Iterable[TeleopEvent], *, ready: bool, settled: bool, fresh: bool) -> Control:
        """Who is in control from now to the next tick.

        events: `TAKE_OVER`, `RELEASE`, `REST` and `TOGGLE` since the last tick
        ready, settled: see `teleop.device.HandReading`
        fresh: whether the device has been heard lately; one that has not takes nothing over, and loses what it had
        """
        self._pending.extend(events)
        if not fresh:
            self._pending.clear()  # who presses the keys of a dead device presses them again once it lives
            if self.control.by_hand:
                self.control = Control.RELEASING
            return self.control
        if self.control is Control.RELEASING and settled:
            self.control = Control.POLICY
        self._heed()
        if self.control is Control.ALIGNING and ready:
            self.control = Control.HUMAN
        return self.control

    def _heed(self) -> None:
        taken = False
        while self._pending:
            wants_hand = self._wants_hand(self._pending[0])
            if taken and not wants_hand:
                return  # the takeover of this tick has its tick first
            self._pending.popleft()
            if wants_hand and not self.control.by_hand:
                self.control, taken = Control.ALIGNING, True
            elif not wants_hand and self.control.by_hand:
                self.control = Control.RELEASING

    def _wants_hand(self, event: TeleopEvent) -> bool:
        if event is TeleopEvent.TOGGLE:
            return not self.control.by_hand
        return event is TeleopEvent.TAKE_OVER
