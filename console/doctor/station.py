"""The arm as the doctor drives it: stiff, with its cameras and its watchdog, on the environment of the control loop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from actor.clock import Deadlines
from console.arm import at_rest_afterwards
from console.settings import Settings
from robot.arm import Arm, ArmReading, JointBus
from robot.cameras import CameraSet
from robot.cameras.settings import CameraSettings
from robot.env import ArmEnv, GymObservation
from robot.motions import SAFE_RAD
from robot.safety.emergency import EmergencyStop
from robot.sim import SimArm
from robot.task import CUBE_STATE, CubePose

Vector = NDArray[np.float64]


@dataclass(slots=True)
class Station:
    """What the checks drive.

    env: the environment of the control loop; bus: what motions need, on a simulated arm with time in it
    """

    env: ArmEnv
    bus: JointBus
    deadlines: Deadlines | None

    def tick(self, action: NDArray[np.float32]) -> GymObservation:
        """One control period. Raises `ArmFault`."""
        self.env.act(action)
        self.wait()
        return self.env.observe()[0]

    def close(self) -> None:
        """Park, let go, free the devices."""
        self.env.close()

    def wait(self) -> None:
        """Let the period pass; a simulated arm has done so."""
        if self.deadlines is not None:
            self.deadlines.wait()


def connected(
    settings: Settings, cameras: Mapping[str, CameraSet], emergency: EmergencyStop
) -> AbstractContextManager[Station]:
    """The arm, stiff where it stands; parked and let go on every way out, by the watchdog if this process dies."""
    return at_rest_afterwards(settings, lambda: _station(settings, cameras, emergency))


def _station(settings: Settings, cameras: Mapping[str, CameraSet], emergency: EmergencyStop) -> Station:
    arm, bus, deadlines = _open(settings, cameras, emergency)
    return Station(_environment(settings, arm, emergency), bus, deadlines)


def _open(
    settings: Settings, cameras: Mapping[str, CameraSet], emergency: EmergencyStop
) -> tuple[Arm, JointBus, Deadlines | None]:
    arm = settings.arm
    if arm.kind == "sim":
        simulated = SimArm(settings.contract.cameras, settings.contract.control_hz, arm.randomisation, settings.seed)
        simulated.reset(SAFE_RAD)
        return simulated, _TimePasses(simulated), None
    from robot.kinematics import Kinematics
    from robot.so101.arm import So101Arm  # LeRobot's bus costs seconds

    # The cameras are open already, each by itself: one that is missing must not hide how the arm is.
    blind = arm.so101.model_copy(update={"cameras": CameraSettings(), "witness": None})
    real = So101Arm(blind, (), Kinematics(arm.controller), arm.motion, lambda: emergency.is_pressed)
    return _Seeing(real, cameras), real, Deadlines(settings.contract.control_hz)


def _environment(settings: Settings, arm: Arm, emergency: EmergencyStop) -> ArmEnv:
    return ArmEnv(arm, settings.contract, settings.arm, settings.task, _leave_the_cube, emergency)


def _leave_the_cube(_: CubePose) -> None:
    """No task is judged: the cube may lie where it lies."""


class _TimePasses:
    """The joints of a simulated arm: with each goal a control period passes."""

    def __init__(self, arm: SimArm) -> None:
        self._arm = arm

    def read_joints(self) -> Vector:
        """Joints (6,) [rad]."""
        return self._arm.read_joints()

    def write_goals(self, joint_rad: Vector) -> None:
        """Goals (6,) [rad]."""
        self._arm.command(joint_rad)


class _Seeing:
    """A real arm with cameras that were opened apart from it, and a cube that nobody sees and nobody lifts."""

    def __init__(self, arm: Arm, cameras: Mapping[str, CameraSet]) -> None:
        self._arm, self._cameras = arm, cameras
        self.command, self.reset, self.recover = arm.command, arm.reset, arm.recover
        self.park, self.release, self.close = arm.park, arm.release, arm.close
        self.read_joints, self.write_goals = arm.read_joints, arm.write_goals

    def read(self) -> ArmReading:
        """What the arm says, with the newest frame of each camera."""
        frames = {name: seen for camera in self._cameras.values() for name, seen in camera.latest().items()}
        return replace(
            self._arm.read(),
            frames={name: frame.pixels for name, frame in frames.items()},
            frame_age_s={name: frame.age_s for name, frame in frames.items()},
            sim_only=np.zeros(len(CUBE_STATE), np.float32),
        )
