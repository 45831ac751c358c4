"""The joints of an arm that is to be parked, whatever its servos complain of: what still holds brings the rest home."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.so101 import torque
from robot.so101.bus import So101Bus
from robot.so101.calibration import Scale


class HeldJoints:
    """A `JointBus` of the servos that hold torque now; the others are told nothing, since a goal would stiffen them.

    any: whether there is one
    """

    def __init__(self, bus: So101Bus, scale: Scale) -> None:
        self._bus, self._scale = bus, scale
        held = bus.fetch(["Torque_Enable"])["Torque_Enable"] != 0
        self._names = [name for name, stiff in zip(JOINT_NAMES, held, strict=True) if stiff]
        self.any = bool(self._names)

    def read_joints(self) -> NDArray[np.float64]:
        """Measured joints (6,) [rad]."""
        return self._scale.radians(self._bus.fetch(["Present_Position"])["Present_Position"])

    def write_goals(self, joint_rad: NDArray[np.float64]) -> None:
        """Goal positions (6,) [rad], at once and unramped."""
        goals = torque.by_joint(self._scale.ticks(joint_rad))
        self._bus.spread("Goal_Position", {name: goals[name] for name in self._names})
