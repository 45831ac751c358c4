"""The simulated arm: MuJoCo moves the Menagerie SO-101, with the same interface and rate as the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mujoco
import numpy as np
from numpy.typing import NDArray

from policy.contract import Camera, Contract, Crop
from robot.arm import ArmReading
from robot.contract import cube_dimensions, so101_contract, with_action_scale
from robot.desk import SUBSTEP_S, Desk
from robot.errors import ArmError, SceneError
from robot.motions import REST_RAD
from robot.randomisation import Randomisation
from robot.scene import FRAME_PX, FRONT_CAMERA, LARGEST_FRAME_PX, WRIST_CAMERA
from robot.settings import RandomisationSettings
from robot.task import CubePose

Film = Callable[[str], NDArray[np.uint8]]

# The command ramps over this share of the period, as a servo's own speed limit would have it.
RAMP_SHARE = 0.8


def sim_contract(control_hz: float = 10.0) -> Contract:
    """The contract of the simulated arm: wrist and front camera at 128x128, uncropped, and the pose of the cube."""
    crop = Crop(top=0, left=0, height=FRAME_PX, width=FRAME_PX)
    cameras = tuple(
        Camera(name=name, native_height_px=FRAME_PX, native_width_px=FRAME_PX, crop=crop, size_px=FRAME_PX)
        for name in (WRIST_CAMERA, FRONT_CAMERA)
    )
    return so101_contract(cameras, sim_only=cube_dimensions(), control_hz=control_hz)


def require_simulated(contract: Contract) -> None:
    """Raise `ContractMismatch` unless the simulated arm can serve it, which takes any frames, rate and action scale.

    A camera that the scene does not have is a `SceneError`, when the arm is made.
    """
    ours = so101_contract(contract.cameras, sim_only=cube_dimensions(), control_hz=contract.control_hz)
    with_action_scale(ours, contract).require_equal(contract, "the simulated arm", "the settings")


class SimArm:
    """A SO-101, a table and a cube in MuJoCo. All calls from one thread: it owns an EGL context.

    Frames are rendered at the native size of their camera, with its vertical field of view.
    """

    def __init__(
        self, cameras: tuple[Camera, ...], control_hz: float, randomisation: RandomisationSettings, seed: int
    ) -> None:
        substeps = 1.0 / control_hz / SUBSTEP_S
        if abs(substeps - round(substeps)) > 1e-6:
            raise SceneError(
                f"control rate: got {control_hz} Hz, expected a period that is a whole number of {SUBSTEP_S} s physics "
                f"steps, such as 10, 20 or 25 Hz"
            )
        self._substeps = round(substeps)
        self._desk = Desk()
        self.model, self.data = self._desk.model, self._desk.data
        self._generator = np.random.default_rng(seed)
        self._randomisation = Randomisation(self.model, randomisation)
        _require_filmed(cameras)
        self._cameras = {it.name: (it.native_height_px, it.native_width_px) for it in cameras}
        sizes = set(self._cameras.values())
        self._renderers: dict[tuple[int, int], mujoco.Renderer] | None = {
            size: mujoco.Renderer(self.model, *size) for size in sizes
        }

    def place_cube(self, pose: CubePose) -> None:
        """Lay the cube there, at once and at rest."""
        self._desk.place_cube(pose)
        mujoco.mj_forward(self.model, self.data)

    def reset(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Put the arm there, at rest, and the cube where the scene has it; a simulated arm need not travel."""
        mujoco.mj_resetData(self.model, self.data)
        self._randomisation.apply(self._generator)
        self._desk.place_arm(joint_target_rad)
        mujoco.mj_forward(self.model, self.data)

    def command(self, joint_target_rad: NDArray[np.float64]) -> None:
        """Ramp to joint targets (6,) [rad] and simulate one control period."""
        actuators = self._desk.actuators
        start = self.data.ctrl[actuators].copy()
        ramp_steps = max(1, round(self._substeps * RAMP_SHARE))
        for substep in range(self._substeps):
            share = min(1.0, (substep + 1) / ramp_steps)
            self.data.ctrl[actuators] = start + share * (joint_target_rad - start)
            mujoco.mj_step(self.model, self.data)

    def read(self) -> ArmReading:
        """Joints, fresh frames, and what only the simulator knows."""
        return ArmReading(self.read_joints(), self._render(), self._desk.cube_state())

    def read_joints(self) -> NDArray[np.float64]:
        """Joints (6,) [rad]."""
        return np.array(self.data.qpos[self._desk.joints])

    def write_goals(self, joint_rad: NDArray[np.float64]) -> None:
        """Joint targets (6,) [rad], at once; no time passes."""
        self.data.ctrl[self._desk.actuators] = joint_rad

    def park(self) -> None:
        """Put the arm at rest; a simulated arm need not travel."""
        self._desk.place_arm(REST_RAD)
        mujoco.mj_forward(self.model, self.data)

    def release(self) -> None:
        """Switch all torque off: the arm falls as time passes."""
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_ACTUATION

    def recover(self) -> None:
        """Switch the torque on again, where the arm is."""
        if self.model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_ACTUATION:
            self.write_goals(self.read_joints())
            self.model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)

    def close(self) -> None:
        """Free the EGL contexts."""
        for renderer in (self._renderers or {}).values():
            renderer.close()
        self._renderers = None

    @contextmanager
    def filming(self, size_px: int) -> Iterator[Film]:
        """Pictures for people, never inputs of a policy: yields camera name -> uint8 RGB (size_px, size_px, 3)."""
        with mujoco.Renderer(self.model, size_px, size_px) as renderer:
            yield lambda camera: picture(renderer, self.data, camera)

    def _render(self) -> dict[str, NDArray[np.uint8]]:
        if self._renderers is None:
            raise ArmError("simulated arm: it has been closed; make a new one")
        return {name: picture(self._renderers[size], self.data, name) for name, size in self._cameras.items()}


def _require_filmed(cameras: tuple[Camera, ...]) -> None:
    for index, camera in enumerate(cameras):
        if camera.name not in (WRIST_CAMERA, FRONT_CAMERA):
            raise SceneError(
                f"contract.cameras.{index}.name: got {camera.name}, but the simulated desk has {WRIST_CAMERA} and "
                f"{FRONT_CAMERA}; name one of them"
            )
        largest_px = max(camera.native_height_px, camera.native_width_px)
        if largest_px > LARGEST_FRAME_PX:
            raise SceneError(
                f"contract.cameras.{index}: got a native frame of {camera.native_height_px} rows and "
                f"{camera.native_width_px} columns, but the simulated desk renders {LARGEST_FRAME_PX} of each at most; "
                f"take a smaller one"
            )


def picture(renderer: mujoco.Renderer, data: mujoco.MjData, camera: str) -> NDArray[np.uint8]:
    """What a camera sees, uint8 RGB of the renderer's size; no shadows or reflections, they cost more than the rest."""
    renderer.update_scene(data, camera=camera)
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
    return np.array(renderer.render(), np.uint8)
