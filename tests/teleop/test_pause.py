"""Who may end which pause."""

from __future__ import annotations

import pytest

from teleop.events import TeleopEvent
from teleop.pause import PauseSwitch

KEY, PAUSE, RESUME = TeleopEvent.PAUSE, TeleopEvent.PAUSE_AFAR, TeleopEvent.RESUME_AFAR


@pytest.mark.parametrize(
    ("events", "on"),
    [
        ([], False),
        ([KEY], True),
        ([KEY, KEY], False),
        ([PAUSE], True),
        ([PAUSE, PAUSE], True),  # no toggle
        ([PAUSE, RESUME], False),
        ([RESUME], False),
        ([KEY, RESUME], True),  # a hand may be in the arm's way
        ([PAUSE, KEY, RESUME], True),
        ([KEY, PAUSE, KEY], False),
        ([PAUSE, KEY], True),  # both wanted it to stop, in the same moment
        ([PAUSE, KEY, KEY], False),
        ([TeleopEvent.SUCCESS, TeleopEvent.TAKE_OVER], False),
    ],
)
def test_the_person_at_the_arm_has_the_last_word(events: list[TeleopEvent], on: bool) -> None:
    switch = PauseSwitch()
    for event in events:
        switch.heed(event)
    assert switch.on is on
    assert bool(switch.wish) is on


def test_it_says_what_ends_it() -> None:
    switch = PauseSwitch()
    switch.heed(PAUSE)
    assert "`nudge tell resume` goes on" in switch.wish
    switch.heed(KEY)
    assert switch.wish == "paused: `pause` goes on"
