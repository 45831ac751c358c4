"""Forward and inverse kinematics of the SO-101 from the Menagerie MJCF: the same for every arm.

Five joints cannot reach any orientation. The position of the tool is tracked, and its approach axis is kept as close
to straight down as that allows. The tool frame is the site `gripperframe`, at the fingertips.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.meshes import model_path
from robot.settings import ControllerSettings

TOOL_SITE = "gripperframe"
# Pan, lift, elbow, wrist flex: the roll is held by the controller, the gripper does not move the tool.
TRACKED = slice(0, 4)
# Beyond this step the Jacobian no longer describes the arm.
LARGEST_ITERATION_STEP_RAD = 0.3
TOLERANCE_M = 1e-4

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ToolPose:
    """Where the tool is.

    position_m: (3,) in the base frame
    approach: (3,) unit vector from wrist to fingertips in the base frame; (0, 0, -1) is straight down
    """

    position_m: Vector
    approach: Vector


class Kinematics:
    """Kinematics of one SO-101. Not thread-safe: it has one MuJoCo state as scratch space."""

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._model = mujoco.MjModel.from_xml_path(str(model_path()))
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site(TOOL_SITE).id
        joints = [self._model.joint(name) for name in JOINT_NAMES]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._dof = np.array([joint.dofadr[0] for joint in joints])
        self.lower_rad: Vector = np.array([joint.range[0] for joint in joints])  # (6,)
        self.upper_rad: Vector = np.array([joint.range[1] for joint in joints])  # (6,)

    def tool_pose(self, joint_rad: Vector) -> ToolPose:
        """Pose of the tool for joint angles (6,) [rad]."""
        self._data.qpos[self._qpos] = joint_rad
        mujoco.mj_kinematics(self._model, self._data)
        rotation = self._data.site_xmat[self._site].reshape(3, 3)
        return ToolPose(self._data.site_xpos[self._site].copy(), rotation[:, 2].copy())

    def solve(self, position_m: Vector, from_joint_rad: Vector) -> Vector:
        """Joint angles (6,) [rad] whose tool is at `position_m` (3,), pointing down as far as possible.

        Damped least squares, iterated to convergence from `from_joint_rad`: one step alone realises only
        s^2 / (s^2 + lambda^2) of the wish along a direction of singular value s. Roll and gripper are kept.
        An unreachable position gives the nearest pose found; check it with `tool_pose`.
        """
        joint_rad = np.array(from_joint_rad, np.float64)
        for _ in range(self._settings.iterations):
            error, jacobian = self._error_and_jacobian(joint_rad, position_m)
            if np.linalg.norm(error[:3]) < TOLERANCE_M and abs(error[3]) < self._settings.pitch_weight * 1e-3:
                break
            joint_rad[TRACKED] += self._step(joint_rad[TRACKED], error, jacobian)
        return joint_rad

    def _step(self, joint_rad: Vector, error: Vector, jacobian: Vector) -> Vector:
        """One damped least squares step (4,) [rad] that spends nothing on joints that stand at a limit."""
        lower, upper = self.lower_rad[TRACKED], self.upper_rad[TRACKED]
        free = np.ones(4)
        step = np.zeros(4)
        for _ in range(4):  # at worst one more joint runs into its limit each time
            usable = jacobian * free
            normal = usable @ usable.T + self._settings.damping**2 * np.eye(4)
            step = usable.T @ np.linalg.solve(normal, error)
            step *= min(1.0, LARGEST_ITERATION_STEP_RAD / (np.abs(step).max() + 1e-12))
            stuck = (joint_rad + step < lower) | (joint_rad + step > upper)
            if not (stuck & (free > 0)).any():
                break
            free[stuck] = 0.0
        return np.clip(joint_rad + step, lower, upper) - joint_rad

    def _error_and_jacobian(self, joint_rad: Vector, position_m: Vector) -> tuple[Vector, Vector]:
        """Task error (4,): position [m] and weighted pitch, with its Jacobian (4, 4) over the tracked joints."""
        pose = self.tool_pose(joint_rad)
        mujoco.mj_comPos(self._model, self._data)
        translation, rotation = np.zeros((3, self._model.nv)), np.zeros((3, self._model.nv))
        mujoco.mj_jacSite(self._model, self._data, translation, rotation, self._site)
        # Pitch about the horizontal axis that is square to the arm's plane: a turn towards (0, 0, -1).
        pan = np.arctan2(pose.position_m[1], pose.position_m[0] - 0.0388)
        axis = np.array([-np.sin(pan), np.cos(pan), 0.0])
        outward = np.array([np.cos(pan), np.sin(pan), 0.0])
        pitch_error = np.arctan2(pose.approach @ outward, -pose.approach[2])
        weight = self._settings.pitch_weight
        tracked = self._dof[TRACKED]
        jacobian = np.vstack([translation[:, tracked], weight * (axis @ rotation[:, tracked])])
        return np.append(position_m - pose.position_m, weight * pitch_error), jacobian
