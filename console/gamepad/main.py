"""`nudge gamepad`: what a gamepad says and what that would do, live; which pads are there; a mapping for an odd one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from console.presets.load import load_settings, take_preset
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from teleop.events import EventLatch, TeleopEvent
from teleop.gamepad.device import Gamepad, Seen
from teleop.gamepad.search import Search
from teleop.gamepad.settings import GamepadSettings, Push, axis_of
from teleop.takeover import OperatorView

SHOWN_HZ = 10.0  # as often as the control loop asks
SNAPSHOT_S = 0.5  # for how long a pad is watched where nobody can watch the terminal
PRESSES = 5  # as many of the last are shown
NO_ARM = OperatorView(np.zeros(0, np.float32), np.zeros(0, np.float32))  # a pad asks nothing about the arm

Row = tuple[str, str, str]  # control, how it stands, what it means


def main(argv: list[str]) -> int:
    """Show the pad of a preset until Ctrl+C; `--list` all pads, `--map` make a mapping."""
    asked = {option for option in ("--list", "--map") if option in argv}
    preset, _ = take_preset(argv, DEFAULT_PRESET)
    rest = [argument for argument in argv if argument not in asked]
    settings = load_settings(Settings, rest, DEFAULT_PRESET, "nudge gamepad [--list] [--map]")
    console = Console(highlight=False, soft_wrap=True)
    if "--list" in asked:
        return list_pads(console)
    if "--map" in asked:
        from console.gamepad.map import map_pad

        return map_pad(settings.teleop.gamepad, preset, console)
    return show(settings, console)


def list_pads(console: Console) -> int:
    """What SDL and hidapi see; 1 when that is nothing."""
    with Search(GamepadSettings()) as search:
        time.sleep(SNAPSHOT_S)  # SDL notices some after its start
        candidates = search.candidates()
    for candidate in candidates:
        console.print(str(candidate), markup=False)
    if not candidates:
        console.print("no gamepad: SDL and hidapi see none; docs/gamepad.md tells what they need")
    return int(not candidates)


def show(settings: Settings, console: Console) -> int:
    """Show the pad, live in a terminal, elsewhere once as plain lines."""
    presses: deque[str] = deque(maxlen=PRESSES)
    latch = EventLatch(lambda by: presses.append(f"{TeleopEvent.EMERGENCY_STOP.value} ({by})"))
    with Gamepad(settings.teleop.gamepad, settings.contract, latch) as gamepad:
        watch = _watching(gamepad, latch, presses, settings)
        if not console.is_terminal:
            time.sleep(SNAPSHOT_S)
            for control, now, meaning in watch():
                console.print(f"{control:<16} {now:<24} {meaning}".rstrip(), markup=False)
            return 0
        stop = stop_event()
        with Live(_table(watch()), console=console, auto_refresh=False) as live:
            while not stop.wait(1 / SHOWN_HZ):
                live.update(_table(watch()), refresh=True)
    return 0


def _watching(gamepad: Gamepad, latch: EventLatch, presses: deque[str], settings: Settings) -> Callable[[], list[Row]]:
    """A function that tells how it stands now, and what came since it was last called."""
    names = [dimension.name for dimension in settings.contract.action]
    before, before_s = gamepad.seen, time.monotonic()

    def rows() -> list[Row]:
        nonlocal before, before_s
        seen, now_s = gamepad.seen, time.monotonic()
        presses.extend(event.value for event in latch.take())
        polls_hz, reports_hz = (
            max(0, after - earlier) / (now_s - before_s)
            for after, earlier in ((seen.polls, before.polls), (seen.reports, before.reports))
        )
        before, before_s = seen, now_s
        action = gamepad.read(NO_ARM).action
        return [
            ("pad", *_named(seen)),
            ("rate", f"{polls_hz:.0f} Hz", f"{reports_hz:.0f} changes or reports/s"),
            *_controls(seen, settings.teleop.gamepad),
            *(("action", _number(value), name) for name, value in zip(names, action, strict=True)),
            ("pressed", ", ".join(presses), "" if presses else "nothing yet"),
        ]

    return rows


def _named(seen: Seen) -> tuple[str, str]:
    return ("gone", "plug it in again") if seen.pad is None else (seen.pad.name, f"through {seen.pad.backend}")


def _controls(seen: Seen, settings: GamepadSettings) -> list[Row]:
    """Sticks, triggers and buttons, and what they mean by these settings."""
    state = seen.state
    means = {axis_of(push)[0]: f"{name}, {push.replace('_', ' ')} is +" for name, push in _pushes(settings)}
    closes = settings.closing_trigger
    rows = [
        (axis.replace("_", " "), _number(value), means.get(axis, ""))
        for axis, value in (
            ("left_x", state.left_x),
            ("left_y", state.left_y),
            ("right_x", state.right_x),
            ("right_y", state.right_y),
        )
    ]
    rows += [
        (f"{side} trigger", _number(value), f"{'closes' if side == closes else 'opens'} the gripper")
        for side, value in (("left", state.left_trigger), ("right", state.right_trigger))
    ]
    for purpose, buttons in settings.buttons.model_dump().items():
        for button in (buttons,) if isinstance(buttons, str) else buttons:
            held = settings.take_over if purpose == "take_over" else ""
            rows.append((button, "pressed" if button in state.pressed else "-", f"{purpose} {held}".replace("_", " ")))
    return rows


def _pushes(settings: GamepadSettings) -> list[tuple[str, Push]]:
    return [("x", settings.x), ("y", settings.y), ("z", settings.z)]


def _number(value: float, half: int = 8) -> str:
    """A value -1..1, and the same as a bar from its middle."""
    length = round(abs(value) * half)
    left, right = ("█" * length, "") if value < 0 else ("", "█" * length)
    return f"{value + 0.0:+.2f} {left:>{half}}│{right:<{half}}"  # the sum makes 0 of -0


def _table(rows: list[Row]) -> RenderableType:
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(min_width=24)
    table.add_column(style="dim")
    for control, now, meaning in rows:
        table.add_row(control, f"[green]{now}[/]" if now == "pressed" else now.replace("[", r"\["), meaning)
    return table
