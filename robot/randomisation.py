"""Domain randomisation: each reset of the simulated scene may look and feel a little different."""

from __future__ import annotations

import mujoco
import numpy as np

from robot.scene import FRONT_CAMERA, WRIST_CAMERA
from robot.settings import RandomisationSettings


class Randomisation:
    """Draws looks and friction around the nominal scene, which it remembers."""

    def __init__(self, model: mujoco.MjModel, settings: RandomisationSettings) -> None:
        self._model = model
        self._settings = settings
        self._nominal = {
            "light_diffuse": model.light_diffuse.copy(),
            "geom_rgba": model.geom_rgba.copy(),
            "mat_rgba": model.mat_rgba.copy(),
            "cam_pos": model.cam_pos.copy(),
            "cam_quat": model.cam_quat.copy(),
            "geom_friction": model.geom_friction.copy(),
            "geom_size": model.geom_size.copy(),
            "geom_rbound": model.geom_rbound.copy(),
            "geom_aabb": model.geom_aabb.copy(),
            "bvh_aabb": model.bvh_aabb.copy(),
        }

    def apply(self, generator: np.random.Generator) -> None:
        """Draw one look, relative to the nominal scene; does nothing when randomisation is off."""
        if not self._settings.enabled:
            return
        for name, value in self._nominal.items():
            getattr(self._model, name)[:] = value
        self._light_and_colours(generator)
        self._cameras(generator)
        self._cube(generator)

    def _light_and_colours(self, generator: np.random.Generator) -> None:
        model, light, colour = self._model, self._settings.light, self._settings.colour
        model.light_diffuse[:] *= generator.uniform(1 - light, 1 + light, (model.nlight, 1))
        for geom in ("table", "cube"):
            rgba = model.geom_rgba[model.geom(geom).id]
            rgba[:3] = np.clip(rgba[:3] + generator.uniform(-colour, colour, 3), 0, 1)
        # One shift for all printed parts: they come from one spool of filament.
        model.mat_rgba[:, :3] = np.clip(model.mat_rgba[:, :3] + generator.uniform(-colour, colour, 3), 0, 1)

    def _cube(self, generator: np.random.Generator) -> None:
        model, friction, size = self._model, self._settings.friction, self._settings.cube_size
        cube, body = model.geom("cube").id, model.body("cube").id
        model.geom_friction[cube, 0] *= generator.uniform(1 - friction, 1 + friction)
        factor = generator.uniform(1 - size, 1 + size)
        nodes = slice(model.body_bvhadr[body], model.body_bvhadr[body] + model.body_bvhnum[body])
        # Whoever looks for contacts looks within these bounds first.
        for bounds in (model.geom_size, model.geom_rbound, model.geom_aabb):
            bounds[cube] *= factor
        model.bvh_aabb[nodes] *= factor

    def _cameras(self, generator: np.random.Generator) -> None:
        position_m, angle_rad = self._settings.camera_position_m, self._settings.camera_angle_rad
        for name in (WRIST_CAMERA, FRONT_CAMERA):
            camera = self._model.camera(name).id
            self._model.cam_pos[camera] += generator.uniform(-position_m, position_m, 3)
            turn = np.zeros(4)
            mujoco.mju_euler2Quat(turn, generator.uniform(-angle_rad, angle_rad, 3), "xyz")
            nominal = self._nominal["cam_quat"][camera]
            mujoco.mju_mulQuat(self._model.cam_quat[camera], nominal, turn)
