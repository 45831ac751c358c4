"""Randomised simulated frames with their segmentation: what the shipped encoder is pretrained on.

No physics is needed: arm and cube are put into poses that an episode visits, and looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.controller import EndEffectorController
from robot.randomisation import Randomisation
from robot.scene import CUBE_HALF_M, FRAME_PX, FRONT_CAMERA, WRIST_CAMERA, build_scene
from robot.settings import ControllerSettings, RandomisationSettings, TaskSettings
from robot.sim import sim_contract

# What a pixel shows. Jaws apart from the rest of the arm: where they are is half of grasping.
CLASSES = ("background", "cube", "jaws", "arm")
LABEL_PX = 32
FIELD_MARGIN_M = 0.03


@dataclass(frozen=True, slots=True)
class PretrainingSet:
    """Frames and what they show.

    frames: uint8 RGB (N, 128, 128, 3); labels: int64 classes (N, 32, 32); camera: int64 (N,), 0 wrist, 1 front
    offset_m: float32 (N, 3), from the tool to the cube in the base frame
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.int64]
    camera: NDArray[np.int64]
    offset_m: NDArray[np.float32]


class FrameSource:
    """Draws poses of arm and cube, and renders both cameras."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._model = build_scene()
        self._data = mujoco.MjData(self._model)
        self._randomisation = Randomisation(self._model, RandomisationSettings(enabled=True))
        self._controller = EndEffectorController(ControllerSettings(), sim_contract().action_scale)
        self._task = TaskSettings()
        self._colour = mujoco.Renderer(self._model, FRAME_PX, FRAME_PX)
        self._segments = mujoco.Renderer(self._model, LABEL_PX, LABEL_PX)
        self._segments.enable_segmentation_rendering()
        self._class_of_geom = np.array([self._class_of(geom) for geom in range(self._model.ngeom)])

    def draw(self, poses: int) -> PretrainingSet:
        """`poses` poses seen by both cameras: 2 * poses frames."""
        rows = [row for _ in range(poses) for row in self._draw_pose()]
        frames, labels, cameras, offsets = zip(*rows, strict=True)
        return PretrainingSet(
            np.stack(frames), np.stack(labels), np.array(cameras), np.stack(offsets).astype(np.float32)
        )

    def close(self) -> None:
        """Free the EGL contexts."""
        self._colour.close()
        self._segments.close()

    def _draw_pose(self) -> list[tuple[NDArray[np.uint8], NDArray[np.int64], int, NDArray[np.float64]]]:
        self._randomisation.apply(self._generator)
        offset_m = self._place()
        rows = []
        for index, camera in enumerate((WRIST_CAMERA, FRONT_CAMERA)):
            self._colour.update_scene(self._data, camera=camera)
            self._colour.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
            self._colour.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
            self._segments.update_scene(self._data, camera=camera)
            geoms = self._segments.render()[:, :, 0]  # (32, 32), -1 where nothing is
            labels = np.where(geoms >= 0, self._class_of_geom[np.maximum(geoms, 0)], 0)
            rows.append((np.array(self._colour.render(), np.uint8), labels.astype(np.int64), index, offset_m))
        return rows

    def _place(self) -> NDArray[np.float64]:
        """Put arm and cube somewhere: apart, close, or the cube between the jaws. Returns their offset (3,) [m]."""
        generator, task = self._generator, self._task
        low, high = np.array(ControllerSettings().box_low_m), np.array(ControllerSettings().box_high_m)
        cube_m = np.array(
            [
                generator.uniform(task.field_x_m[0] - FIELD_MARGIN_M, task.field_x_m[1] + FIELD_MARGIN_M),
                generator.uniform(task.field_y_m[0] - FIELD_MARGIN_M, task.field_y_m[1] + FIELD_MARGIN_M),
                CUBE_HALF_M,
            ]
        )
        case = generator.random()
        gripper_rad = generator.uniform(-0.1, 1.0)
        if case < 0.4:
            tool_m = generator.uniform(low, np.minimum(high, [0.36, 0.14, 0.14]))
        else:
            tool_m = cube_m + generator.normal(0, [0.02, 0.02, 0.0]) + [0, 0, generator.uniform(0, 0.07)]
        joints = self._controller.joints_at(tool_m, gripper_rad)
        tool_m = self._controller.kinematics.tool_pose(joints).position_m
        if case > 0.8:  # held, on the table or lifted
            joints[5] = generator.uniform(0.20, 0.40)
            cube_m = tool_m + generator.normal(0, 0.003, 3)
            cube_m[2] = max(cube_m[2], CUBE_HALF_M)
        self._data.qpos[:6] = joints
        yaw = generator.uniform(-math.pi, math.pi)
        self._data.qpos[6:13] = (*cube_m, math.cos(yaw / 2), 0, 0, math.sin(yaw / 2))
        mujoco.mj_forward(self._model, self._data)
        return np.asarray(cube_m - tool_m)

    def _class_of(self, geom: int) -> int:
        if geom == self._model.geom("cube").id:
            return CLASSES.index("cube")
        if geom == self._model.geom("table").id:
            return CLASSES.index("background")
        body = self._model.body(int(self._model.geom_bodyid[geom])).name
        return CLASSES.index("jaws" if body in ("gripper", "moving_jaw_so101_v1") else "arm")
