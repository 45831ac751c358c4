"""The one guard: it clips what is asked for, counts what it clips, and stops the arm over what it reads."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES, ArmReading
from robot.errors import InvalidTarget, SafetyStop
from robot.kinematics import Kinematics
from robot.safety.checks import AXES, ReadingChecks
from robot.safety.emergency import EmergencyStop
from robot.safety.settings import SafetySettings
from robot.settings import ControllerSettings

Vector = NDArray[np.float64]


class SafetyGuard:
    """Between any source of actions and the arm. One thread; others press `emergency`.

    A tick is `confine` (where the tool may go), `clamp` (where the joints may go), the arm's own doing, and `judge`.

    clamps: `limit.joint` -> how often it changed what was asked for
    emergency: the stop that anybody may press
    """

    def __init__(
        self,
        controller: ControllerSettings,
        kinematics: Kinematics,
        settings: SafetySettings | None = None,
        emergency: EmergencyStop | None = None,
    ) -> None:
        self._controller = controller
        self._settings = settings or SafetySettings()
        self._checks = ReadingChecks(self._settings, controller, kinematics)
        self._lower_rad, self._upper_rad = kinematics.lower_rad, kinematics.upper_rad
        self._box_low_m, self._box_high_m = np.array(controller.box_low_m), np.array(controller.box_high_m)
        self._clipped: deque[bool] = deque(maxlen=self._settings.clip_window_ticks)
        self._clips_before = 0
        self._warm: tuple[str, ...] = ()
        self.clamps: Counter[str] = Counter()
        self.emergency = emergency or EmergencyStop()

    @property
    def trips(self) -> Counter[str]:
        """`check.joint` -> how often it stopped the arm."""
        return self._checks.trips

    @property
    def clip_rate(self) -> float:
        """Share of the latest ticks in which something was clipped."""
        return sum(self._clipped) / len(self._clipped) if self._clipped else 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know while the arm goes on, a sentence each."""
        found = [f"{joint}: warmer than {self._settings.warm_c:g} °C; let the arm rest soon" for joint in self._warm]
        if self.clip_rate > self._settings.clip_warning:
            most, _ = self.clamps.most_common(1)[0]
            found.append(
                f"actions: {self.clip_rate:.0%} of the latest {len(self._clipped)} were clipped, most of all by "
                f"{most}; expected at most {self._settings.clip_warning:.0%}: see whether box and start fit the task"
            )
        return tuple(found)

    def begin(self) -> None:
        """An episode or another motion begins."""
        self._checks.begin()

    def confine(self, position_m: Vector, tool_m: Vector) -> Vector:
        """The nearest position (3,) [m] to a wished one that the leash to the measured tool and the box allow."""
        leash_m = self._controller.leash_m
        near = np.clip(position_m, tool_m - leash_m, tool_m + leash_m)
        within = np.clip(near, self._box_low_m, self._box_high_m)
        self._count("leash", near, position_m, AXES)
        self._count("box", within, near, AXES)
        return within

    def clamp(self, target_rad: Vector, measured_rad: Vector) -> Vector:
        """The nearest allowed target (6,) [rad]. Raises `InvalidTarget` when it is not a finite number."""
        if not np.isfinite(target_rad).all():
            index = int(np.argmax(~np.isfinite(target_rad)))
            raise InvalidTarget(
                f"joint {JOINT_NAMES[index]}: got the target {target_rad[index]} rad, expected a finite number; "
                f"the arm holds its last target"
            )
        largest_rad = self._controller.largest_joint_step_rad
        within = np.clip(target_rad, self._lower_rad, self._upper_rad)
        near = np.clip(within, measured_rad - largest_rad, measured_rad + largest_rad)
        self._count("limit", within, target_rad, JOINT_NAMES)
        self._count("step", near, within, JOINT_NAMES)
        clips = self.clamps.total()
        self._clipped.append(clips > self._clips_before)
        self._clips_before = clips
        return near

    def judge(self, reading: ArmReading, commanded_rad: Vector, operator_age_s: float = 0.0) -> None:
        """Judge what the arm says after a command (6,) [rad]. Raises the `ArmFault` of what must stop it.

        operator_age_s: for how long the device that drives the arm has been silent; 0 while none does
        """
        self.require_no_emergency()
        if operator_age_s > self._settings.stale_operator_s:
            self.trips["stale_operator"] += 1
            raise SafetyStop(
                f"operator: the device that drives the arm has been silent for {operator_age_s:.1f} s, expected at "
                f"most {self._settings.stale_operator_s:g} s; check its cable or its battery"
            )
        if reading.servos is not None:
            warm = reading.servos.temperature_c >= self._settings.warm_c
            self._warm = tuple(JOINT_NAMES[index] for index in np.flatnonzero(warm))
        self._checks.check(reading, commanded_rad)

    def require_no_emergency(self) -> None:
        """Raise `SafetyStop` while the emergency stop is pressed."""
        if self.emergency.is_pressed:
            self.trips["emergency"] += 1
            raise SafetyStop(
                f"emergency stop: pressed by {self.emergency.pressed_by}; reset it once the arm may move again",
                self._settings.on_emergency,
            )

    def _count(self, limit: str, got: Vector, wished: Vector, names: tuple[str, ...]) -> None:
        for index in (np.abs(got - wished) > 1e-9).nonzero()[0]:
            self.clamps[f"{limit}.{names[index]}"] += 1
