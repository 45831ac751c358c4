"""The clock of the virtual desk: it moves both arms in real time."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.desk import SUBSTEP_S
from robot.motions import REST_RAD
from robot.task import CubePose
from robot.virtual.bodies import Body, SceneBody
from robot.virtual.bus import BusFaults, ServoBus
from robot.virtual.hand import Hand, require_joints, waypoints
from robot.virtual.servo import SUPPLY_V, JointState

# A machine that cannot keep up lets the world run slower, rather than in bursts.
LARGEST_LAG_S = 0.1


class VirtualArm:
    """A bus, the body that its servos move, and a hand upon it."""

    def __init__(self, bus: ServoBus, body: Body) -> None:
        self.bus = bus
        self.hand = Hand()
        self._body = body
        self._joints: list[JointState] = []
        self.rest()

    @property
    def joint_rad(self) -> dict[str, float]:
        """True joint angles by name, as no encoder rounds them."""
        return {name: joint.angle_rad for name, joint in zip(JOINT_NAMES, self._joints, strict=True)}

    @property
    def has_torque(self) -> dict[str, bool]:
        """Which joints a motor holds."""
        return {name: servo.has_torque for name, servo in zip(JOINT_NAMES, self.bus.servos, strict=True)}

    def step(self, now_s: float) -> None:
        """Let `SUBSTEP_S` pass."""
        with self.bus.lock:
            motors = [servo.drive(SUBSTEP_S) for servo in self.bus.servos]
        self._observe(self._body.step(motors, self.hand.drives(now_s)))

    def move_hand(self, target_rad: Mapping[str, float], speed_rad_s: float, now_s: float) -> float:
        """Bring some joints to angles [rad] by hand, and hold them there. Returns when it will be there [s]."""
        require_joints(target_rad)
        start_rad = {name: self.joint_rad[name] for name in target_rad}
        duration_s = max(abs(target_rad[name] - start_rad[name]) for name in target_rad) / speed_rad_s
        self.hand.follow(waypoints([(0.0, start_rad), (max(duration_s, SUBSTEP_S), target_rad)]), now_s)
        return duration_s

    def rest(self) -> None:
        """A sound arm at rest: folded, without torque, without faults, freshly powered."""
        self.hand.release()
        joints = self._body.place(REST_RAD)
        with self.bus.lock:
            self.bus.faults = BusFaults()
            for servo in self.bus.servos:
                servo.forced_temperature_c, servo.supply_v = None, SUPPLY_V
        self._observe(joints)
        with self.bus.lock:
            for servo in self.bus.servos:
                servo.power_up()

    def _observe(self, joints: list[JointState]) -> None:
        self._joints = joints
        with self.bus.lock:
            for servo, joint in zip(self.bus.servos, joints, strict=True):
                servo.observe(joint, SUBSTEP_S)


class World:
    """Both arms and the desk, moved in a thread of its own. `lock` is held while it moves."""

    def __init__(self, follower: VirtualArm, leader: VirtualArm, scene: SceneBody) -> None:
        self.follower, self.leader = follower, leader
        self.lock = threading.Lock()
        self.slipped_s = 0.0
        self._scene = scene
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="world", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it still moves."""
        return self._thread.is_alive()

    def configuration(self) -> NDArray[np.float64]:
        """MuJoCo's `qpos`, for who wants to draw it."""
        with self.lock:
            return np.array(self._scene.desk.data.qpos)

    def cube_state(self) -> list[float]:
        """What `CUBE_STATE` names: position [m], yaw [rad], and 1 while both jaws touch it."""
        with self.lock:
            return [float(value) for value in self._scene.desk.cube_state()]

    def place_cube(self, pose: CubePose) -> None:
        """Lay the cube elsewhere."""
        with self.lock:
            self._scene.desk.place_cube(pose)
            mujoco.mj_forward(self._scene.desk.model, self._scene.desk.data)

    def reset(self, pose: CubePose) -> None:
        """Both arms at rest and sound, the cube at a pose."""
        self.place_cube(pose)
        with self.lock:
            self.follower.rest()
            self.leader.rest()

    def _run(self) -> None:
        due_s = time.perf_counter()
        while not self._stopping.is_set():
            with self.lock:
                now_s = time.perf_counter()
                self.follower.step(now_s)
                self.leader.step(now_s)
            due_s += SUBSTEP_S
            late_s = time.perf_counter() - due_s
            if late_s > LARGEST_LAG_S:
                self.slipped_s += late_s
                due_s += late_s
            elif late_s < 0:
                time.sleep(-late_s)
