"""Forward and inverse kinematics of the SO-101 from the Menagerie MJCF: the same for every arm.

Five joints cannot reach any orientation. The position of the tool is tracked, and the tilt of its approach axis as far
as the position leaves room for it. The tool frame is the site `gripperframe`, at the fingertips.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.errors import InvalidTarget
from robot.meshes import model_path
from robot.settings import ControllerSettings

TOOL_SITE = "gripperframe"
# Pan, lift, elbow, wrist flex: the roll is held by the controller, the gripper does not move the tool.
TRACKED = slice(0, 4)
# The last three turn about parallel axes, towards straight down: the tilt is linear in them, and the pan leaves it be.
TILT_AT_ZERO_RAD = math.pi / 2
TILT_OF_TRACKED = np.array([0.0, -1.0, -1.0, -1.0])

# Beyond this step the Jacobian no longer describes the arm.
LARGEST_ITERATION_STEP_RAD = 0.5
# Converged: nothing is left to gain, or nothing moves any more. A milliradian moves the tool by 0.4 mm at most, and
# near the solution the error falls with the square of the step.
TOLERANCE_M = 5e-5
SMALLEST_STEP_RAD = 1e-3
STEP_SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ToolPose:
    """Where the tool is.

    position_m: (3,) in the base frame
    approach: (3,) unit vector from wrist to fingertips in the base frame; (0, 0, -1) is straight down
    """

    position_m: Vector
    approach: Vector


@dataclass(frozen=True, slots=True)
class _Task:
    """What one descent minimises, and where it may go.

    position_m: (3,); tilt_rad: wished; pitch_weight: [m/rad]; lower_rad, upper_rad: (4,), equal where a joint is locked
    """

    position_m: Vector
    tilt_rad: float
    pitch_weight: float
    lower_rad: Vector
    upper_rad: Vector


class Kinematics:
    """Kinematics of one SO-101. Not thread-safe: it has one MuJoCo state as scratch space."""

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._model = skeleton()
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site(TOOL_SITE).id
        joints = [self._model.joint(name) for name in JOINT_NAMES]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._dof = np.array([joint.dofadr[0] for joint in joints])
        self._translation = np.zeros((3, self._model.nv))
        self.lower_rad: Vector = np.array([joint.range[0] for joint in joints])  # (6,)
        self.upper_rad: Vector = np.array([joint.range[1] for joint in joints])  # (6,)

    def tool_pose(self, joint_rad: Vector) -> ToolPose:
        """Pose of the tool for joint angles (6,) [rad]."""
        position_m = self._tool_position(joint_rad).copy()
        return ToolPose(position_m, self._data.site_xmat[self._site].reshape(3, 3)[:, 2].copy())

    def solve(
        self, position_m: Vector, from_joint_rad: Vector, locked: Collection[str] = (), tilt_share: float = 1.0
    ) -> Vector:
        """Joint angles (6,) [rad] whose tool is at `position_m` (3,), tilted as wished as far as possible.

        locked: names of joints that stay where `from_joint_rad` has them; roll and gripper always do
        tilt_share: how much of the way to go to the wished tilt, from the one that the shortest way of the joints has

        Descends from `from_joint_rad` to the nearest minimum, never to a worse place: an unreachable position gives
        the nearest pose found; check it with `tool_pose`. Raises `InvalidTarget` for what is not finite.
        """
        if not (np.isfinite(position_m).all() and np.isfinite(from_joint_rad).all()):
            raise InvalidTarget(
                f"inverse kinematics: got the tool position {position_m} m from joints {from_joint_rad} rad, expected "
                f"finite numbers; the arm holds its last target"
            )
        joint_rad = np.array(from_joint_rad, np.float64)
        start = joint_rad[TRACKED]
        movable = [name not in locked for name in JOINT_NAMES[TRACKED]]
        lower = np.where(movable, self.lower_rad[TRACKED], start)
        upper = np.where(movable, self.upper_rad[TRACKED], start)
        joint_rad[TRACKED] = np.clip(start, lower, upper)
        tilt_rad = self._settings.tool_tilt_rad
        if tilt_share < 1.0:
            nearest = self._descend(_Task(position_m, tilt_rad, 0.0, lower, upper), joint_rad)
            tilt_rad += (1.0 - tilt_share) * (_tilt(nearest[TRACKED]) - tilt_rad)
        # Where a limit stands in the way of the tilt, its error pulls at the position: the second descent, along the
        # shortest way, gives the position what belongs to it. Where nothing does, it has nothing left to do.
        for weight in (self._settings.pitch_weight, 0.0):
            joint_rad = self._descend(_Task(position_m, tilt_rad, weight, lower, upper), joint_rad)
        joint_rad[TRACKED] = np.clip(joint_rad[TRACKED], lower, upper)  # they add up to a limit but for rounding
        return joint_rad

    def _descend(self, task: _Task, joint_rad: Vector) -> Vector:
        """Levenberg-Marquardt from joint angles (6,) [rad] until it converges."""
        error = self._error(task, joint_rad)
        for _ in range(self._settings.iterations):
            cost = error @ error
            if cost < TOLERANCE_M**2:
                break
            step = self._step(task, joint_rad[TRACKED], error)
            for share in STEP_SHARES:
                tried = joint_rad.copy()
                tried[TRACKED] += share * step
                tried_error = self._error(task, tried)
                if tried_error @ tried_error < cost:
                    break
            else:
                break  # along no part of the step is anything better than here
            joint_rad, error = tried, tried_error
            if share * _largest(step) < SMALLEST_STEP_RAD:
                break
        return joint_rad

    def _step(self, task: _Task, joint_rad: Vector, error: Vector) -> Vector:
        """One damped least squares step (4,) [rad]: a joint goes as far as its limit, the others do what it cannot."""
        jacobian = self._jacobian(task)
        # Damping that falls with the error is wide awake where a stretched arm reaches for what it cannot reach, and
        # out of the way near a solution: Sugihara, "Solvability-unconcerned inverse kinematics by the
        # Levenberg-Marquardt method", IEEE T-RO 27(5), 2011, equation 25. The arm is half a metre: unit weight fits.
        damping = self._settings.damping**2 + error @ error
        free = (task.lower_rad < task.upper_rad).astype(np.float64)
        step, fixed = np.zeros(4), np.zeros(4)
        for _ in range(4):  # at worst one more joint runs into its limit each time
            usable = jacobian * free
            normal = usable.T @ usable
            normal.flat[::5] += damping
            step = fixed + np.linalg.solve(normal, usable.T @ (error - jacobian @ fixed))
            step *= min(1.0, LARGEST_ITERATION_STEP_RAD / (_largest(step) + 1e-12))
            reached = joint_rad + step
            within = np.minimum(np.maximum(reached, task.lower_rad), task.upper_rad)
            beyond = (within != reached) & (free > 0)
            if not beyond.any():
                break
            free[beyond], fixed[beyond] = 0.0, (within - joint_rad)[beyond]
        return step

    def _error(self, task: _Task, joint_rad: Vector) -> Vector:
        """Task error (4,) [m]: position, and tilt times its weight. Leaves the state at these joints."""
        error = np.empty(4)
        error[:3] = task.position_m - self._tool_position(joint_rad)
        error[3] = task.pitch_weight * (task.tilt_rad - _tilt(joint_rad[TRACKED]))
        return error

    def _jacobian(self, task: _Task) -> Vector:
        """Jacobian (4, 4) of the task over the tracked joints, at the joints of the last `_error`."""
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_jacSite(self._model, self._data, self._translation, None, self._site)
        jacobian = np.empty((4, 4))
        jacobian[:3] = self._translation[:, self._dof[TRACKED]]
        jacobian[3] = task.pitch_weight * TILT_OF_TRACKED
        return jacobian

    def _tool_position(self, joint_rad: Vector) -> Vector:
        """Tool position (3,) [m] as a view of the state, good until the next call."""
        self._data.qpos[self._qpos] = joint_rad
        mujoco.mj_kinematics(self._model, self._data)
        return self._data.site_xpos[self._site]  # type: ignore[no-any-return]  # mujoco has no types


def _tilt(tracked_rad: Vector) -> float:
    """Tilt of the tool [rad] for tracked joints (4,)."""
    return float(TILT_AT_ZERO_RAD + TILT_OF_TRACKED @ tracked_rad)


def _largest(step: Vector) -> float:
    """Largest magnitude in a short vector; a third of the time that numpy takes for it."""
    return float(max(map(abs, step.tolist())))


def skeleton() -> mujoco.MjModel:
    """The arm's bodies and joints, without its meshes: they take 0.8 s to load, and move nothing."""
    spec = mujoco.MjSpec.from_file(str(model_path()))
    for shape in (*spec.geoms, *spec.meshes):
        spec.delete(shape)
    return spec.compile()
