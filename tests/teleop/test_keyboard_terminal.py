"""The keyboard through the terminal's own characters, on a pseudo-terminal; and the terminal as it was, afterwards."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

import keyboard_program
from keyboard_program import NOWHERE, contract
from teleop.errors import TeleopError
from teleop.events import EventLatch, TeleopEvent
from teleop.keyboard.device import Keyboard
from teleop.keyboard.focus import FocusedTerminal
from teleop.keyboard.settings import KeyboardSettings
from terminals import KNOWS_NO_FOCUS, Window
from waiting import eventually

HOLD_S = 0.3


class Typist:
    """A keyboard in the window of a terminal, which a test types into."""

    def __init__(self, window: Window, *, drives: bool = True) -> None:
        self.stops: list[str] = []
        self.latch = EventLatch(self.stops.append)
        settings = KeyboardSettings(source="terminal", hold_s=HOLD_S)
        self.keyboard = Keyboard(settings, contract(), self.latch, drives=drives)
        self.type = window.type

    @property
    def action(self) -> list[float]:
        return [float(value) for value in self.keyboard.read(NOWHERE).action]

    def events_after(self, data: bytes) -> list[TeleopEvent]:
        """All events up to that of a pause typed after the data, which is left out."""
        self.type(data + b"p")
        events: list[TeleopEvent] = []
        eventually(lambda: TeleopEvent.PAUSE in self._collect(events), "the pause")
        return events[:-1]

    def _collect(self, events: list[TeleopEvent]) -> list[TeleopEvent]:
        events += self.latch.take()
        return events


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    with Window() as window, window.as_file() as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield window


@pytest.fixture
def typist(window: Window) -> Iterator[Typist]:
    typist = Typist(window)
    with typist.keyboard:
        yield typist


def test_a_character_moves_the_arm_for_its_time_and_no_longer(typist: Typist) -> None:
    assert typist.action == [0, 0, 0, 0]
    typist.type(b"\x1b[A")
    eventually(lambda: typist.action == [0.5, 0, 0, 0], "forward")
    eventually(lambda: typist.action == [0, 0, 0, 0], "still again")


def test_two_axes_move_together_and_opposite_keys_not_at_all(typist: Typist) -> None:
    typist.type(b"\x1b[Bd")
    eventually(lambda: typist.action == [-0.5, 0, 0, 0.5], "back and open")
    typist.type(b"\x1b[A\x1b[Bd")
    eventually(lambda: typist.action == [0, 0, 0, 0.5], "open alone")


def test_each_key_presses_its_event_once_in_the_order_of_the_keys(typist: Typist) -> None:
    assert typist.events_after(b" \r\x7fr") == [
        *(TeleopEvent.TOGGLE, TeleopEvent.SUCCESS, TeleopEvent.FAILURE, TeleopEvent.RERECORD)
    ]


def test_a_key_that_repeats_has_been_pressed_once(typist: Typist) -> None:
    assert typist.events_after(b"rrrrrrrr") == [TeleopEvent.RERECORD]


def test_esc_stops_at_once_and_an_arrow_that_begins_like_it_does_not(typist: Typist) -> None:
    assert typist.events_after(b"\x1b[A\x1b[D") == []
    assert typist.stops == []
    typist.type(b"\x1b")
    eventually(lambda: typist.stops == ["keyboard: esc"], "the stop")
    typist.type(b"\x1b")
    eventually(lambda: len(typist.stops) == 2, "a second stop")  # never taken for a repeat


def test_losing_the_focus_lets_go_of_what_is_held(typist: Typist) -> None:
    typist.type(b"w")
    eventually(lambda: typist.action == [0, 0, 0.5, 0], "up")
    typist.type(b"w\x1b[O ")  # what a window types without the focus would be a paste
    assert typist.events_after(b"") == [TeleopEvent.TOGGLE]
    assert typist.action == [0, 0, 0, 0]


def test_beside_another_device_only_events_count(window: Window) -> None:
    typist = Typist(window, drives=False)
    with typist.keyboard:
        assert typist.events_after(b"\x1b[Awr") == [TeleopEvent.RERECORD]
        assert typist.action == [0, 0, 0, 0]


def test_a_window_that_closes_is_a_device_that_is_gone(window: Window, typist: Typist) -> None:
    assert typist.keyboard.read(NOWHERE).age_s == 0
    window.hang_up()
    eventually(lambda: typist.keyboard.read(NOWHERE).age_s == math.inf, "gone")


def test_what_was_typed_before_the_start_is_never_heard(window: Window) -> None:
    window.type(b"rr")
    eventually(lambda: window.shown == b"rr", "the echo")  # the terminal has them
    typed: list[str] = []
    with FocusedTerminal(lambda focused: None, typed.append):
        window.type(b"p")
        eventually(lambda: "p" in typed, "the first key")
    assert typed == ["p"]


def test_inside_nothing_echoes_and_only_ctrl_c_is_special_and_outside_all_is_as_before(window: Window) -> None:
    before = window.mode
    with Typist(window).keyboard:
        input_flags, _, _, local_flags, _, _, characters = window.mode
        assert not local_flags & (termios.ECHO | termios.ICANON)
        assert local_flags & termios.ISIG
        assert not input_flags & termios.IXON
        assert characters[termios.VINTR] == b"\x03"
        assert characters[termios.VSUSP] == b"\0"
    assert window.mode == before
    eventually(lambda: window.shown.endswith(b"\x1b[?1004l"), "no more reports")
    assert b"\x1b[?1004h" in window.shown


@pytest.mark.parametrize("way_out", ["exit", "ctrl+c"])
def test_a_program_leaves_its_terminal_as_it_found_it(way_out: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with Window() as window:
        before = window.mode
        with window.as_file() as file:
            program = subprocess.Popen(
                [sys.executable, keyboard_program.__file__, str(told), "terminal"],
                stdin=file,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        eventually(lambda: told.exists() and told.read_text().count("\n") > 1, "ticks")
        assert window.mode != before
        assert not json.loads(told.read_text().splitlines()[0])["pynput"]
        if way_out == "ctrl+c":
            window.type(b"\x03")
        else:
            (tmp_path / "told.end").write_text(way_out)
        _, errors = program.communicate(timeout=30)
        assert program.returncode == (-signal.SIGINT if way_out == "ctrl+c" else 0), errors
        assert window.mode == before
        eventually(lambda: window.shown.endswith(b"\x1b[?1004l"), "no more reports")


def test_without_a_terminal_the_refusal_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(TeleopError, match=r"no terminal.*teleop\.keys false"):
            Keyboard(KeyboardSettings(), contract(), EventLatch(print), drives=True).__enter__()


def test_pynput_is_refused_where_the_terminal_does_not_tell_its_focus(monkeypatch: pytest.MonkeyPatch) -> None:
    with Window(KNOWS_NO_FOCUS) as window, window.as_file() as file:
        monkeypatch.setattr(sys, "stdin", file)
        before = window.mode
        settings = KeyboardSettings(source="pynput")
        with pytest.raises(TeleopError, match=r"does not report its focus.*all other windows"):
            Keyboard(settings, contract(), EventLatch(print), drives=True).__enter__()
        assert window.mode == before


def test_auto_takes_the_characters_where_the_terminal_does_not_tell_its_focus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    for name in ("SSH_CONNECTION", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with Window(KNOWS_NO_FOCUS) as window, window.as_file() as file:
        monkeypatch.setattr(sys, "stdin", file)
        with Keyboard(KeyboardSettings(), contract(), EventLatch(print), drives=True) as keyboard:
            assert "(this terminal does not report its focus)" in keyboard.source


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "no X display"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "at the other end"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "Wayland"),
        ({"DISPLAY": ":0"}, "pynput cannot listen here"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no X display to look for")
def test_auto_says_why_the_characters_count(
    environment: dict[str, str], reason: str, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "SSH_CONNECTION", "WAYLAND_DISPLAY", "WINDOWID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({**environment, "DISPLAY": ":4711"} if "DISPLAY" in environment else environment).items():
        monkeypatch.setenv(name, value)
    keyboard = Keyboard(KeyboardSettings(), contract(), EventLatch(print), drives=True)
    with keyboard:
        assert "characters typed into this terminal" in keyboard.source
        assert reason in keyboard.source
        window.type(b"w")
        eventually(lambda: bool(keyboard.read(NOWHERE).action.any()), "a move")
