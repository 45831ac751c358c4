"""A program that uses the keyboard in a terminal of its own, and writes what comes of it as lines of JSON.

`keyboard_program.py FILE SOURCE`: one line on how it began, one for each tick, until FILE.end exists; what that
file says is the way out: `context` in order, `exit` without leaving the context.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sys
import termios
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from policy.contract import Contract
from policy.fakes import fake_contract
from robot.contract import so101_contract
from teleop.events import EventLatch
from teleop.keyboard.device import Keyboard
from teleop.keyboard.settings import KeyboardSettings
from teleop.takeover import OperatorView

NOWHERE = OperatorView(np.zeros(0, np.float32), np.zeros(0, np.float32))
TICK_S = 0.02


def contract() -> Contract:
    """Of an arm with one small camera."""
    return so101_contract(fake_contract(cameras=1, size_px=8).cameras, (), 10.0)


def _tick(keyboard: Keyboard, latch: EventLatch, stops: list[str]) -> dict[str, Any]:
    hand = keyboard.read(NOWHERE)
    events = [event.value for event in latch.take()] + [f"stop by {by}" for by in stops]
    stops.clear()
    return {"action": hand.action.tolist(), "events": events, "age_s": hand.age_s}


def _run(file: TextIO, settings: KeyboardSettings, end: Path) -> None:
    stops: list[str] = []
    latch = EventLatch(stops.append)
    keyboard = Keyboard(settings, contract(), latch, drives=True)
    with contextlib.ExitStack() as exits:
        exits.enter_context(keyboard)
        print(json.dumps({"source": keyboard.source, "pynput": "pynput" in sys.modules}), file=file)
        while not end.exists():
            time.sleep(TICK_S)
            print(json.dumps(_tick(keyboard, latch, stops)), file=file)
        if end.read_text() == "exit":
            exits.pop_all()  # nobody leaves the context


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # in a window of its own the terminal is its own already
        fcntl.ioctl(sys.stdin.fileno(), termios.TIOCSCTTY, 0)
    with Path(sys.argv[1]).open("w", buffering=1) as out:
        _run(out, KeyboardSettings.model_validate({"source": sys.argv[2]}), Path(sys.argv[1] + ".end"))
