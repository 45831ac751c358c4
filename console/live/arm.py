"""Arms as `nudge classifier live` looks at them: a real one that nobody drives, or a simulated one that a scripted hand
drives. Each is an iterator, and whoever asks for the next tick says when.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from console.live.watch import Seen
from console.settings import Settings
from policy.experience import Observation
from policy.preprocess import preprocess_frame
from robot.arm import ArmReading
from robot.contract import real_contract
from robot.controller import EndEffectorController
from robot.env import ArmEnv, GymObservation, make_env
from robot.task import CUBE_STATE
from teleop.scripted import ScriptedOperator
from teleop.takeover import OperatorView

LINGER_STEPS = 12  # a scripted hand goes on holding up what it has lifted, so that the judge may pay
MISS_EVERY = 3  # one in so many episodes fails: the hand closes beside the cube
MISS_M = 0.045


def looked_at(settings: Settings) -> Generator[Seen]:
    """The real arm, or `nudge virtual`: its torque stays as it is. Raise `ArmError` where it cannot be opened."""
    from robot.so101.onlooker import So101Onlooker  # LeRobot's cameras and bus cost seconds

    arm, contract = settings.arm, settings.contract
    witnessed = arm.so101.witness is not None
    real_contract(contract, witnessed=witnessed).require_equal(contract, "the real arm", "the settings")
    controller = EndEffectorController(arm.controller, contract.action_scale)
    nothing_known = np.zeros(len(contract.sim_only), np.float32)
    with So101Onlooker(arm.so101, contract.cameras) as onlooker:
        for tick in itertools.count():
            reading = onlooker.read()
            controller.begin(reading.joint_rad)  # nobody commands it: its targets are where it is
            frames = {camera.name: preprocess_frame(reading.frames[camera.name], camera) for camera in contract.cameras}
            proprioception = controller.proprioception(reading.joint_rad)
            seen = Observation(frames, proprioception, nothing_known)
            yield Seen(seen, _freshness(reading, arm.safety.stale_frame_s), begins=tick == 0)


def scripted(settings: Settings) -> Generator[Seen]:
    """A simulated arm and a hand that lifts the cube, or closes beside it. All of it in the thread that asks."""
    operator = ScriptedOperator(settings.contract, settings.operator, settings.seed)
    env = make_env(settings.contract, settings.arm, settings.task, settings.seed)
    try:
        for number in itertools.count():
            yield from _played(env, operator, settings, number)
    finally:
        env.close()


def _played(env: ArmEnv, operator: ScriptedOperator, settings: Settings, number: int) -> Generator[Seen]:
    """One episode."""
    misses = number % MISS_EVERY == MISS_EVERY - 1
    what = "a hand that closes beside the cube" if misses else "a hand that lifts the cube"
    seen, info = env.reset(seed=settings.seed + number)
    operator.begin_episode(demonstrating=True)
    left = LINGER_STEPS
    for step in range(settings.task.max_episode_steps):
        yield Seen(_observation(seen, info["sim_only"]), f"{what}: step {step:>2}", begins=step == 0)
        left -= bool(info["success"])
        if left < 0:
            return
        truth = _beside(info["sim_only"]) if misses else info["sim_only"]
        action = operator.poll(OperatorView(seen["proprioception"], truth)).action
        assert action is not None  # who demonstrates drives throughout
        seen, _, _, _, info = env.step(action)


def _observation(seen: GymObservation, sim_only: NDArray[np.float32]) -> Observation:
    frames = {name: value for name, value in seen.items() if name != "proprioception"}
    return Observation(frames, seen["proprioception"], sim_only)


def _beside(sim_only: NDArray[np.float32]) -> NDArray[np.float32]:
    """A cube where none is, which nobody can hold."""
    moved = sim_only.copy()
    moved[CUBE_STATE.index("cube.y")] += MISS_M if moved[CUBE_STATE.index("cube.y")] < 0 else -MISS_M
    moved[CUBE_STATE.index("cube.held")] = 0.0
    return moved


def _freshness(reading: ArmReading, stale_s: float) -> str:
    late = [f"{name}'s picture is {age_s:.1f} s old" for name, age_s in reading.frame_age_s.items() if age_s > stale_s]
    return f"the arm as it stands, nobody drives it{': ' if late else ''}{', '.join(late)}"
