"""What the servos move: the arm on its desk in MuJoCo, and a leader arm that only turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.desk import SUBSTEP_S, Desk
from robot.virtual.servo import TICKS_PER_RAD, TOP_SPEED_TICKS_S, Drive, JointState

Drives = Sequence[Drive | None]
# What a hand can do to a joint of the leader, as a share of a servo's torque; and the share of its torque with which a
# servo answers a radian.
HAND_STRENGTH, STIFFNESS_PER_RAD = 0.5, 2.0


class Body(Protocol):
    """Six joints that servos and hands drive."""

    def step(self, motors: Drives, hands: Drives) -> list[JointState]:
        """Let `SUBSTEP_S` pass; None is a joint that no motor or no hand holds. The joints afterwards."""
        ...

    def place(self, joint_rad: NDArray[np.float64]) -> list[JointState]:
        """Put it at rest at joint angles (6,) [rad]."""
        ...


class LeaderBody:
    """Joints without weight: they follow who holds them, between the mechanical stops, and stay where they are left.

    Of a motor and a hand the stronger one has the joint, and the motor feels how far it is off.
    """

    def __init__(self, stops_rad: NDArray[np.float64]) -> None:
        self._stops_rad: list[tuple[float, float]] = stops_rad.tolist()  # floats of numpy do not fit into registers
        self._angles_rad = [0.0] * len(stops_rad)

    def step(self, motors: Drives, hands: Drives) -> list[JointState]:
        """Let one period pass."""
        pairs = zip(motors, hands, strict=True)
        return [self._turn(index, motor, hand) for index, (motor, hand) in enumerate(pairs)]

    def _turn(self, index: int, motor: Drive | None, hand: Drive | None) -> JointState:
        before_rad = self._angles_rad[index]
        low_rad, high_rad = self._stops_rad[index]
        load = 0.0
        if hand is not None and (motor is None or motor.strength < HAND_STRENGTH):
            angle_rad = min(high_rad, max(low_rad, hand.angle_rad))
            if motor is not None:
                load = _load(motor.angle_rad - angle_rad, motor.strength)
        elif motor is not None and motor.strength > 0:
            angle_rad = min(high_rad, max(low_rad, _towards(motor.angle_rad, before_rad)))
            if hand is not None:
                load = _load(angle_rad - hand.angle_rad, HAND_STRENGTH)
        else:
            angle_rad = before_rad
        self._angles_rad[index] = angle_rad
        return JointState(angle_rad, (angle_rad - before_rad) / SUBSTEP_S, load)

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

    def step(self, motors: Drives, hands: Drives) -> list[JointState]:
        """Let one period pass in MuJoCo. A motor with torque is stronger than a hand."""
        desk = self.desk
        drives = [motor or hand for motor, hand in zip(motors, hands, strict=True)]
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


def _towards(goal_rad: float, angle_rad: float) -> float:
    """As near to a goal as a servo turns its joint in a period: who lets go of a deflected one sees it return."""
    farthest_rad = TOP_SPEED_TICKS_S / TICKS_PER_RAD * SUBSTEP_S
    return min(angle_rad + farthest_rad, max(angle_rad - farthest_rad, goal_rad))


def _load(deflection_rad: float, strength: float) -> float:
    """What a motor does about a joint that is off, with at most this share of its torque."""
    return max(-strength, min(strength, STIFFNESS_PER_RAD * deflection_rad))
