"""The one guard: it clips what is asked for, counts what it clips, and stops the arm over what it reads."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

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


class Clipped(NamedTuple):
    """Whether less was done in a tick than was asked for. tool: confined to box or leash; joints: limit or step"""

    tool: bool
    joints: bool


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
        # Of each of the latest ticks, whether the tool was confined and whether a joint was clamped.
        self._confined: deque[bool] = deque(maxlen=self._settings.clip_window_ticks)
        self._clamped: deque[bool] = deque(maxlen=self._settings.clip_window_ticks)
        self._warm: tuple[str, ...] = ()
        self.clamps: Counter[str] = Counter()
        self.emergency = emergency or EmergencyStop()

    @property
    def trips(self) -> Counter[str]:
        """`check.joint` -> how often it stopped the arm."""
        return self._checks.trips

    @property
    def clipped(self) -> Clipped:
        """What the newest tick clipped; nothing before the first."""
        return Clipped(*(bool(ticks and ticks[-1]) for ticks in (self._confined, self._clamped)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know while the arm goes on, a sentence each."""
        found = [f"{joint}: warmer than {self._settings.warm_c:g} °C; let the arm rest soon" for joint in self._warm]
        # A tool that is pressed onto the table is confined at each tick, and means to be; joints that come to their
        # limits are asked for what they cannot do.
        found += self._clipped("tool", self._confined, ("leash", "box"), self._settings.tool_clip_warning)
        found += self._clipped("joints", self._clamped, ("limit", "step"), self._settings.joint_clip_warning)
        return tuple(found)

    def begin(self) -> None:
        """An episode or another motion begins."""
        self._checks.begin()

    def confine(self, position_m: Vector, tool_m: Vector) -> Vector:
        """The nearest position (3,) [m] to a wished one that the leash to the measured tool and the box allow."""
        leash_m = self._controller.leash_m
        near = np.clip(position_m, tool_m - leash_m, tool_m + leash_m)
        within = np.clip(near, self._box_low_m, self._box_high_m)
        leashed = self._count("leash", near, position_m, AXES)
        boxed = self._count("box", within, near, AXES)
        self._confined.append(leashed or boxed)
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
        limited = self._count("limit", within, target_rad, JOINT_NAMES)
        stepped = self._count("step", near, within, JOINT_NAMES)
        self._clamped.append(limited or stepped)
        return near

    def judge(self, reading: ArmReading, commanded_rad: Vector) -> None:
        """Judge what the arm says after a command (6,) [rad]. Raises the `ArmFault` of what must stop it."""
        self.require_no_emergency()
        if reading.servos is not None:
            warm = reading.servos.temperature_c >= self._settings.warm_c
            self._warm = tuple(JOINT_NAMES[index] for index in np.flatnonzero(warm))
        self._checks.check(reading, commanded_rad)

    def require_operator(self, silent_s: float) -> None:
        """Raise `SafetyStop` where the device that alone drives the arm has been silent for too long."""
        if silent_s > self._settings.stale_operator_s:
            self.trips["stale_operator"] += 1
            raise SafetyStop(
                f"operator: the device that drives the arm has been silent for {silent_s:.1f} s, expected at most "
                f"{self._settings.stale_operator_s:g} s; check its cable or its battery"
            )

    def require_no_emergency(self) -> None:
        """Raise `SafetyStop` while the emergency stop is pressed."""
        if self.emergency.is_pressed:
            self.trips["emergency"] += 1
            raise SafetyStop(
                f"emergency stop: pressed by {self.emergency.pressed_by}; press pause once the arm may move again",
                self._settings.on_emergency,
            )

    def _count(self, limit: str, got: Vector, wished: Vector, names: tuple[str, ...]) -> bool:
        """Count what was clipped by name; whether anything was."""
        clipped = (np.abs(got - wished) > 1e-9).nonzero()[0]
        for index in clipped:
            self.clamps[f"{limit}.{names[index]}"] += 1
        return bool(clipped.size)

    def _clipped(self, what: str, ticks: deque[bool], limits: tuple[str, ...], most: float) -> list[str]:
        """What to tell of the latest ticks, if anything."""
        share = sum(ticks) / len(ticks) if ticks else 0.0
        if share <= most:
            return []
        name = max((name for name in self.clamps if name.split(".")[0] in limits), key=lambda it: self.clamps[it])
        return [
            f"{what}: at {share:.0%} of the latest {len(ticks)} ticks less was done than was asked for, most often by "
            f"{name}; expected at most {most:.0%}: see whether box and start fit the task"
        ]
