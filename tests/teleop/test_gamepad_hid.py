"""The gamepad through hidapi: its thread and the reports are real, only hidapi itself is not."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import pytest

from policy.contract import ActionDimension, Contract
from policy.fakes import fake_contract
from teleop.errors import TeleopError
from teleop.events import EventLatch, TeleopEvent
from teleop.gamepad.device import Gamepad
from teleop.gamepad.hid import import_hidapi
from teleop.gamepad.settings import GamepadSettings
from teleop.takeover import OperatorView
from waiting import eventually

VIEW = OperatorView(np.zeros(13, np.float32), np.zeros(0, np.float32))
SLOW = fake_contract().model_copy(update={"control_hz": 0.1})  # a busy machine reads in time for its ticks
AT_REST = bytes.fromhex("80 80 80 80 08 00 04 ff")  # of the F310, which is silent while nothing changes
FORWARD = bytes.fromhex("80 00 80 80 08 00 04 ff")
HELD = bytes.fromhex("80 80 80 80 08 02 04 ff")  # right shoulder
STREAMING = bytes.fromhex("01 80 80 80 80 08 00 00 00 00").ljust(64, b"\x00")  # of the DualShock 4


class Shelf:
    """The pads that hidapi would see, and the reports that wait in each."""

    def __init__(self) -> None:
        self.devices: list[dict[str, Any]] = []
        self.waiting: dict[bytes, deque[bytes]] = {}
        self.forbidden = False

    def put(self, product: int = 0xC216, vendor: int = 0x046D, serial: str = "") -> bytes:
        path = f"/dev/hidraw{len(self.waiting)}".encode()
        self.waiting[path] = deque()
        named = {"path": path, "vendor_id": vendor, "product_id": product, "serial_number": serial}
        self.devices.append(named | {"product_string": "Pad", "usage_page": 1, "usage": 5})
        return path

    def take_away(self, path: bytes) -> None:
        self.devices = [it for it in self.devices if it["path"] != path]
        del self.waiting[path]

    def enumerate(self) -> list[dict[str, Any]]:
        return self.devices

    def device(self) -> Device:
        return Device(self)


class Device:
    """`hid.device`, as far as it is used."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._path = b""

    def open_path(self, path: bytes) -> None:
        if self._shelf.forbidden:
            raise OSError("open failed")
        self._path = path

    def set_nonblocking(self, on: int) -> None:
        assert on == 1

    def read(self, longest: int) -> list[int]:
        waiting = self._shelf.waiting.get(self._path)
        if waiting is None:
            raise OSError("read error")
        return list(waiting.popleft()[:longest]) if waiting else []

    def close(self) -> None:
        self._path = b""


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf()
    monkeypatch.setattr(import_hidapi(), "enumerate", made.enumerate)
    monkeypatch.setattr(import_hidapi(), "device", made.device)
    monkeypatch.setattr("teleop.gamepad.search.SETTLE_S", 0.0)
    return made


def gamepad(latch: EventLatch | None = None, contract: Contract | None = None, **settings: object) -> Gamepad:
    made = GamepadSettings.model_validate({"backend": "hid", "speed": 1.0} | settings)
    return Gamepad(made, contract or SLOW, latch or EventLatch(lambda _: None))


def told_by(latch: EventLatch, count: int) -> list[TeleopEvent]:
    told: list[TeleopEvent] = []

    def enough() -> bool:
        told.extend(latch.take())
        return len(told) >= count

    eventually(enough)
    return told


def test_taps_and_flicks_of_one_look_count(shelf: Shelf) -> None:
    path, latch = shelf.put(), EventLatch(lambda _: None)
    with gamepad(latch) as it:
        eventually(lambda: it.seen.polls > 0)
        shelf.waiting[path].extend([FORWARD, HELD, AT_REST])
        assert told_by(latch, 2) == [TeleopEvent.TAKE_OVER, TeleopEvent.RELEASE]
        x, *others = it.read(VIEW).action
        assert x > 0
        assert others == [0, 0, 0]


def test_a_silent_pad_is_well_unless_it_used_to_stream(shelf: Shelf) -> None:
    quiet = shelf.put()
    with gamepad() as it:
        shelf.waiting[quiet].append(FORWARD)
        eventually(lambda: it.seen.reports == 1)
        polls = it.seen.polls
        eventually(lambda: it.seen.polls > polls + 60)
        eventually(lambda: it.read(VIEW).age_s < 0.2, "as young as the last look")
    shelf.take_away(quiet)
    streaming = shelf.put(0x09CC, 0x054C)
    with gamepad() as it:
        shelf.waiting[streaming].extend([STREAMING] * 3)
        eventually(lambda: it.read(VIEW).age_s > 0.3)

        def heard_again() -> bool:
            shelf.waiting[streaming].append(STREAMING)
            return it.read(VIEW).age_s < 0.3

        eventually(heard_again)


def test_an_unplugged_pad_gives_back_and_comes_back(shelf: Shelf) -> None:
    path, latch = shelf.put(), EventLatch(lambda _: None)
    with gamepad(latch) as it:
        eventually(lambda: it.seen.polls > 0)
        shelf.waiting[path].append(HELD)
        eventually(lambda: it.seen.state.pressed == {"rightshoulder"})
        shelf.take_away(path)
        eventually(lambda: it.read(VIEW).age_s == math.inf)
        assert told_by(latch, 2) == [TeleopEvent.TAKE_OVER, TeleopEvent.RELEASE]
        path = shelf.put()
        eventually(lambda: it.read(VIEW).age_s < 1)
        shelf.waiting[path].append(FORWARD)
        eventually(lambda: it.read(VIEW).action[0] == 1)


def test_auto_takes_what_sdl_does_not_see(shelf: Shelf) -> None:
    path = shelf.put()
    with gamepad(backend="auto") as it:
        eventually(lambda: it.seen.pad is not None)
        assert it.seen.pad is not None
        assert it.seen.pad.backend == "hid"
        shelf.take_away(path)
        eventually(lambda: it.read(VIEW).age_s == math.inf)
        shelf.put()
        eventually(lambda: it.read(VIEW).age_s < 1)


class TestRefusals:
    def test_of_two_pads_the_serial_number_tells(self, shelf: Shelf) -> None:
        shelf.put(0x09CC, 0x054C, serial="1c:96:5a")
        shelf.put(0x09CC, 0x054C, serial="d0:bc:c1")
        with pytest.raises(TeleopError, match=r"got 2 pads(.|\n)*1c:96:5a(.|\n)*d0:bc:c1"), gamepad():
            pass
        with gamepad(device="D0:BC:C1") as it:
            eventually(lambda: it.seen.pad is not None and "d0:bc:c1" in it.seen.pad.ids)

    def test_one_that_may_not_be_read_is_told(self, shelf: Shelf) -> None:
        shelf.put()
        shelf.forbidden = True
        with pytest.raises(TeleopError, match=r"cannot open b'/dev/hidraw0' \(open failed\); .* udev rule"), gamepad():
            pass

    def test_a_device_that_is_no_pad_is_not_one(self, shelf: Shelf) -> None:
        shelf.put(0xC52B)  # a receiver of mice
        shelf.put()
        shelf.devices[-1]["usage"] = 6  # a keyboard's collection
        with pytest.raises(TeleopError, match=r"none$"), gamepad():
            pass

    def test_a_contract_without_four_actions_is_refused(self) -> None:
        short = fake_contract().model_copy(update={"action": (ActionDimension(name="delta.x", unit="m", scale=1),)})
        with pytest.raises(TeleopError, match=r"actions delta\.x, expected four"):
            gamepad(contract=short)
