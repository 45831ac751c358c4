"""Keys that go down and up, on a real X server: xdotool presses them, windows of xterm have the focus or not."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import keyboard_program
from teleop.events import EventLatch, TeleopEvent
from teleop.keyboard.device import Keyboard
from teleop.keyboard.pynput_source import PynputSource
from teleop.keyboard.settings import KeyboardSettings
from terminals import Window
from waiting import eventually

NEEDED = ("Xvfb", "xterm", "xdotool")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(program) for program in NEEDED),
    reason="needs an X server to press keys on: apt install xvfb xterm xdotool",
)

REPEATING_TICKS = math.ceil(0.9 / keyboard_program.TICK_S)  # X repeats a key from 0.66 s on
STILL = [0.0, 0.0, 0.0, 0.0]


class Desk:
    """An X server with two windows: a program that uses the keyboard, and another one."""

    def __init__(self, display: str, told: Path) -> None:
        self.display, self._environment = display, _environment(display)
        self._told = told
        self._read_lines = 1
        eventually(lambda: len(self._lines()) > 1, "the program ticks")
        self.began = self._lines()[0]
        self.windows = {title: self.xdo("search", "--sync", "--name", f"^{title}$") for title in ("nudge", "other")}

    def xdo(self, *arguments: str) -> str:
        command = ["xdotool", *arguments]
        done = subprocess.run(command, env=self._environment, check=True, capture_output=True, text=True, timeout=30)
        return done.stdout.strip()

    def focus(self, title: str) -> None:
        """Returns when the program must have heard of it."""
        self.xdo("windowfocus", "--sync", self.windows[title])
        time.sleep(0.1)
        self.ticks(2)

    def ticks(self, count: int) -> list[dict[str, Any]]:
        """What came in the ticks since the last call, and in as many more."""
        wanted = len(self._lines()) + count
        eventually(lambda: len(self._lines()) >= wanted, "ticks")
        lines = self._lines()
        since, self._read_lines = lines[self._read_lines :], len(lines)
        return since

    def _lines(self) -> list[dict[str, Any]]:
        text = self._told.read_text() if self._told.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _environment(display: str) -> dict[str, str]:
    foreign = ("SSH_CONNECTION", "WAYLAND_DISPLAY", "XAUTHORITY")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**kept, "DISPLAY": display, "PYTHONPATH": os.pathsep.join(sys.path)}


def _start(exits: ExitStack, command: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, **options)
    exits.callback(process.wait, 10)
    exits.callback(process.terminate)
    return process


def _x_server(exits: ExitStack, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A server, and the name of its display."""
    number_read, number_written = os.pipe()
    command = ["Xvfb", "-displayfd", str(number_written), "-screen", "0", "640x480x8", "-nolisten", "tcp"]
    server = _start(exits, command, log, pass_fds=(number_written,))
    os.close(number_written)
    with os.fdopen(number_read) as number:
        return server, f":{number.readline().strip()}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with ExitStack() as exits:
        _, display = _x_server(exits, folder / "server")
        told = folder / "told"
        program = [sys.executable, keyboard_program.__file__, str(told), "auto"]
        _start(exits, ["xterm", "-T", "nudge", "-e", *program], folder / "nudge", env=_environment(display))
        _start(exits, ["xterm", "-T", "other", "-e", "cat"], folder / "other", env=_environment(display))
        yield Desk(display, told)


@pytest.fixture(autouse=True)
def _focused(desk: Desk) -> None:
    desk.focus("nudge")
    desk.ticks(1)


def events(ticks: list[dict[str, Any]]) -> list[str]:
    return [event for tick in ticks for event in tick["events"]]


def moving(ticks: list[dict[str, Any]]) -> list[list[float]]:
    return [tick["action"] for tick in ticks if tick["action"] != STILL]


def test_auto_takes_pynput_where_a_screen_is_and_says_so(desk: Desk) -> None:
    assert "pynput hears" in desk.began["source"]


def test_a_key_moves_the_arm_as_long_as_it_is_held(desk: Desk) -> None:
    desk.xdo("keydown", "Up")
    desk.ticks(2)
    held = desk.ticks(REPEATING_TICKS)
    desk.xdo("keyup", "Up")
    assert moving(held) == [[0.5, 0.0, 0.0, 0.0]] * len(held)
    eventually(lambda: moving(desk.ticks(1)[-1:]) == [], "the X server tells of the release", within_s=2.0)
    assert moving(desk.ticks(5)) == []


def test_two_keys_held_together_move_two_axes(desk: Desk) -> None:
    desk.xdo("keydown", "Left", "keydown", "s")
    desk.ticks(2)
    held = desk.ticks(5)
    desk.xdo("keyup", "Left", "keyup", "s")
    desk.ticks(2)
    assert moving(held) == [[0.0, 0.5, -0.5, 0.0]] * len(held)


