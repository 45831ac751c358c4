"""One STS3215: its registers, the motion towards its goal, and what makes it give up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robot.virtual import registers as reg
from robot.virtual.memory import ServoMemory

TICKS_PER_RAD = reg.TICKS / (2 * math.pi)
# Bits of the status register, and of the error byte of every answer.
VOLTAGE_ERROR, HEAT_ERROR, OVERLOAD_ERROR = 0x01, 0x04, 0x20
FULL_ANGLE_FEEDBACK = 0x10  # bit of the phase register: positions beyond one turn
MIDDLE_COMMAND = 128  # written to Torque_Enable: here is the middle
POSITION_MODE = 0
# 45 rpm without load at 7.4 V.
TOP_SPEED_TICKS_S = 3072.0
ACCELERATION_UNIT_TICKS_S2, UNLIMITED = 100.0, 1e9
STALL_CURRENT_A, CURRENT_UNIT_A = 2.5, 0.0065
AMBIENT_C, STALL_HEATING_C, HEATING_TIME_S = 27.0, 45.0, 120.0
SUPPLY_V = 5.0  # what the power brick of a SO-101 with 7.4 V servos gives


@dataclass(frozen=True, slots=True)
class JointState:
    """What moves, as seen from the servo's shaft.

    load: torque as a share of the servo's strength, -1..1
    """

    angle_rad: float = 0.0
    velocity_rad_s: float = 0.0
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Drive:
    """What a servo with torque wants of its joint: an angle, held with a share of its full strength (0..1)."""

    angle_rad: float
    strength: float = 1.0


class Servo:
    """One servo. Not thread-safe: the bus has one lock for all of its servos.

    mounting_ticks: what the bare encoder reads at joint angle 0, which is where a screwdriver happened to put the horn
    """

    def __init__(self, id_: int, mounting_ticks: int) -> None:
        self.memory = ServoMemory()
        self.memory.keep(reg.ID, id_)
        self.mounting_ticks = mounting_ticks
        self.supply_v = SUPPLY_V
        self.forced_temperature_c: float | None = None
        self._temperature_c = AMBIENT_C
        self._overloaded = False
        self._joint = JointState()
        self._setpoint_ticks = float(mounting_ticks)  # of the bare encoder, beyond one turn if need be
        self._speed_ticks_s = 0.0
        self._registered: tuple[int, bytes] | None = None

    # --- the wire's side --------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """Who it is on the bus."""
        return self.memory.get(reg.ID)

    @property
    def error(self) -> int:
        """The error byte of its answers."""
        volts = round(10 * self.supply_v)
        low, high = self.memory.get(reg.MIN_VOLTAGE_LIMIT), self.memory.get(reg.MAX_VOLTAGE_LIMIT)
        hot = self.temperature_c > self.memory.get(reg.MAX_TEMPERATURE_LIMIT)
        return VOLTAGE_ERROR * (not low <= volts <= high) + HEAT_ERROR * hot + OVERLOAD_ERROR * self._overloaded

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the memory, with the measured values of this moment."""
        self._measure()
        return self.memory.read(address, size)

    def write(self, address: int, values: bytes) -> None:
        """Write the memory, and do what the written registers stand for.

        A goal switches the torque on, even where the driver had switched it off: the firmware does so.
        """
        had_torque = self.has_torque
        written = self.memory.write(address, values)
        if reg.TORQUE_ENABLE.address in written:
            self._switch_torque(had_torque)
        if reg.GOAL_POSITION.address in written and not self.has_torque:
            self.memory.set(reg.TORQUE_ENABLE, 1)
            self._begin_motion()
        self._unload()

    def register_write(self, address: int, values: bytes) -> None:
        """Remember a write until the action."""
        self._registered = (address, values)

    def act(self) -> None:
        """Do the remembered write."""
        if self._registered is not None:
            address, values = self._registered
            self._registered = None
            self.write(address, values)

    # --- the joint's side -------------------------------------------------------------------------------------------

    @property
    def has_torque(self) -> bool:
        """Whether the motor holds the joint."""
        return self.memory.get(reg.TORQUE_ENABLE) != 0

    def observe(self, joint: JointState, period_s: float) -> None:
        """Take in what the joint does now; warms up with the square of its load."""
        self._joint = joint
        equilibrium_c = AMBIENT_C + STALL_HEATING_C * joint.load**2
        self._temperature_c += (equilibrium_c - self._temperature_c) * period_s / HEATING_TIME_S
        self._unload()

    def drive(self, period_s: float) -> Drive | None:
        """Let one period pass; what it wants of its joint now, None without torque."""
        if not self.has_torque:
            return None
        if self.memory.get(reg.OPERATING_MODE) == POSITION_MODE:
            self._approach(self._goal_ticks(), period_s)
        angle_rad = (self._setpoint_ticks - self.mounting_ticks) / TICKS_PER_RAD
        return Drive(angle_rad, min(1.0, self.memory.get(reg.TORQUE_LIMIT) / 1000))

    # --- accidents --------------------------------------------------------------------------------------------------

    @property
    def temperature_c(self) -> float:
        """Of its case; what was forced upon it wins."""
        return self._temperature_c if self.forced_temperature_c is None else self.forced_temperature_c

    def overload(self) -> None:
        """Latch the overload error: no torque until the power has been off."""
        self._overloaded = True
        self._unload()

    def power_up(self) -> None:
        """The power came back: all that is not kept is forgotten, the overload too."""
        self._overloaded = False
        self._registered = None
        self.memory.power_up()
        self._begin_motion()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _switch_torque(self, had_torque: bool) -> None:
        if self.memory.get(reg.TORQUE_ENABLE) == MIDDLE_COMMAND:
            self.memory.keep(reg.HOMING_OFFSET, self._encoder_ticks() % reg.TICKS - reg.TICKS // 2)
            self.memory.set(reg.TORQUE_ENABLE, int(had_torque))
            had_torque = False
        if not had_torque:
            # It stiffens where it is, whatever the goal was before.
            self.memory.set(reg.GOAL_POSITION, self._present_ticks())
            self._begin_motion()

    def _begin_motion(self) -> None:
        self._setpoint_ticks = self.mounting_ticks + self._joint.angle_rad * TICKS_PER_RAD
        self._speed_ticks_s = 0.0

    def _unload(self) -> None:
        """Drop the torque for an error that the unloading condition names."""
        if self.has_torque and self.error & self.memory.get(reg.UNLOADING_CONDITION):
            self.memory.set(reg.TORQUE_ENABLE, 0)

    def _encoder_ticks(self) -> int:
        return round(self.mounting_ticks + self._joint.angle_rad * TICKS_PER_RAD)

    def _present_ticks(self) -> int:
        position = self._encoder_ticks() - self.memory.get(reg.HOMING_OFFSET)
        return position if self.memory.get(reg.PHASE) & FULL_ANGLE_FEEDBACK else position % reg.TICKS

    def _goal_ticks(self) -> int:
        """The goal on the bare encoder, clamped to the nearest of the position limits."""
        goal = self.memory.get(reg.GOAL_POSITION)
        low, high = self.memory.get(reg.MIN_POSITION_LIMIT), self.memory.get(reg.MAX_POSITION_LIMIT)
        if low < high and not low <= goal <= high:
            goal = min((low, high), key=lambda edge: _turned_by(goal - edge))
        return goal + self._encoder_ticks() - self._present_ticks()

    def _approach(self, goal_ticks: int, period_s: float) -> None:
        """Move the setpoint with the trapezoid of speeds that speed and acceleration allow."""
        top = float(abs(self.memory.get(reg.GOAL_VELOCITY))) or TOP_SPEED_TICKS_S
        acceleration = self.memory.get(reg.ACCELERATION) * ACCELERATION_UNIT_TICKS_S2 or UNLIMITED
        away = goal_ticks - self._setpoint_ticks
        largest = acceleration * period_s
        # The speed v from which it can still stop at the goal, slower by `largest` each period: v² + largest·v = 2·a·s;
        # and never past the goal within this period.
        stoppable = largest / 2 * (math.sqrt(1 + 8 * abs(away) / (largest * period_s)) - 1)
        wanted = min(top, TOP_SPEED_TICKS_S, stoppable, abs(away) / period_s)
        change = math.copysign(wanted, away) - self._speed_ticks_s
        self._speed_ticks_s += max(-largest, min(largest, change))
        self._setpoint_ticks += self._speed_ticks_s * period_s

    def _measure(self) -> None:
        memory, joint = self.memory, self._joint
        memory.set(reg.PRESENT_POSITION, self._present_ticks())
        memory.set(reg.PRESENT_VELOCITY, round(joint.velocity_rad_s * TICKS_PER_RAD))
        memory.set(reg.PRESENT_LOAD, round(1000 * joint.load))
        memory.set(reg.PRESENT_VOLTAGE, round(10 * self.supply_v))
        memory.set(reg.PRESENT_TEMPERATURE, round(self.temperature_c))
        memory.set(reg.STATUS, self.error)
        moving = self.has_torque and abs(self._goal_ticks() - self._setpoint_ticks) > 1
        memory.set(reg.MOVING, int(moving))
        memory.set(reg.PRESENT_CURRENT, round(abs(joint.load) * STALL_CURRENT_A / CURRENT_UNIT_A))
        memory.set(reg.GOAL_POSITION_2, memory.get(reg.GOAL_POSITION))


def _turned_by(ticks: int) -> int:
    """The shorter way around for a difference of positions."""
    return min(ticks % reg.TICKS, -ticks % reg.TICKS)
