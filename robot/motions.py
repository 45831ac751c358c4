"""Motions that nobody steers: to a start pose, and to rest. Over a `JointBus`, so that the watchdog has them too.

Every path leads through `SAFE_RAD`. From any pose whose arm is above the table, all three flexing joints turned there
at once, in proportion, keep the arm above the table and out of its own way; so the fold from there to rest does too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from policy.contract import Frozen
from robot.arm import JOINT_NAMES, JointBus
from robot.errors import SafetyStop

if TYPE_CHECKING:
    from robot.kinematics import Kinematics

Vector = NDArray[np.float64]

# Folded back onto its base: an arm without torque stays there.
REST_RAD: Vector = np.array([0.0, -1.724, 1.654, 1.018, 0.0, 0.0])
# Upright, with the tool 0.20 m above the table and the lowest part of hand and forearm 0.10 m.
SAFE_RAD: Vector = np.array([0.0, -1.0, 0.4, 1.2, 0.0, 0.0])
# Lift, elbow, wrist flex; the joints that carry the tool; the gripper, which may squeeze something and lag for good.
FLEXING, BODY, GRIPPER = slice(1, 4), slice(0, 5), 5


class MotionSettings(Frozen):
    """How an arm travels when nobody steers it."""

    step_s: float = Field(default=0.1, gt=0, description="Duration of one step [s].")
    largest_step_rad: float = Field(
        default=0.14, gt=0, le=math.radians(10), description="Farthest that a joint's goal moves in one step [rad]."
    )
    writes_per_step: int = Field(default=5, gt=0, description="Goals written per step, on the way to its end.")
    leash_rad: float = Field(
        default=0.25, gt=0, description="Farthest that a goal may lead its joint; the goals wait then [rad]."
    )
    progress_rad: float = Field(default=0.01, gt=0, description="Less than this in a step is no progress [rad].")
    stuck_steps: int = Field(
        default=3, gt=0, description="So many waiting steps in a row without progress are too many."
    )
    largest_steps: int = Field(default=300, gt=0, description="Most steps of one motion; a longer one is given up.")
    tolerance_rad: float = Field(
        default=0.002, gt=0, description="Error of a joint at the end below which nothing is corrected [rad]."
    )
    correction_steps: int = Field(default=12, ge=0, description="Most steps that correct the error at the end.")
    largest_correction_rad: float = Field(
        default=0.12, ge=0, description="Farthest that a corrected goal may be off its target [rad]."
    )
    arrival_rad: float = Field(
        default=0.1, gt=0, description="A joint that ends farther from its target has not arrived [rad]."
    )
    above_m: float = Field(default=0.07, ge=0, description="A target is approached from so far above it [m].")
    fold_s: float = Field(default=2.0, gt=0, description="Shortest time of folding to rest [s].")
    settle_s: float = Field(default=0.5, ge=0, description="Rest of the bus between folding and letting go [s].")

    @model_validator(mode="after")
    def _leash_is_longer_than_a_step(self) -> Self:
        if self.leash_rad <= self.largest_step_rad:
            raise ValueError(
                f"leash_rad: got {self.leash_rad} rad, expected more than largest_step_rad, "
                f"{self.largest_step_rad} rad: else every step waits for the arm"
            )
        return self


@dataclass(frozen=True, slots=True)
class MotionReport:
    """What a motion came to.

    seconds: how long it took [s]
    steps: how many steps it took, waiting and correcting ones included
    joint_error_rad: largest error of a joint but the gripper, at its end [rad]
    joint_rad: (6,) where the arm is [rad]
    target_rad: (6,) where it should be [rad]
    """

    seconds: float
    steps: int
    joint_error_rad: float
    joint_rad: Vector
    target_rad: Vector

    def tool_error_m(self, kinematics: Kinematics) -> float:
        """How far the tool is from where it should be [m]."""
        target_m = kinematics.tool_pose(self.target_rad).position_m
        return float(np.linalg.norm(kinematics.tool_pose(self.joint_rad).position_m - target_m))


def never() -> bool:
    """The `stop` of a motion that nobody stops."""
    return False


def reset_path(
    measured_rad: Vector, target_rad: Vector, kinematics: Kinematics, settings: MotionSettings
) -> list[Vector]:
    """Joint waypoints (6,) [rad] from any pose to a start pose: up, turn, above the target, open or close, down."""
    target = np.clip(target_rad, kinematics.lower_rad, kinematics.upper_rad)
    safe = _risen(np.clip(measured_rad, kinematics.lower_rad, kinematics.upper_rad))
    turned = safe.copy()
    turned[[0, 4]] = target[[0, 4]]
    height_m = np.array([0.0, 0.0, settings.above_m])
    above = kinematics.solve(kinematics.tool_pose(target).position_m + height_m, target)
    above[GRIPPER] = safe[GRIPPER]
    opened = above.copy()
    opened[GRIPPER] = target[GRIPPER]
    return [safe, turned, above, opened, target]


def park_path(measured_rad: Vector) -> list[Vector]:
    """Joint waypoints (6,) [rad] from any pose to `REST_RAD`: up, turn forward, fold. `park` walks it at its pace."""
    turned = SAFE_RAD.copy()
    turned[GRIPPER] = measured_rad[GRIPPER]
    return [_risen(measured_rad), turned, REST_RAD.copy()]


def park(bus: JointBus, settings: MotionSettings, stop: Callable[[], bool] = never) -> MotionReport:
    """Travel to `REST_RAD` and let the bus settle; whoever calls releases the torque then, or after an `ArmFault`."""
    with _walking(bus, settings, stop) as walk:
        *rising, rest = park_path(walk.measured_rad)
        for waypoint in rising:
            walk.to(waypoint)
        walk.to(rest, settings.fold_s)
        report = walk.arrive(rest, corrections=0)  # it lies down: where exactly is the table's business
    time.sleep(settings.settle_s)
    return report


def travel(
    bus: JointBus, path: Sequence[Vector], settings: MotionSettings, stop: Callable[[], bool] = never
) -> MotionReport:
    """Walk joint waypoints (6,) [rad] from where the arm is, and stay at the last.

    Raises `SafetyStop` when the arm is stuck, does not arrive, or `stop` says so; it then stands where it is and pushes
    against nothing. Raises what the bus raises.
    """
    with _walking(bus, settings, stop) as walk:
        for waypoint in path:
            walk.to(waypoint)
        return walk.arrive(path[-1], settings.correction_steps)


@contextmanager
def _walking(bus: JointBus, settings: MotionSettings, stop: Callable[[], bool]) -> Iterator[_Walk]:
    try:
        yield _Walk(bus, settings, stop)
    except SafetyStop:
        bus.write_goals(bus.read_joints())
        raise


class _Walk:
    """One motion: goals that move on while the arm follows, at absolute deadlines."""

    def __init__(self, bus: JointBus, settings: MotionSettings, stop: Callable[[], bool]) -> None:
        self._bus, self._settings, self._stop = bus, settings, stop
        self.measured_rad = bus.read_joints()
        self._goal = self.measured_rad.copy()
        self._steps, self._stuck_for = 0, 0
        self._begun_s = self._due_s = time.monotonic()

    def to(self, waypoint: Vector, at_least_s: float = 0.0) -> None:
        """Move the goals to a waypoint, straight in joint space, waiting where the arm lags behind."""
        start = self._goal
        steps = float(np.abs(waypoint - start).max()) / self._settings.largest_step_rad
        for share in _shares(max(steps, at_least_s / self._settings.step_s - 1)):
            self._wait_for_the_arm()
            self._step(start + share * (waypoint - start))

    def arrive(self, target: Vector, corrections: int) -> MotionReport:
        """Correct what the joints are off by, as gravity and friction have it, and report."""
        settings = self._settings
        lead: Vector = np.zeros(6)
        self._wait_for_the_arm()
        self._step(target)
        for _ in range(corrections):
            error = target - self.measured_rad
            error[GRIPPER] = 0.0
            if np.abs(error).max() <= settings.tolerance_rad:
                break
            lead = np.clip(lead + error, -settings.largest_correction_rad, settings.largest_correction_rad)
            self._step(target + lead)
        errors = np.abs(target - self.measured_rad)[BODY]
        if errors.max() > settings.arrival_rad:
            worst = int(errors.argmax())
            raise SafetyStop(
                f"{JOINT_NAMES[worst]}: ended {errors[worst]:.2f} rad from its target, expected at most "
                f"{settings.arrival_rad} rad; see what holds it up, and whether it has torque"
            )
        seconds = time.monotonic() - self._begun_s
        return MotionReport(seconds, self._steps, float(errors.max()), self.measured_rad, target)

    def _wait_for_the_arm(self) -> None:
        """Let steps pass while a joint lags by more than the leash. Raises `SafetyStop` where that helps nothing."""
        before = math.inf
        while (behind := self._lag().max()) > self._settings.leash_rad:
            self._stuck_for = 0 if behind < before - self._settings.progress_rad else self._stuck_for + 1
            if self._stuck_for > self._settings.stuck_steps:
                worst = int(self._lag().argmax())
                raise SafetyStop(
                    f"{JOINT_NAMES[worst]}: stuck at {self.measured_rad[worst]:.2f} rad on its way to "
                    f"{self._goal[worst]:.2f} rad; free the arm, and see whether the joint has torque"
                )
            before = behind
            self._step(self._goal)
        self._stuck_for = 0

    def _lag(self) -> Vector:
        """How far the joints but the gripper are behind their goals (5,) [rad]."""
        return np.abs(self._goal - self.measured_rad)[BODY]

    def _step(self, goal: Vector) -> None:
        """Ramp the goals to the next ones within one step, and see where the arm is then."""
        settings = self._settings
        if self._steps >= settings.largest_steps:
            raise SafetyStop(f"motion: got no end within {settings.largest_steps} steps; see what holds the arm up")
        self._steps += 1
        start = self._goal
        # Who was late starts the next step late: goals never follow each other faster than they should.
        now_s = time.monotonic()
        begun_s = self._due_s if now_s - self._due_s < settings.step_s / settings.writes_per_step else now_s
        for write in range(1, settings.writes_per_step + 1):
            if self._stop():
                raise SafetyStop("motion: stopped on its way; the arm stands where it is")
            share = write / settings.writes_per_step
            self._goal = start + share * (goal - start)
            self._bus.write_goals(self._gently(self._goal))
            time.sleep(max(0.0, begun_s + share * settings.step_s - time.monotonic()))
        self._due_s = begun_s + settings.step_s
        self.measured_rad = self._bus.read_joints()

    def _gently(self, goal: Vector) -> Vector:
        """The goals with the gripper's no farther from the jaw than the leash: it squeezes no harder than that."""
        gentle = goal.copy()
        leash_rad = self._settings.leash_rad
        gentle[GRIPPER] = np.clip(
            goal[GRIPPER], self.measured_rad[GRIPPER] - leash_rad, self.measured_rad[GRIPPER] + leash_rad
        )
        return gentle


def _risen(joint_rad: Vector) -> Vector:
    """The same with lift, elbow and wrist flex of `SAFE_RAD`."""
    risen = joint_rad.copy()
    risen[FLEXING] = SAFE_RAD[FLEXING]
    return risen


def _shares(steps: float) -> list[float]:
    """Shares of a way after each of its steps: of `steps` or more whole ones, the first and the last are half."""
    whole = math.ceil(steps - 1e-9)
    return [(step + 0.5) / whole for step in range(whole)] + [1.0] if whole > 0 else []
