"""What the servos move: the arm on its desk in MuJoCo, and a leader arm that only turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.desk import SUBSTEP_S, Desk
from robot.virtual.servo import Drive, JointState


class Body(Protocol):
    """Six joints that servos and hands drive."""

    def step(self, drives: Sequence[Drive | None]) -> list[JointState]:
        """Let `SUBSTEP_S` pass; None is a joint that nobody holds. The joints afterwards."""
        ...

    def place(self, joint_rad: NDArray[np.float64]) -> list[JointState]:
        """Put it at rest at joint angles (6,) [rad]."""
        ...


class LeaderBody:
    """Joints without weight: they follow who holds them, between the mechanical stops, and stay where they are left."""

    def __init__(self, stops_rad: NDArray[np.float64]) -> None:
        self._stops_rad = stops_rad  # (6, 2)
        self._angles_rad = [0.0] * len(stops_rad)

    def step(self, drives: Sequence[Drive | None]) -> list[JointState]:
        """Let one period pass."""
        joints = []
        for index, drive in enumerate(drives):
            before_rad = self._angles_rad[index]
            if drive is not None and drive.strength > 0:
                low, high = self._stops_rad[index]
                self._angles_rad[index] = float(min(high, max(low, drive.angle_rad)))
            after_rad = self._angles_rad[index]
            joints.append(JointState(after_rad, (after_rad - before_rad) / SUBSTEP_S))
        return joints

    def place(self, joint_rad: NDArray[np.float64]) -> list[JointState]:
        """Put it at rest at joint angles (6,) [rad]."""
        self._angles_rad = [float(angle) for angle in joint_rad]
        return [JointState(angle) for angle in self._angles_rad]


class SceneBody:
    """The arm on the simulated desk: weight, contacts and all. A joint that nobody holds is limp."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        model, actuators = desk.model, desk.actuators
        self._gain = model.actuator_gainprm[actuators, 0].copy()  # (6,)
        self._bias = model.actuator_biasprm[actuators].copy()  # (6, 10)
        self._force_n_m = model.actuator_forcerange[actuators].copy()  # (6, 2)
        self._strength: NDArray[np.float64] = np.ones(len(actuators))

    @property
    def stops_rad(self) -> NDArray[np.float64]:
        """Mechanical stops of the joints (6, 2) [rad]."""
        return np.array(self.desk.model.jnt_range[self.desk.model.actuator_trnid[self.desk.actuators, 0]])

    def step(self, drives: Sequence[Drive | None]) -> list[JointState]:
        """Let one period pass in MuJoCo."""
        desk = self.desk
        strength = np.array([0.0 if drive is None else drive.strength for drive in drives])
        if not np.array_equal(strength, self._strength):
            self._limit(strength)
        desk.data.ctrl[desk.actuators] = [0.0 if drive is None else drive.angle_rad for drive in drives]
        mujoco.mj_step(desk.model, desk.data)
        return self._joints()

    def place(self, joint_rad: NDArray[np.float64]) -> list[JointState]:
        """Put the arm at rest at joint angles (6,) [rad]; the cube stays."""
        self.desk.place_arm(joint_rad)
        self.desk.data.qvel[self.desk.dofs] = 0.0
        mujoco.mj_forward(self.desk.model, self.desk.data)
        return self._joints()

    def _limit(self, strength: NDArray[np.float64]) -> None:
        """Give the actuators this share of their force (6,); without any they neither push nor brake."""
        model, actuators = self.desk.model, self.desk.actuators
        on = strength > 0
        model.actuator_gainprm[actuators, 0] = self._gain * on
        model.actuator_biasprm[actuators] = self._bias * on[:, None]
        model.actuator_forcerange[actuators] = self._force_n_m * strength[:, None]
        self._strength = strength

    def _joints(self) -> list[JointState]:
        desk = self.desk
        angles = desk.data.qpos[desk.joints].tolist()
        speeds = desk.data.qvel[desk.dofs].tolist()
        loads = (desk.data.actuator_force[desk.actuators] / self._force_n_m[:, 1]).tolist()
        return [JointState(*joint) for joint in zip(angles, speeds, loads, strict=True)]
