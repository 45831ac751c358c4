"""Six servos driven by bytes written by hand: what an arm must agree with that goes through a driver.

Position 56, torque 40, goal 42, two bytes each but the torque; 4096 ticks are a turn. The middle of a body joint's
range is 0 rad; the gripper's range is -0.174533..1.745329 rad.
"""

from __future__ import annotations

import json
import math
import os
import select
import termios
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES, ArmReading
from robot.errors import ArmError

ANSWER_S = 0.5


class RawArm:
    """The least that drives an arm."""

    def __init__(self, folder: Path) -> None:
        calibration: dict[str, dict[str, int]] = json.loads((folder / "calibration" / "follower.json").read_text())
        self._ranges = [(calibration[name]["range_min"], calibration[name]["range_max"]) for name in JOINT_NAMES]
        self._port: int | None = os.open(folder / "follower", os.O_RDWR | os.O_NOCTTY)
        state = termios.tcgetattr(self._port)
        state[4] = state[5] = termios.B1000000
        termios.tcsetattr(self._port, termios.TCSANOW, state)

    def read(self) -> ArmReading:
        """Joint angles, and nothing else."""
        return ArmReading(self.read_joints(), {}, np.zeros(0, np.float32))

    def read_joints(self) -> NDArray[np.float64]:
        """Joint angles (6,) [rad]."""
        return np.array([self._angle(index, self._ask(index + 1, 2, (56, 2))) for index in range(6)])

    def command(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Send joint targets."""
        self.write_goals(joint_target_rad)

    def write_goals(self, joint_rad: NDArray[np.float64]) -> None:
        """Write six goals; each switches the torque on."""
        for index, angle_rad in enumerate(joint_rad):
            low, high = self._ranges[index]
            ticks = round(min(high, max(low, self._ticks(index, float(angle_rad)))))
            self._ask(index + 1, 3, (42, *ticks.to_bytes(2, "little")))

    def reset(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Go there at once, and wait."""
        self.command(joint_target_rad)
        time.sleep(1.5)

    def recover(self) -> None:
        """It knows of no faults."""

    def park(self) -> None:
        """It knows of no rest."""

    def release(self) -> None:
        """Switch all torque off."""
        for index in range(6):
            self._ask(index + 1, 3, (40, 0))

    def close(self) -> None:
        """Let go."""
        if self._port is not None:
            self.release()
            os.close(self._port)
            self._port = None

    def _angle(self, index: int, answer: bytes) -> float:
        ticks = int.from_bytes(answer, "little")
        low, high = self._ranges[index]
        if index == 5:
            return -0.174533 + (ticks - low) / (high - low) * (1.745329 + 0.174533)
        return (ticks - (low + high) / 2) / 4096 * 2 * math.pi

    def _ticks(self, index: int, angle_rad: float) -> float:
        low, high = self._ranges[index]
        if index == 5:
            return low + (angle_rad + 0.174533) / (1.745329 + 0.174533) * (high - low)
        return (low + high) / 2 + angle_rad / (2 * math.pi) * 4096

    def _ask(self, id_: int, instruction: int, parameters: tuple[int, ...]) -> bytes:
        """Parameters of the answer; asked again where none comes."""
        if self._port is None:
            raise ArmError("raw arm: it has been closed; make a new one")
        body = bytes((id_, len(parameters) + 2, instruction, *parameters))
        for _ in range(5):
            os.write(self._port, b"\xff\xff" + body + bytes((~sum(body) & 0xFF,)))
            answer = b""
            while select.select([self._port], [], [], ANSWER_S)[0]:
                answer += os.read(self._port, 64)
                if len(answer) >= 4 and len(answer) == answer[3] + 4:
                    return answer[5:-1]
        raise ArmError(f"raw arm: servo {id_} does not answer")
