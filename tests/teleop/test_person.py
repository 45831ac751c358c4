"""A person at a device: what is pressed, when an episode begins, and what becomes of a device that falls silent."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import pytest

from teleop.device import HandReading
from teleop.events import EventLatch, TeleopEvent
from teleop.person import PersonAtDevice
from teleop.settings import TeleopSettings
from teleop.takeover import Control, OperatorView, Verdict

VIEW = OperatorView(np.zeros(13, np.float32), np.zeros(0, np.float32))
UP = np.array([0, 0, 1, 0], np.float32)
TAKE, RELEASE, PAUSE = TeleopEvent.TAKE_OVER, TeleopEvent.RELEASE, TeleopEvent.PAUSE


class Stick:
    """A device that always asks to go up."""

    name = "stick"

    def __init__(self) -> None:
        self.hand = HandReading(UP)
        self.followed: list[Control] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, _view: OperatorView) -> HandReading:
        return self.hand

    def follow(self, control: Control, _view: OperatorView) -> None:
        self.followed.append(control)


class Desk:
    def __init__(self) -> None:
        self.stopped: list[str] = []
        self.stick, self.latch = Stick(), EventLatch(self.stopped.append)
        self.person = PersonAtDevice(self.stick, self.latch, TeleopSettings(device="gamepad"))

    def press(self, *events: TeleopEvent) -> None:
        for event in events:
            self.latch.press(event, "key")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_hand_moves_the_arm_only_while_it_has_taken_over(desk: Desk) -> None:
    desk.person.begin_episode(demonstrating=False)
    assert desk.person.poll(VIEW).action is None
    desk.press(TAKE)
    taken = desk.person.poll(VIEW)
    assert taken.control is Control.HUMAN
    assert taken.action is UP
    desk.press(RELEASE)
    assert desk.person.poll(VIEW).action is None
    assert desk.stick.followed == [Control.POLICY, Control.HUMAN, Control.RELEASING]


def test_a_word_is_heeded_once_and_the_first_of_a_tick_counts(desk: Desk) -> None:
    desk.person.begin_episode(demonstrating=False)
    desk.press(TeleopEvent.FAILURE, TeleopEvent.SUCCESS)
    assert desk.person.poll(VIEW).verdict is Verdict.FAILURE
    assert desk.person.poll(VIEW).verdict is None


def test_a_demonstration_begins_when_the_hand_takes_over_and_drives_from_the_first_tick(desk: Desk) -> None:
    assert "take over" in desk.person.awaits(VIEW, demonstrating=True)
    desk.press(RELEASE)
    assert desk.person.awaits(VIEW, demonstrating=True)
    desk.press(TAKE)
    assert desk.person.awaits(VIEW, demonstrating=True) == ""
    desk.person.begin_episode(demonstrating=True)
    assert desk.person.poll(VIEW).control is Control.HUMAN
    assert desk.person.awaits(VIEW, demonstrating=True)  # the next one waits again


def test_an_episode_of_the_policy_waits_for_nobody(desk: Desk) -> None:
    assert desk.person.awaits(VIEW, demonstrating=False) == ""


def test_between_episodes_the_device_is_told_that_nobody_drives(desk: Desk) -> None:
    desk.person.begin_episode(demonstrating=True)
    desk.person.poll(VIEW)
    desk.person.awaits(VIEW, demonstrating=True)
    assert desk.stick.followed == [Control.HUMAN, Control.POLICY]


def test_a_pause_lasts_until_it_is_pressed_again(desk: Desk) -> None:
    desk.person.begin_episode(demonstrating=False)
    desk.press(PAUSE)
    desk.person.poll(VIEW)
    assert desk.person.paused
    assert "paused" in desk.person.awaits(VIEW, demonstrating=False)
    desk.press(PAUSE)
    assert desk.person.awaits(VIEW, demonstrating=False) == ""
    assert not desk.person.paused


def test_a_hand_that_rests_gives_the_arm_back_but_not_in_its_own_demonstration(desk: Desk) -> None:
    desk.person.begin_episode(demonstrating=False)
    desk.press(TAKE)
    desk.person.poll(VIEW)
    desk.press(TeleopEvent.REST)
    assert desk.person.poll(VIEW).control is Control.RELEASING
    desk.person.begin_episode(demonstrating=True)
    desk.person.poll(VIEW)
    desk.press(TeleopEvent.REST)
    assert desk.person.poll(VIEW).control is Control.HUMAN


def test_a_device_that_falls_silent_is_named_and_has_the_arm_no_more(desk: Desk) -> None:
    desk.person.begin_episode(demonstrating=False)
    desk.press(TAKE)
    desk.person.poll(VIEW)
    desk.stick.hand = HandReading(UP, age_s=0.4)
    lost = desk.person.poll(VIEW)
    assert (lost.control, lost.action, lost.silent_s) == (Control.RELEASING, None, 0.4)
    assert "stick: silent for 0.4 s" in lost.lost
    assert desk.person.poll(VIEW).lost == ""  # told once
    desk.press(TAKE)
    assert "stick" in desk.person.poll(VIEW).lost  # who takes over all the same hears why it does not


def test_no_episode_begins_with_a_device_that_is_gone(desk: Desk) -> None:
    desk.stick.hand = HandReading(UP, age_s=math.inf)
    assert "does not answer" in desk.person.awaits(VIEW, demonstrating=False)


def test_an_emergency_stop_is_told_at_once_and_by_name(desk: Desk) -> None:
    desk.press(TeleopEvent.EMERGENCY_STOP)
    assert desk.stopped == ["key"]
