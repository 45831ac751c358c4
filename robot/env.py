"""The Gymnasium environment: an arm, the controller with its guard, and a task, one control period a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from policy.preprocess import preprocess_frame
from robot.arm import Arm, ArmReading
from robot.contract import real_contract
from robot.controller import EndEffectorController
from robot.errors import ArmError, ArmFault
from robot.kinematics import Kinematics
from robot.safety.emergency import EmergencyStop
from robot.safety.guard import SafetyGuard
from robot.safety.reactions import react
from robot.settings import ArmSettings, TaskSettings
from robot.sim import SimArm, require_simulated
from robot.task import CubePose, GraspLift, Start

# No joint turns and no tool moves by more [rad, m]: finite, because Gymnasium asks for finite spaces.
BOUND = 10.0

GymObservation = dict[str, NDArray[Any]]


class ArmEnv(gymnasium.Env[GymObservation, NDArray[np.float32]]):
    """Grasp-and-lift on a SO-101.

    Observation: one uint8 RGB frame per camera of the contract, and `proprioception` float32 (P,) in the contract's
    units. Action: float32 (A,) of -1..1. Reward: 1 once, at success, which terminates; a time-out truncates.
    `info` holds `executed` (the action after clipping), `clipped` (`robot.safety.guard.Clipped`), `success`, and
    `sim_only` (what only a simulator knows).
    `reset(options={"start": Start})` chooses a start instead of drawing one; `place_cube` puts the cube there: the
    simulator at once, a person by hand. `joint_rad` beside it has the arm begin in just these joint angles (6,) [rad].

    A step is `act` and then `observe`; in real time a control period passes in between, so whoever drives a real arm
    calls them apart. Each may raise `ArmFault`, when the arm has done already what the fault asks for; then `recover`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  # Gymnasium's own way

    def __init__(
        self,
        arm: Arm,
        contract: Contract,
        arm_settings: ArmSettings,
        task_settings: TaskSettings,
        place_cube: Callable[[CubePose], None],
        emergency: EmergencyStop,
    ) -> None:
        self.render_mode = "rgb_array"
        self._arm = arm
        self._place_cube = place_cube
        self._contract = contract
        self._task = GraspLift(task_settings)
        self._controller = EndEffectorController(
            arm_settings.controller, contract.action_scale, arm_settings.safety, emergency
        )
        self._commanded_rad: NDArray[np.float64] = np.zeros(6)
        self._executed: NDArray[np.float32] = np.zeros(len(contract.action), np.float32)
        self._steps = 0
        self._reading: ArmReading | None = None
        spaces: dict[str, gymnasium.Space[Any]] = {
            camera.name: gymnasium.spaces.Box(0, 255, (camera.size_px, camera.size_px, 3), np.uint8)
            for camera in contract.cameras
        }
        spaces["proprioception"] = gymnasium.spaces.Box(-BOUND, BOUND, (len(contract.proprioception),), np.float32)
        self.observation_space = gymnasium.spaces.Dict(spaces)  # type: ignore[assignment]  # Gymnasium's own typing
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(contract.action),), np.float32)

    @property
    def arm(self) -> Arm:
        """The arm that is driven."""
        return self._arm

    @property
    def task(self) -> GraspLift:
        """The task, for those who need its settings."""
        return self._task

    @property
    def commanded_rad(self) -> NDArray[np.float64]:
        """The last command (6,) [rad], or where the arm was to start."""
        return self._commanded_rad

    @property
    def guard(self) -> SafetyGuard:
        """The guard between actions and arm: its counters, its warnings, and the emergency stop."""
        return self._controller.guard

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[GymObservation, dict[str, Any]]:
        """Bring arm and cube to a start: `options["start"]`, or a random one."""
        super().reset(seed=seed)
        chosen = options or {}
        start: Start = chosen.get("start") or self._task.draw_start(self.np_random)
        joint_rad: NDArray[np.float64] | None = chosen.get("joint_rad")
        if joint_rad is None:
            joint_rad = self._controller.joints_at(start.tool_m, self._task.settings.start_gripper_rad)
        self._commanded_rad = joint_rad
        with self._reacting():
            self.guard.require_no_emergency()
            self._arm.reset(self._commanded_rad)
            self._place_cube(start.cube)
            reading = self._read()
        self._controller.begin(reading.joint_rad)
        self._task.begin(reading.sim_only)
        self._steps = 0
        return self._observation(reading), {"sim_only": reading.sim_only, "success": False}

    def step(self, action: NDArray[np.float32]) -> tuple[GymObservation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Execute one action for one control period of a simulated arm."""
        self.act(action)
        return self.observe()

    def act(self, action: NDArray[np.float32], operator_silent_s: float = 0.0) -> None:
        """Command an action (A,) of -1..1, upon what was observed last.

        operator_silent_s: for how long the device that alone drives the arm has been silent; 0 while none does
        """
        if self._reading is None:
            raise gymnasium.error.ResetNeeded("act: the environment has not been reset; call reset() first")
        with self._reacting():
            self.guard.require_no_emergency()
            self.guard.require_operator(operator_silent_s)
            self._commanded_rad, self._executed = self._controller.apply(action, self._reading.joint_rad)
            self._arm.command(self._commanded_rad)

    def observe(self) -> tuple[GymObservation, SupportsFloat, bool, bool, dict[str, Any]]:
        """What has come of the action, as Gymnasium's `step` returns it."""
        with self._reacting():
            reading = self._read()
            self.guard.judge(reading, self._commanded_rad)
        self._steps += 1
        success = self._task.succeeded(reading.sim_only)
        truncated = not success and self._steps >= self._task.settings.max_episode_steps
        info = {
            "sim_only": reading.sim_only,
            "success": success,
            "executed": self._executed,
            "clipped": self.guard.clipped,
        }
        return self._observation(reading), float(success), success, truncated, info

    def look(self) -> tuple[GymObservation, dict[str, Any]]:
        """What is seen now, between two episodes or before the first step; as `reset` returns it."""
        with self._reacting():
            reading = self._read()
            self.guard.judge(reading, self._commanded_rad)
        return self._observation(reading), {"sim_only": reading.sim_only, "success": False}

    def recover(self) -> None:
        """After an `ArmFault`: make arm and cameras usable again; raises it again while they are not."""
        self.guard.require_no_emergency()
        self._arm.recover()
        self.guard.begin()
        reading = self._arm.read()
        self._commanded_rad = reading.joint_rad
        self.guard.judge(reading, reading.joint_rad)

    def render(self) -> NDArray[np.uint8]:
        """What the first camera sees."""
        if self._reading is None:
            raise gymnasium.error.ResetNeeded("render: the environment has not been reset; call reset() first")
        return self._reading.frames[self._contract.cameras[0].name]

    def close(self) -> None:
        """Park and free the arm."""
        self._arm.close()

    def _read(self) -> ArmReading:
        self._reading = self._arm.read()
        return self._reading

    @contextmanager
    def _reacting(self) -> Iterator[None]:
        """Let the arm do what a fault asks for, before anybody hears of it."""
        try:
            yield
        except ArmFault as fault:
            react(self._arm, fault, self._commanded_rad)
            raise

    def _observation(self, reading: ArmReading) -> GymObservation:
        observation: GymObservation = {
            camera.name: preprocess_frame(reading.frames[camera.name], camera) for camera in self._contract.cameras
        }
        observation["proprioception"] = self._controller.proprioception(reading.joint_rad)
        return observation


def make_env(
    contract: Contract, arm: ArmSettings, task: TaskSettings, seed: int, emergency: EmergencyStop | None = None
) -> ArmEnv:
    """The environment with the arm that the settings name. emergency: the stop that anybody may press."""
    emergency = emergency or EmergencyStop()
    if arm.kind == "so101":
        return _real_env(contract, arm, task, emergency)
    require_simulated(contract)
    simulated = SimArm(contract.cameras, contract.control_hz, arm.randomisation, seed)
    return ArmEnv(simulated, contract, arm, task, simulated.place_cube, emergency)


def _real_env(contract: Contract, arm: ArmSettings, task: TaskSettings, emergency: EmergencyStop) -> ArmEnv:
    from robot.so101.arm import So101Arm  # LeRobot's cameras and bus cost seconds

    witnessed = arm.so101.witness is not None
    if task.judge == "simulator" and not witnessed:
        raise ArmError(
            "task.judge: got simulator, but nobody sees the cube on a real desk; set task.judge to operator and "
            "teleop.device to what you hold in your hand, or to classifier and judge.classifier to one that you have "
            "trained, or give the control socket of a virtual station as arm.so101.witness"
        )
    real_contract(contract, witnessed=witnessed).require_equal(contract, "the real arm", "the settings")
    kinematics = Kinematics(arm.controller)
    real = So101Arm(arm.so101, contract.cameras, kinematics, arm.motion, lambda: emergency.is_pressed)
    return ArmEnv(real, contract, arm, task, real.place_cube, emergency)
