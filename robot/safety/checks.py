"""What is checked of a reading at each tick: each check has a setting, a counter, and a reaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES, ArmReading, ServoReading
from robot.errors import CameraStale, Reaction, SafetyStop, ServoTripped
from robot.kinematics import Kinematics
from robot.safety.settings import SafetySettings
from robot.settings import ControllerSettings
from robot.so101.registers import complaints

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]

AXES = ("x", "y", "z")
BODY = slice(0, 5)  # all joints but the gripper, which may lead its jaw: that is how it squeezes
LOOK_AHEAD_S = 0.01  # over which the tool's speed is told from the joints' [s]


class ReadingChecks:
    """Judges one reading after the other; what must persist is counted in consecutive ticks.

    trips: `check.joint` -> how often it stopped the arm
    """

    def __init__(self, settings: SafetySettings, controller: ControllerSettings, kinematics: Kinematics) -> None:
        self._settings = settings
        self._kinematics = kinematics
        self._low_m = np.array(controller.box_low_m) - settings.box_margin_m
        self._high_m = np.array(controller.box_high_m) + settings.box_margin_m
        self._in_a_row: dict[str, NDArray[np.int64]] = {}
        self.trips: Counter[str] = Counter()

    def begin(self) -> None:
        """A motion begins: what was counted before is another motion's."""
        self._in_a_row.clear()

    def check(self, reading: ArmReading, commanded_rad: Vector) -> None:
        """Raise the `ArmFault` of the first check that fails, what the servos say of themselves first."""
        tool_m = self._tool_m(reading.joint_rad)
        if reading.servos is not None:
            self._check_servos(reading.servos)
            self._check_speeds(reading.joint_rad, tool_m, reading.servos.velocity_rad_s)
        self._check_divergence(reading.joint_rad, commanded_rad)
        self._check_box(tool_m)
        self._check_frames(reading.frame_age_s)

    def _check_servos(self, servos: ServoReading) -> None:
        limits, volts, load = self._settings, servos.voltage_v, np.abs(servos.load)
        if self._failed("status", servos.status != 0) is not None:
            status = dict(zip(JOINT_NAMES, servos.status.tolist(), strict=True))
            raise ServoTripped("\n".join(complaints(status)), Reaction.PARK)
        if (at := self._failed("heat", servos.temperature_c > limits.hot_c)) is not None:
            raise SafetyStop(
                f"{JOINT_NAMES[at]}: got {servos.temperature_c[at]:.0f} °C, expected at most {limits.hot_c:g} °C; let "
                f"it cool down, and see what it strains against",
                Reaction.PARK,
            )
        beyond = (volts < limits.lowest_voltage_v) | (volts > limits.highest_voltage_v)
        if (at := self._failed("voltage", beyond, limits.voltage_ticks)) is not None:
            raise SafetyStop(
                f"{JOINT_NAMES[at]}: got {volts[at]:.1f} V, expected {limits.lowest_voltage_v:g} to "
                f"{limits.highest_voltage_v:g} V; check the power brick, its plug and the cables",
                Reaction.PARK,
            )
        if (at := self._failed("load", load > limits.load, limits.load_ticks)) is not None:
            raise SafetyStop(
                f"{JOINT_NAMES[at]}: got {load[at]:.0%} of its torque for {limits.load_ticks} ticks, expected at most "
                f"{limits.load:.0%}; see what it pushes against"
            )

    def _check_speeds(self, joint_rad: Vector, tool_m: Vector, velocity_rad_s: Vector) -> None:
        limits, speed_rad_s = self._settings, np.abs(velocity_rad_s)
        if (at := self._failed("joint_speed", speed_rad_s > limits.joint_speed_rad_s, limits.speed_ticks)) is not None:
            raise SafetyStop(
                f"{JOINT_NAMES[at]}: got {speed_rad_s[at]:.1f} rad/s, expected at most "
                f"{limits.joint_speed_rad_s:g} rad/s; make the actions smaller"
            )
        soon_m = self._tool_m(joint_rad + LOOK_AHEAD_S * velocity_rad_s)
        speed_m_s = float(np.linalg.norm(soon_m - tool_m)) / LOOK_AHEAD_S
        beyond = np.array([speed_m_s > limits.tool_speed_m_s])
        if self._failed("tool_speed", beyond, limits.speed_ticks) is not None:
            raise SafetyStop(
                f"tool: got {speed_m_s:.2f} m/s, expected at most {limits.tool_speed_m_s:g} m/s; make the actions "
                f"smaller"
            )

    def _check_divergence(self, joint_rad: Vector, commanded_rad: Vector) -> None:
        limits = self._settings
        away_rad = np.abs(commanded_rad - joint_rad)[BODY]
        if (at := self._failed("divergence", away_rad > limits.divergence_rad, limits.divergence_ticks)) is not None:
            raise SafetyStop(
                f"{JOINT_NAMES[at]}: got {away_rad[at]:.2f} rad between command and measurement for "
                f"{limits.divergence_ticks} ticks, expected at most {limits.divergence_rad:g} rad; see what holds it, "
                f"and whether it has torque"
            )

    def _check_box(self, tool_m: Vector) -> None:
        limits = self._settings
        beyond = (tool_m < self._low_m) | (tool_m > self._high_m)
        if (at := self._failed("box", beyond, limits.box_ticks, AXES)) is not None:
            raise SafetyStop(
                f"tool: got {AXES[at]} = {tool_m[at]:.3f} m, expected {self._low_m[at]:.3f} to "
                f"{self._high_m[at]:.3f} m, which is its box and {limits.box_margin_m:g} m around it; see what moved it"
            )

    def _check_frames(self, age_s: Mapping[str, float]) -> None:
        limit_s = self._settings.stale_frame_s
        for camera, seconds in age_s.items():
            if seconds > limit_s:
                self.trips[f"stale_frame.{camera}"] += 1
                raise CameraStale(
                    f"camera {camera}: its newest frame is {seconds:.1f} s old, expected at most {limit_s:g} s; check "
                    f"its cable and its light"
                )

    def _tool_m(self, joint_rad: Vector) -> Vector:
        return self._kinematics.tool_pose(joint_rad).position_m

    def _failed(self, check: str, beyond: Mask, ticks: int = 1, names: tuple[str, ...] = JOINT_NAMES) -> int | None:
        """The first entry that has been beyond for so many ticks in a row, counted as a trip; None where none has."""
        if not beyond.any():
            self._in_a_row.pop(check, None)
            return None
        counts = np.where(beyond, self._in_a_row.get(check, 0) + 1, 0)
        self._in_a_row[check] = counts
        if counts.max() < ticks:
            return None
        index = int(np.argmax(counts >= ticks))
        self.trips[f"{check}.{names[index]}" if len(counts) > 1 else check] += 1
        return index
