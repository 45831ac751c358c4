"""A program with people beside it: what they press counts, and nothing else changes."""

from __future__ import annotations

import pytest

from commanded import VIEW, Idle
from teleop.attended import AttendedProgram
from teleop.events import EventLatch, TeleopEvent
from teleop.takeover import Control, Verdict


@pytest.fixture
def latch() -> EventLatch:
    return EventLatch(pytest.fail)


def test_the_program_decides_until_somebody_ends_the_episode(latch: EventLatch) -> None:
    attended = AttendedProgram(Idle(), latch)
    attended.begin_episode(demonstrating=False)
    assert attended.poll(VIEW).verdict is None
    latch.press(TeleopEvent.RERECORD, "a key")
    latch.press(TeleopEvent.SUCCESS, "a key")
    decision = attended.poll(VIEW)
    assert (decision.control, decision.verdict) == (Control.POLICY, Verdict.RERECORD)
    assert attended.poll(VIEW).verdict is None


def test_a_verdict_from_before_an_episode_counts_no_more(latch: EventLatch) -> None:
    attended = AttendedProgram(Idle(), latch)
    latch.press(TeleopEvent.SUCCESS, "a key")
    assert attended.awaits(VIEW, demonstrating=False) == ""
    attended.begin_episode(demonstrating=False)
    assert attended.poll(VIEW).verdict is None


def test_it_is_paused_between_two_episodes_until_the_key_is_pressed_again(latch: EventLatch) -> None:
    attended = AttendedProgram(Idle(), latch)
    attended.begin_episode(demonstrating=False)
    latch.press(TeleopEvent.PAUSE, "a key")
    attended.poll(VIEW)
    assert attended.paused
    assert attended.awaits(VIEW, demonstrating=False) == "paused: `pause` goes on"
    latch.press(TeleopEvent.PAUSE, "a key")
    assert attended.awaits(VIEW, demonstrating=False) == ""
    assert not attended.paused
