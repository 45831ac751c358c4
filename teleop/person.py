"""A person as the operator: one device that drives, any number of keys, and the rule who is in control."""

from __future__ import annotations

import math

from teleop.device import HandReading, TeleopDevice
from teleop.events import EventLatch, TeleopEvent
from teleop.pause import PauseSwitch
from teleop.settings import TeleopSettings
from teleop.takeover import VERDICTS, Control, Decision, OperatorView, TakeoverMachine

_CONTROL = frozenset({TeleopEvent.TAKE_OVER, TeleopEvent.RELEASE, TeleopEvent.TOGGLE, TeleopEvent.REST})


class PersonAtDevice:
    """An `Operator` of flesh and blood. All calls from the loop's thread; the device's threads press the latch."""

    def __init__(self, device: TeleopDevice, latch: EventLatch, settings: TeleopSettings) -> None:
        self._device, self._latch, self._settings = device, latch, settings
        self._machine = TakeoverMachine()
        self._pause = PauseSwitch()
        self._may_begin = self._demonstrating = False

    @property
    def paused(self) -> bool:
        """Whether the arm is to hold still until further notice."""
        return self._pause.on

    @property
    def control(self) -> Control:
        """Who is in control."""
        return self._machine.control

    def awaits(self, view: OperatorView, /, *, demonstrating: bool) -> str:
        """What the person must press before an episode may begin; empty when it may."""
        for event in self._latch.take():
            self._pause.heed(event)
            # Who lets go of a button that was held down at the end of an episode begins no other one.
            self._may_begin |= event in (TeleopEvent.TAKE_OVER, TeleopEvent.TOGGLE)
        if self._may_begin and not self._pause.on:
            return ""
        self._machine.end()
        hand = self._device.read(view)
        fresh = hand.age_s <= self._settings.stale_s
        self._device.follow(self._machine.tick((), ready=False, settled=hand.settled, fresh=fresh), view)
        if not fresh:
            return f"{self._device.name}: it does not answer; check its cable, radio or battery"
        if self._pause.on:
            return self._pause.wish
        if demonstrating:
            return f"demonstration: `{TeleopEvent.TAKE_OVER.value}` with the {self._device.name} begins it"
        return ""

    def begin_episode(self, *, demonstrating: bool) -> None:
        """In a demonstration the person drives from the first tick on."""
        self._may_begin, self._demonstrating = False, demonstrating
        self._machine.begin(by_hand=demonstrating)

    def poll(self, view: OperatorView) -> Decision:
        """Heed what was pressed since the last tick, and ask the device for its motion."""
        events = self._latch.take()
        for event in events:
            self._pause.heed(event)
        verdicts = [VERDICTS[event] for event in events if event in VERDICTS]
        hand = self._device.read(view)
        before = self._machine.control
        fresh = hand.age_s <= self._settings.stale_s
        # In a demonstration nobody else drives, so that a hand that rests keeps the arm.
        heeded = _CONTROL - {TeleopEvent.REST} if self._demonstrating else _CONTROL
        asked = [event for event in events if event in heeded]
        control = self._machine.tick(asked, ready=hand.ready, settled=hand.settled, fresh=fresh)
        self._device.follow(control, view)
        return Decision(
            control,
            hand.action if control is Control.HUMAN else None,
            verdicts[0] if verdicts else None,
            "" if fresh else self._lost(before, asked, hand),
            0.0 if fresh else hand.age_s,
        )

    def _lost(self, before: Control, asked: list[TeleopEvent], hand: HandReading) -> str:
        """What to tell of a device that is silent, when somebody wanted it."""
        if not (before.by_hand or asked):
            return ""
        silent = "gone" if math.isinf(hand.age_s) else f"silent for {hand.age_s:.1f} s"
        return (
            f"{self._device.name}: {silent}, expected an answer every {self._settings.stale_s:g} s; the "
            f"policy drives, and the device takes over again once it answers: check its cable, radio or battery"
        )
