"""Pads that SDL does not see, through hidapi: the reports as they come, read by the table of `hid_reports`."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, Self

from teleop.errors import TeleopError
from teleop.gamepad.backend import Candidate
from teleop.gamepad.hid_reports import MODELS, PadModel, model_of
from teleop.gamepad.state import PadState

LONGEST = 128  # bytes of a report; the longest of the table has 78
AT_ONCE = 64  # reports of one look: as many as Linux keeps


def import_hidapi() -> ModuleType:
    """hidapi; on Linux over hidraw, since over libusb it has no Bluetooth and takes the pad from the kernel."""
    return importlib.import_module("hidraw" if sys.platform == "linux" else "hid")


class HidBackend:
    """hidapi in this process."""

    name = "hid"

    def __init__(self) -> None:
        self._hidapi = import_hidapi()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is held but the pads, which close by themselves."""

    def candidates(self) -> list[Candidate]:
        """The pads whose reports are known."""
        seen: dict[bytes, Candidate] = {}
        for device in self._hidapi.enumerate():
            model = model_of(device["vendor_id"], device["product_id"])
            # Windows and macOS list each collection of a device; one that is no gamepad or joystick has no sticks.
            if model is not None and device.get("usage_page", 0) in (0, 1) and device.get("usage", 0) in (0, 4, 5):
                seen.setdefault(device["path"], _candidate(model, device))
        return list(seen.values())

    def open(self, candidate: Candidate) -> HidPad:
        """See `Backend`."""
        device = self._hidapi.device()
        try:
            device.open_path(candidate.where)
            device.set_nonblocking(1)
        except (OSError, ValueError) as error:
            raise TeleopError(
                f"gamepad {candidate}: hidapi cannot open {candidate.where!r} ({error}); see that you may read it: a "
                f"udev rule, docs/gamepad.md"
            ) from error
        return HidPad(device, candidate)


class HidPad:
    """A pad whose reports come through hidapi."""

    def __init__(self, device: Any, candidate: Candidate) -> None:
        """device: an open `hid.device` that does not block."""
        self.candidate = candidate
        self.streams = False  # known from the first report on
        self._device = device
        vendor, product = (int(part, 16) for part in candidate.ids[0].split(":"))
        model = model_of(vendor, product)
        if model is None:
            known = ", ".join(it.name for it in MODELS)
            raise TeleopError(f"gamepad {candidate}: its reports are not known, expected one of {known}")
        self._model = model

    def poll(self) -> list[PadState] | None:
        """See `Pad`."""
        states: list[PadState] = []
        for _ in range(AT_ONCE):
            try:
                report = bytes(self._device.read(LONGEST))
            except (OSError, ValueError):  # hidapi's word for a pad that was unplugged or switched off
                return None
            if not report:
                break
            layout = self._model.layout_of(report)
            if layout is not None:
                self.streams = layout.streams
                states.append(layout.state(report))
        return states

    def close(self) -> None:
        """See `Pad`."""
        self._device.close()


def _candidate(model: PadModel, device: dict[str, Any]) -> Candidate:
    identity = f"{device['vendor_id']:04x}:{device['product_id']:04x}"
    serial = str(device["serial_number"] or "")
    path = device["path"].decode(errors="replace")
    name = f"{device['product_string'] or 'no name'}: {model.name}"
    return Candidate("hid", name, tuple(it for it in (identity, serial, path) if it), device["path"])
