"""The gamepad through SDL's own mapping and events: its virtual joystick is moved, and the device is asked."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from policy.fakes import fake_contract
from teleop.device import HandReading
from teleop.errors import TeleopError
from teleop.events import EventLatch, TeleopEvent
from teleop.gamepad.device import Gamepad
from teleop.gamepad.sdl import SdlBackend
from teleop.gamepad.settings import GamepadButtons, GamepadSettings
from teleop.gamepad.state import Button
from teleop.takeover import OperatorView
from virtual_pad import VirtualPad
from waiting import SOON_S, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds pygame's SDL by /proc/self/maps")

VIEW = OperatorView(np.zeros(13, np.float32), np.zeros(0, np.float32))
SLOW = fake_contract().model_copy(update={"control_hz": 0.1})  # a busy machine reads in time for its ticks


class Desk:
    """A gamepad in use, and what its buttons told."""

    def __init__(self, **settings: object) -> None:
        self.stops: list[str] = []
        self.latch = EventLatch(self.stops.append)
        made = GamepadSettings.model_validate({"backend": "sdl", "speed": 1.0, "exponent": 1.0} | settings)
        self.gamepad = Gamepad(made, SLOW, self.latch)

    def read(self) -> HandReading:
        return self.gamepad.read(VIEW)

    def acts(self, *expected: float) -> None:
        eventually(lambda: np.allclose(self.read().action, expected, atol=1e-3), f"the action {expected}")

    def tells(self, *expected: TeleopEvent) -> None:
        told: list[TeleopEvent] = []

        def all_told() -> bool:
            told.extend(self.latch.take())
            return len(told) >= len(expected)

        eventually(all_told, f"{expected}")
        assert told == list(expected)


@contextmanager
def desk(**settings: object) -> Iterator[Desk]:
    made = Desk(**settings)
    with made.gamepad:
        yield made


@pytest.fixture
def pad() -> Iterator[VirtualPad]:
    with VirtualPad() as made:
        yield made


def test_sticks_and_triggers_move_the_tool_and_the_gripper(pad: VirtualPad) -> None:
    with desk() as it:
        for axis, value, expected in (
            ("lefty", -1, (1, 0, 0, 0)),  # SDL has forward negative
            ("lefty", 1, (-1, 0, 0, 0)),
            ("leftx", -1, (0, 1, 0, 0)),
            ("leftx", 1, (0, -1, 0, 0)),
            ("righty", -1, (0, 0, 1, 0)),
            ("rightx", 1, (0, 0, 0, 0)),
        ):
            pad.move(axis, value)
            it.acts(*expected)
            pad.move(axis, 0)
            it.acts(0, 0, 0, 0)
        pad.move("righttrigger", 1)
        it.acts(0, 0, 0, -1)
        # Raw 0.07 of -1..1 is 0.535 of 0..1; (0.535 - 0.12) / (0.95 - 0.12) = 0.5
        pad.move("righttrigger", 0.07)
        it.acts(0, 0, 0, -0.5)
        pad.move("righttrigger", -1)
        pad.move("lefttrigger", 1)
        it.acts(0, 0, 0, 1)
        assert it.read().age_s < 20
        assert it.read().ready
        assert it.read().settled


def test_buttons_tell_what_they_mean_once_each(pad: VirtualPad) -> None:
    with desk() as it:
        meant: list[tuple[Button, TeleopEvent]] = [
            ("a", TeleopEvent.SUCCESS),
            ("b", TeleopEvent.FAILURE),
            ("x", TeleopEvent.RERECORD),
            ("start", TeleopEvent.PAUSE),
        ]
        for button, event in meant:
            pad.press(button)
            it.tells(event)
            pad.press(button, down=False)
            pad.press("y")
            eventually(lambda: it.gamepad.seen.state.pressed == {"y"})
            pad.press("y", down=False)
        assert it.latch.take() == []
        pad.press("back")
        eventually(lambda: it.stops == ["gamepad, button back"])
        assert it.latch.take() == []


def test_who_lets_go_of_the_dead_mans_switch_gives_back(pad: VirtualPad) -> None:
    with desk() as it:
        pad.press("rightshoulder")
        it.tells(TeleopEvent.TAKE_OVER)
        pad.press("rightshoulder", down=False)
        it.tells(TeleopEvent.RELEASE)


def test_a_toggle_needs_no_holding(pad: VirtualPad) -> None:
    buttons = GamepadButtons(take_over="leftshoulder", emergency_stop=("back", "guide"))
    with desk(take_over="toggle", buttons=buttons) as it:
        for _ in range(2):
            pad.press("leftshoulder")
            it.tells(TeleopEvent.TOGGLE)
            pad.press("leftshoulder", down=False)
            eventually(lambda: not it.gamepad.seen.state.pressed)
        pad.press("guide")
        eventually(lambda: it.stops == ["gamepad, button guide"])
        assert it.latch.take() == []


def test_a_tap_and_a_flick_between_two_ticks_count(pad: VirtualPad) -> None:
    with desk() as it:
        it.acts(0, 0, 0, 0)
        pad.press("a")
        pad.move("lefty", -1)
        eventually(lambda: it.gamepad.seen.state.left_y == 1 and "a" in it.gamepad.seen.state.pressed)
        pad.press("a", down=False)
        pad.move("lefty", 0)
        eventually(lambda: it.gamepad.seen.state.left_y == 0 and not it.gamepad.seen.state.pressed)
        assert it.latch.take() == [TeleopEvent.SUCCESS]
        x, *others = it.read().action
        assert x > 0
        assert others == [0, 0, 0]
        it.acts(0, 0, 0, 0)


def test_an_unplugged_pad_is_gone_gives_back_and_comes_back(pad: VirtualPad) -> None:
    with desk() as it:
        pad.press("rightshoulder")
        it.tells(TeleopEvent.TAKE_OVER)
        pad.move("lefty", -1)
        it.acts(1, 0, 0, 0)
        pad.unplug()
        eventually(lambda: it.read().age_s == math.inf)
        assert not it.read().action.any()
        it.tells(TeleopEvent.RELEASE)
        assert it.gamepad.seen.pad is None
        pad.plug_in()
        eventually(lambda: it.read().age_s < 20)
        it.acts(0, 0, 0, 0)
        assert it.latch.take() == []
        pad.move("righty", 1)
        it.acts(0, 0, -1, 0)
        pad.press("a")
        it.tells(TeleopEvent.SUCCESS)


def test_what_is_held_down_when_the_pad_is_found_was_not_pressed(pad: VirtualPad) -> None:
    pad.press("rightshoulder")
    with desk() as it:
        eventually(lambda: it.gamepad.seen.state.pressed == {"rightshoulder"})
        pad.press("a")
        it.tells(TeleopEvent.SUCCESS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teleop.gamepad.search.SETTLE_S", 0.0)


@pytest.mark.usefixtures("impatient")
class TestWhichPad:
    def test_without_any_it_is_refused(self) -> None:
        for backend in ("sdl", "auto"):
            with (
                pytest.raises(TeleopError, match=r"got no pad that can be used, expected one; plug it in.* none$"),
                desk(backend=backend),
            ):
                pass

    def test_one_of_several_is_named(self, pad: VirtualPad) -> None:
        with VirtualPad("Other Pad", product=2) as other:
            with pytest.raises(TeleopError, match=r"got 2 pads(.|\n)*Test Pad \(sdl; ff(.|\n)*Other Pad"), desk():
                pass
            with desk(device="other") as it:
                other.press("a")
                pad.press("b")
                it.tells(TeleopEvent.SUCCESS)
                found = it.gamepad.seen.pad
                assert found is not None
                guid = found.ids[0]
            with pytest.raises(TeleopError, match=r"gamepad 'third': got no pad(.|\n)*Other Pad"), desk(device="third"):
                pass
            with desk(device=guid.upper()) as it:
                assert eventually_named(it) == "Other Pad"


def eventually_named(it: Desk) -> str:
    eventually(lambda: it.gamepad.seen.pad is not None)
    return it.gamepad.seen.pad.name if it.gamepad.seen.pad else ""


@pytest.mark.usefixtures("impatient")
class TestMapping:
    # The virtual joystick's own axes in another order, one turned round; a trigger that is half an axis; a hat.
    INPUTS = "leftx:a1,lefty:a0~,righty:a3,rightx:a2,righttrigger:+a4,lefttrigger:b3,rightshoulder:b0,a:h0.2,"

    def test_a_pad_that_sdl_does_not_know_is_refused_with_the_cure(self) -> None:
        with (
            VirtualPad("Odd Pad", known=False),
            pytest.raises(TeleopError, match=r"Odd Pad.*nudge gamepad --map"),
            desk(),
        ):
            pass

    def test_a_mapping_of_the_settings_makes_it_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pad = VirtualPad("Odd Pad", known=False, hats=1)
        with pad, SdlBackend() as sdl:
            (guid,) = sdl.candidates()[0].ids
        monkeypatch.setattr("teleop.gamepad.search.SETTLE_S", SOON_S)
        it = Desk(mapping=f"{guid},Odd Pad,{self.INPUTS}")
        with pad.coming_to(it.gamepad):
            pad.move(0, 1)
            it.acts(1, 0, 0, 0)
            pad.move(0, 0)
            pad.move(1, -1)
            it.acts(0, 1, 0, 0)
            pad.move(1, 0)
            pad.move(4, 1)
            it.acts(0, 0, 0, -1)
            pad.move(4, 0)
            pad.press(3)
            it.acts(0, 0, 0, 1)
            pad.press(0)
            it.tells(TeleopEvent.TAKE_OVER)
            pad.turn_hat(2)
            it.tells(TeleopEvent.SUCCESS)

    def test_a_mapping_of_another_pad_is_refused(self, pad: VirtualPad) -> None:
        with pytest.raises(TeleopError, match=r"is for a pad with the GUID 0{32}"), desk(mapping=f"{'0' * 32},x,a:b0"):
            pass


def test_sdl_leaves_the_process_as_it_was() -> None:
    """No greeting, no warning, no variable left behind, and a SIGTERM still ends it."""
    script = """
import os, signal
before = dict(os.environ)
from teleop.gamepad.sdl import SdlBackend
with SdlBackend("0" * 32 + ",x,a:b0,") as sdl:
    assert sdl.candidates() == []
    assert dict(os.environ) == before
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100):
        sdl.candidates()
print("still here")
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SDL", "PYGAME"))}
    command = [sys.executable, "-W", "always", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == ""
    assert done.stderr == ""
