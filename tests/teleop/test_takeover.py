"""Who is in control: a state machine against a model of it, and the cases that a person would ask about."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from policy.experience import Source
from teleop.events import TeleopEvent
from teleop.takeover import Control, Decision, TakeoverMachine

TAKE, RELEASE, TOGGLE = TeleopEvent.TAKE_OVER, TeleopEvent.RELEASE, TeleopEvent.TOGGLE
PRESSES = st.lists(st.sampled_from((TAKE, RELEASE, TOGGLE)), max_size=4)


def tick(
    machine: TakeoverMachine, *events: TeleopEvent, ready: bool = True, settled: bool = True, fresh: bool = True
) -> Control:
    return machine.tick(events, ready=ready, settled=settled, fresh=fresh)


class AgainstAModel(RuleBasedStateMachine):
    """The model knows only whose hand the presses ask for, in their order, and what a device allows."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = TakeoverMachine()
        self.wanted: list[bool | None] = []  # what each press that waits asks for; None: the other
        self.hand = False
        self.before = self.machine.control
        self.taken = self.asked = 0

    @rule(events=PRESSES, ready=st.booleans(), settled=st.booleans())
    def a_tick_with_a_device_that_answers(self, events: list[TeleopEvent], ready: bool, settled: bool) -> None:
        queue = [*self.wanted, *(event is TAKE if event is not TOGGLE else None for event in events)]
        grabbed = False
        while queue:
            wish = (not self.hand) if queue[0] is None else queue[0]
            if grabbed and not wish:
                break
            queue.pop(0)
            grabbed |= wish and not self.hand
            self.hand = wish
        self.wanted = queue
        self.before, control = self.machine.control, tick(self.machine, *events, ready=ready, settled=settled)
        assert control.by_hand == self.hand
        if control is Control.HUMAN:
            assert ready or self.before is Control.HUMAN  # never on a device that does not follow the hand
        if control is Control.POLICY:
            assert self.before is Control.POLICY or (self.before is Control.RELEASING and settled)

    @rule(events=PRESSES)
    def a_tick_with_a_silent_device(self, events: list[TeleopEvent]) -> None:
        control = tick(self.machine, *events, fresh=False)
        assert not control.by_hand
        self.hand, self.wanted = False, []

    @rule(by_hand=st.booleans())
    def an_episode_begins(self, by_hand: bool) -> None:
        self.machine.begin(by_hand=by_hand)
        self.hand, self.wanted = by_hand, []

    @rule()
    def an_episode_ends(self) -> None:
        self.machine.end()
        self.hand, self.wanted = False, []

    @invariant()
    def exactly_one_source_drives(self) -> None:
        control = self.machine.control
        drives = Decision(control).source(demonstrating=False)
        assert (drives is Source.HUMAN) == (control is Control.HUMAN)
        assert (drives is Source.POLICY) == (not control.by_hand)


TestAgainstAModel = AgainstAModel.TestCase


def test_a_ready_device_takes_over_within_the_tick_and_gives_back_in_the_next() -> None:
    machine = TakeoverMachine()
    assert tick(machine, TAKE) is Control.HUMAN
    assert tick(machine) is Control.HUMAN
    assert tick(machine, RELEASE) is Control.RELEASING
    assert tick(machine, settled=False) is Control.RELEASING
    assert tick(machine) is Control.POLICY


def test_a_device_that_does_not_follow_yet_keeps_the_arm_still_until_it_does() -> None:
    machine = TakeoverMachine()
    assert tick(machine, TAKE, ready=False) is Control.ALIGNING
    assert tick(machine, ready=False) is Control.ALIGNING
    assert tick(machine) is Control.HUMAN


def test_a_tap_shorter_than_a_tick_still_has_its_tick() -> None:
    machine = TakeoverMachine()
    assert tick(machine, TAKE, RELEASE) is Control.HUMAN
    assert tick(machine) is Control.RELEASING


def test_who_grabs_again_while_it_returns_has_the_arm_at_once() -> None:
    machine = TakeoverMachine()
    tick(machine, TAKE)
    tick(machine, RELEASE, settled=False)
    assert tick(machine, TAKE, settled=False) is Control.HUMAN


def test_a_silent_device_gives_the_arm_back_and_takes_it_no_more() -> None:
    machine = TakeoverMachine()
    tick(machine, TAKE)
    assert tick(machine, fresh=False) is Control.RELEASING
    assert tick(machine, TAKE, fresh=False) is Control.RELEASING
    assert tick(machine) is Control.POLICY  # what was pressed on a dead device does not come to life with it


def test_what_was_pressed_before_an_episode_does_not_count_in_it() -> None:
    machine = TakeoverMachine()
    tick(machine, TAKE, RELEASE)
    machine.begin(by_hand=True)
    assert tick(machine) is Control.HUMAN


def test_each_state_says_whose_action_is_stored() -> None:
    told = {control: Decision(control).source(demonstrating=False) for control in Control}
    assert told == {
        Control.POLICY: Source.POLICY,
        Control.ALIGNING: Source.HOLD,
        Control.HUMAN: Source.HUMAN,
        Control.RELEASING: Source.POLICY,
    }
    assert {Decision(control).source(demonstrating=True) for control in Control} == {Source.DEMO}


def test_a_hand_that_rests_does_not_teach_the_policy_to_stand_still() -> None:
    still, slow = np.full(4, 1e-6, np.float32), np.array([0, 0, 0, 0.01], np.float32)
    rests, moves = Decision(Control.HUMAN, still), Decision(Control.HUMAN, slow)
    assert (rests.source(demonstrating=False), moves.source(demonstrating=False)) == (Source.HOLD, Source.HUMAN)
    assert rests.source(demonstrating=True) is Source.DEMO
