"""The simulated desk: the Menagerie SO-101, a table, a cube, a wrist and a front camera."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.meshes import decimated, model_path

CUBE_HALF_M = 0.0135
CUBE_MASS_KG = 0.020
CUBE_FRICTION = 1.0
WRIST_CAMERA, FRONT_CAMERA = "wrist", "front"
FRAME_PX = 128
LARGEST_FRAME_PX = 640
# The front camera stands to the right of the arm and sees the field past the gripper.
FRONT_POSITION_M, FRONT_LOOKS_AT_M, FRONT_FOVY_DEG = (0.50, -0.20, 0.28), (0.245, 0.0, 0.045), 36.0
# In the gripper's frame: under the camera mount, looking at the fingertips, which lie at z = -0.1.
WRIST_POSITION_M, WRIST_LOOKS_AT_M, WRIST_FOVY_DEG = (0.008, 0.058, -0.052), (0.011, 0.022, -0.110), 85.0


def build_scene(*, full_visuals: bool = False) -> mujoco.MjModel:
    """Compile the scene. About 0.1 s once the decimated meshes are cached.

    full_visuals: draw the arm with the meshes as published, 30 times as many faces; `bench/frame.py` compares
    """
    spec = mujoco.MjSpec.from_file(str(model_path()))
    if not full_visuals:
        _use_decimated_visuals(spec)
    world = spec.worldbody
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.4, 0.4, 0.02],
        pos=[0.25, 0, -0.02],
        rgba=[0.50, 0.48, 0.46, 1],
        solref=[0.01, 1],
    )
    cube = world.add_body(name="cube", pos=[0.25, 0, CUBE_HALF_M])
    cube.add_freejoint(name="cube")
    cube.add_geom(
        name="cube",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[CUBE_HALF_M] * 3,
        mass=CUBE_MASS_KG,
        friction=[CUBE_FRICTION, 0.005, 0.0001],
        condim=4,
        solref=[0.01, 1],  # the soft default lets fingers pass through
        rgba=[0.80, 0.13, 0.10, 1],
    )
    world.add_light(name="lamp", pos=[0.35, -0.25, 0.9], dir=[-0.1, 0.25, -0.9], castshadow=False)
    world.add_light(name="window", pos=[0.0, 0.6, 0.7], dir=[0.2, -0.6, -0.6], castshadow=False, diffuse=[0.35] * 3)
    world.add_camera(
        name=FRONT_CAMERA,
        pos=FRONT_POSITION_M,
        quat=look_at(FRONT_POSITION_M, FRONT_LOOKS_AT_M, up=(0, 0, 1)),
        fovy=FRONT_FOVY_DEG,
    )
    spec.body("gripper").add_camera(
        name=WRIST_CAMERA,
        pos=WRIST_POSITION_M,
        quat=look_at(WRIST_POSITION_M, WRIST_LOOKS_AT_M, up=(0, 1, 0)),
        fovy=WRIST_FOVY_DEG,
    )
    spec.visual.quality.offsamples = 0  # multisampling in software costs more than the frame
    spec.visual.global_.offwidth = spec.visual.global_.offheight = LARGEST_FRAME_PX
    spec.visual.map.znear = 0.01
    return spec.compile()


def look_at(position: tuple[float, ...], target: tuple[float, ...], up: tuple[float, ...]) -> NDArray[np.float64]:
    """Quaternion (4,) of a camera at `position` that looks at `target`, with `up` upwards in the image."""
    backward = np.asarray(position, np.float64) - np.asarray(target, np.float64)
    backward /= np.linalg.norm(backward)
    right = np.cross(np.asarray(up, np.float64), backward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(backward, right), backward], axis=1)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, rotation.ravel())
    return quaternion


def _use_decimated_visuals(spec: mujoco.MjSpec) -> None:
    seen = {geom.meshname for geom in spec.geoms if geom.meshname and geom.classname.name == "visual"}
    visuals = decimated(sorted(seen))
    for mesh in spec.meshes:
        name = mesh.name or mesh.file.removesuffix(".stl")
        if name in visuals:
            vertices, faces = visuals[name]
            mesh.name, mesh.file = name, ""
            mesh.uservert, mesh.userface = vertices.ravel().tolist(), faces.ravel().tolist()
