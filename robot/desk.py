"""The simulated desk as a state: joints of the arm and the cube in MuJoCo, whoever steps the physics."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.scene import build_scene
from robot.task import CubePose

SUBSTEP_S = 0.005


class Desk:
    """The scene, its state, and where in it joints, actuators and cube are found.

    model, data: MuJoCo's own; whoever steps them owns them
    joints, dofs, actuators: (6,) indices into `data.qpos`, `data.qvel` and `data.ctrl`, in the order of `JOINT_NAMES`
    """

    def __init__(self) -> None:
        self.model = build_scene()
        self.model.opt.timestep = SUBSTEP_S
        self.data = mujoco.MjData(self.model)
        self.joints = np.array([self.model.joint(name).qposadr[0] for name in JOINT_NAMES])
        self.dofs = np.array([self.model.joint(name).dofadr[0] for name in JOINT_NAMES])
        self.actuators = np.array([self.model.actuator(name).id for name in JOINT_NAMES])
        self._cube_qpos = self.model.joint("cube").qposadr[0]
        self._cube_dofs = self.model.joint("cube").dofadr[0]
        self._cube_geom = self.model.geom("cube").id
        self._jaw_geoms = (self._geoms_of("gripper"), self._geoms_of("moving_jaw_so101_v1"))

    def place_arm(self, joint_rad: NDArray[np.float64]) -> None:
        """Put the arm at joint angles (6,) [rad], with its targets there."""
        self.data.qpos[self.joints] = joint_rad
        self.data.ctrl[self.actuators] = joint_rad

    def place_cube(self, pose: CubePose) -> None:
        """Lay the cube on the table, at rest."""
        half = pose.yaw_rad / 2
        self.data.qpos[self._cube_qpos : self._cube_qpos + 7] = (
            *(pose.x_m, pose.y_m, self.model.geom_size[self._cube_geom, 2]),
            *(math.cos(half), 0.0, 0.0, math.sin(half)),
        )
        self.data.qvel[self._cube_dofs : self._cube_dofs + 6] = 0.0

    def cube_state(self) -> NDArray[np.float32]:
        """What `CUBE_STATE` names (5,): position [m], yaw [rad], and 1 while both jaws touch the cube."""
        x, y, z, w, i, j, k = self.data.qpos[self._cube_qpos : self._cube_qpos + 7]
        yaw = math.atan2(2 * (w * k + i * j), 1 - 2 * (j * j + k * k))
        return np.array([x, y, z, yaw, float(self._both_jaws_touch())], np.float32)

    def _both_jaws_touch(self) -> bool:
        pairs = self.data.contact.geom  # (contacts, 2)
        others = {int(a if b == self._cube_geom else b) for a, b in pairs if self._cube_geom in (a, b)}
        return all(others & jaw for jaw in self._jaw_geoms)

    def _geoms_of(self, body: str) -> set[int]:
        found = self.model.body(body)
        return set(range(int(found.geomadr[0]), int(found.geomadr[0] + found.geomnum[0])))