def test_a_tap_shorter_than_a_tick_moves_one_tick(desk: Desk) -> None:
    for _ in range(3):
        desk.xdo("key", "--delay", "0", "d")
        tapped = moving(desk.ticks(4))
        assert 1 <= len(tapped) <= 2  # two when a tick fell into the tap
        assert tapped[0] == [0.0, 0.0, 0.0, 0.5]


def test_a_key_held_for_long_presses_its_event_once(desk: Desk) -> None:
    desk.xdo("keydown", "p")
    held = desk.ticks(REPEATING_TICKS)
    desk.xdo("keyup", "p")
    assert events(held + desk.ticks(2)) == ["pause"]


def test_every_event_key_is_heard_once(desk: Desk) -> None:
    for key, event in {
        "space": "take over or release",
        "Return": "success",
        "BackSpace": "failure",
        "r": "re-record",
        "p": "pause",
        "Escape": "stop by keyboard: esc",
    }.items():
        desk.xdo("key", key)
        assert events(desk.ticks(3)) == [event]


def test_with_shift_the_keys_are_the_same(desk: Desk) -> None:
    desk.xdo("key", "shift+r")
    assert events(desk.ticks(3)) == ["re-record"]


def test_with_ctrl_held_a_key_is_the_desktops_but_esc_stops(desk: Desk) -> None:
    desk.xdo("key", "ctrl+r")
    assert events(desk.ticks(3)) == []
    desk.xdo("key", "ctrl+Escape")
    assert events(desk.ticks(3)) == ["stop by keyboard: esc"]


def test_keys_of_another_window_are_not_heard(desk: Desk) -> None:
    desk.focus("other")
    desk.xdo("key", "r")
    desk.xdo("key", "Escape")
    desk.xdo("keydown", "Up")
    elsewhere = desk.ticks(5)
    desk.xdo("keyup", "Up")
    assert events(elsewhere) == []
    assert moving(elsewhere) == []


def test_losing_the_focus_lets_go_of_a_held_key_and_regaining_it_does_not_take_it_up(desk: Desk) -> None:
    desk.xdo("keydown", "Up")
    desk.ticks(2)
    assert moving(desk.ticks(3))
    desk.focus("other")
    assert moving(desk.ticks(3)) == []
    desk.focus("nudge")
    assert moving(desk.ticks(3)) == []
    desk.xdo("keyup", "Up", "keydown", "Up")
    desk.ticks(2)
    assert moving(desk.ticks(3))
    desk.xdo("keyup", "Up")


def test_the_first_key_counts_once_its_character_has_proved_the_focus(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSH_CONNECTION", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", desk.display)
    latch = EventLatch(print)
    with Window() as window, window.as_file() as file:
        monkeypatch.setattr(sys, "stdin", file)
        with Keyboard(KeyboardSettings(), keyboard_program.contract(), latch, drives=True) as keyboard:
            desk.xdo("keydown", "Up", "key", "space")  # X has given them to some window
            time.sleep(0.2)
            assert moving([{"action": keyboard.read(keyboard_program.NOWHERE).action.tolist()}]) == []
            assert latch.take() == []
            window.type(b" ")  # to ours
            eventually(lambda: latch.take() == [TeleopEvent.TOGGLE], "the first key")
            assert keyboard.read(keyboard_program.NOWHERE).action.tolist() == [0.5, 0.0, 0.0, 0.0]
            desk.xdo("keyup", "Up")


def test_an_x_server_that_goes_is_a_device_that_is_gone_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSH_CONNECTION", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as exits:
        server, display = _x_server(exits, tmp_path / "server")
        monkeypatch.setenv("DISPLAY", display)
        window = exits.enter_context(Window())
        monkeypatch.setattr(sys, "stdin", exits.enter_context(window.as_file()))
        keyboard = Keyboard(KeyboardSettings(), keyboard_program.contract(), EventLatch(print), drives=True)
        exits.enter_context(keyboard)
        assert keyboard.read(keyboard_program.NOWHERE).age_s == 0
        server.terminate()
        eventually(lambda: keyboard.read(keyboard_program.NOWHERE).age_s == math.inf, "gone")
        server.wait(10)
        _start(exits, ["Xvfb", display, "-screen", "0", "640x480x8", "-nolisten", "tcp"], tmp_path / "again")
        eventually(lambda: keyboard.read(keyboard_program.NOWHERE).age_s == 0, "back")


@pytest.mark.parametrize("pause_s", [0.0, 0.001, 0.01])
def test_a_listener_whose_x_server_goes_while_it_is_closed_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    with ExitStack() as exits:
        server, display = _x_server(exits, tmp_path / "server")
        monkeypatch.setenv("DISPLAY", display)
        with PynputSource(lambda _: None, lambda _: None, lambda: None) as source:
            server.kill()
            time.sleep(pause_s)
        eventually(lambda: not source.alive, "its end")
