"""The leader's six servos: joints in radians, a torque that a hand overcomes, and goals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.so101 import torque
from robot.so101.bus import So101Bus
from robot.so101.calibration import Scale, calibration_path, load_calibration
from robot.so101.lint import lint_file, lint_servos, require_sound_calibration
from robot.so101.registers import LOAD_UNIT, LOCKED, STATE
from teleop.leader.settings import LeaderSettings

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LeaderReading:
    """What the servos say.

    joint_rad: (6,) in the order of `JOINT_NAMES`
    load: share of the largest torque (6,), -1..1
    """

    joint_rad: Vector
    load: Vector


class LeaderServos:
    """A leader on its port, stiff or limp. One thread at a time; all but the constructor may raise `ArmFault`.

    Constructing it reads the calibration: raises `CalibrationRefused` for one that is missing or unsound.

    stiff: whether its torque has been switched on; limp is confirmed by each servo
    """

    def __init__(self, settings: LeaderSettings) -> None:
        self._settings = settings
        self._path = calibration_path(settings, "leader")
        self._joints = load_calibration(self._path)
        require_sound_calibration(self._path, lint_file(settings.id, self._joints, settings.span_tolerance))
        self._scale = Scale.of(self._joints)
        self._bus = So101Bus(settings)
        self.stiff = False

    def open(self) -> None:
        """Open the port, and make sure that these are its servos, limp and set up. Raises `CalibrationRefused`, too."""
        self._bus.open()
        try:
            found = lint_servos(self._settings.id, self._joints, self._bus)
            require_sound_calibration(self._path, found)
            self.release()
            self._configure()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free the port."""
        self._bus.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a port to speak to."""
        return self._bus.is_open

    def read(self) -> LeaderReading:
        """Joints and loads now; of a stiff leader each servo is sound, and holds."""
        state = self._bus.fetch(STATE)
        if self.stiff:
            torque.require_sound(state)
            torque.require_holding(state)
        load = np.multiply(state["Present_Load"], LOAD_UNIT, dtype=np.float64)
        return LeaderReading(self._scale.radians(state["Present_Position"]), load)

    def stiffen(self) -> None:
        """Hold it where it is, with little torque."""
        # Both are gone with the power, so they are written anew each time.
        self._bus.ensure("Acceleration", dict.fromkeys(JOINT_NAMES, torque.ACCELERATION))
        self._bus.ensure("Torque_Limit", dict.fromkeys(JOINT_NAMES, self._settings.torque_permille))
        torque.hold_here(self._bus, self._scale)
        self.stiff = True

    def release(self) -> None:
        """Switch all torque off."""
        torque.release(self._bus)
        self.stiff = False

    def aim(self, joint_rad: Vector) -> Vector:
        """Send goals (6,) [rad]; where they went: the calibrated range ends them."""
        ticks = self._scale.ticks(joint_rad)
        self._bus.spread("Goal_Position", torque.by_joint(ticks))
        return self._scale.radians(ticks)

    def _configure(self) -> None:
        """Gains until the power goes: with the lock closed the servos do not keep them, and wear out no memory."""
        settings = self._settings
        wanted = {
            "Lock": LOCKED,
            "Operating_Mode": torque.POSITION_MODE,
            "P_Coefficient": settings.p_gain,
            "I_Coefficient": settings.i_gain,
            "D_Coefficient": settings.d_gain,
        }
        for register, value in wanted.items():
            self._bus.ensure(register, dict.fromkeys(JOINT_NAMES, value))
