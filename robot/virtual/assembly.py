"""How the two arms were put together: servos on their horns, and what they keep between two starts."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.virtual import registers as reg
from robot.virtual.bus import ServoBus
from robot.virtual.errors import VirtualArmError
from robot.virtual.servo import TICKS_PER_RAD, Servo

# What the bare encoders read at joint angle 0. No two arms agree, and on some joints the encoder wraps within the
# range: that is what homing is for.
MOUNTING_TICKS = {
    "follower": (2031, 1560, 3702, 2210, 95, 2614),
    "leader": (1822, 2466, 640, 3999, 2005, 1311),
}
HALF_TURN_TICKS = 2047  # where LeRobot's homing puts the middle of a joint's range
FULL_TURN_JOINT = "wrist_roll"  # LeRobot does not look for its range


def assemble(arm: str, generator: random.Random) -> ServoBus:
    """The six servos of an arm on their bus, as they leave the factory, ids set."""
    servos = [Servo(index + 1, ticks) for index, ticks in enumerate(MOUNTING_TICKS[arm])]
    return ServoBus(servos, generator)


def calibrate(bus: ServoBus, stops_rad: NDArray[np.float64]) -> dict[str, dict[str, int]]:
    """Write into the servos what LeRobot's procedure would find, and return what it would write into its file.

    stops_rad: (6, 2) mechanical stops of the joints
    """
    calibration = {}
    for name, servo, (low_rad, high_rad) in zip(JOINT_NAMES, bus.servos, stops_rad, strict=True):
        middle_rad = (low_rad + high_rad) / 2
        middle_ticks = round(servo.mounting_ticks + middle_rad * TICKS_PER_RAD)
        offset = middle_ticks % reg.TICKS - HALF_TURN_TICKS
        # Where a joint stands at an angle once it is homed.
        low, high = (
            round(servo.mounting_ticks + angle * TICKS_PER_RAD) - middle_ticks + HALF_TURN_TICKS
            for angle in (low_rad, high_rad)
        )
        if name == FULL_TURN_JOINT:
            low, high = 0, reg.TICKS - 1
        servo.memory.keep(reg.HOMING_OFFSET, offset)
        servo.memory.keep(reg.MIN_POSITION_LIMIT, low)
        servo.memory.keep(reg.MAX_POSITION_LIMIT, high)
        calibration[name] = {
            "id": servo.id,
            "drive_mode": 0,
            "homing_offset": offset,
            "range_min": low,
            "range_max": high,
        }
    return calibration


class Keepsakes:
    """A file with what the servos keep without power."""

    def __init__(self, path: Path, buses: Mapping[str, ServoBus]) -> None:
        self._path = path
        self._buses = buses
        self._saved = ""

    def restore(self) -> bool:
        """Give the servos what they kept; false where they are new. Raises `VirtualArmError` for another file."""
        if not self._path.exists():
            return False
        try:
            kept = json.loads(self._path.read_text())
            for arm, bus in self._buses.items():
                for servo, memory in zip(bus.servos, kept[arm], strict=True):
                    servo.memory.restore(bytes.fromhex(memory))
        except (ValueError, KeyError, TypeError) as error:
            raise VirtualArmError(
                f"{self._path}: expected what the servos kept, got something else ({error}); delete it for new servos"
            ) from error
        return True

    def save(self) -> None:
        """Write the file anew where something has changed."""
        kept: dict[str, list[str]] = {}
        for arm, bus in self._buses.items():
            with bus.lock:
                kept[arm] = [servo.memory.kept.hex() for servo in bus.servos]
        text = json.dumps(kept, indent=1) + "\n"
        if text != self._saved:
            fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            fresh.write_text(text)
            fresh.replace(self._path)
            self._saved = text
