"""What drift of the cameras is told, and how often where there is none, on episodes of the simulated arm.

    python bench/drift.py

The reference is made of 20 scripted episodes. Windows of 30 other ones should give no finding; lamps and cameras that
were moved should.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mujoco
import numpy as np

from robot.cameras.comparison import Frames
from robot.cameras.drift import drift
from robot.cameras.reference import Reference
from robot.cameras.settings import DriftSettings
from robot.env import make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import SimArm, sim_contract
from teleop.scripted import ScriptedOperator
from teleop.settings import OperatorSettings
from teleop.takeover import OperatorView

CONTRACT = sim_contract()
NAMES = tuple(camera.name for camera in CONTRACT.cameras)
WINDOWS = (100, 150, 200)  # frames
EVERY = 20  # frames between the beginnings of two windows

type Change = Callable[[mujoco.MjModel], None]
type Triple = tuple[float, float, float]


def lamps(*factor: float) -> Change:
    """Lamps of another strength, or with a tint."""

    def change(model: mujoco.MjModel) -> None:
        model.light_diffuse[:] *= factor

    return change


def moved(camera: str, by_m: Triple = (0, 0, 0), turn_deg: Triple = (0, 0, 0)) -> Change:
    """A camera moved along and turned about its own axes."""

    def change(model: mujoco.MjModel) -> None:
        one = model.camera(camera).id
        axes, turn, turned = np.zeros(9), np.zeros(4), np.zeros(4)
        mujoco.mju_quat2Mat(axes, model.cam_quat[one])
        model.cam_pos[one] += axes.reshape(3, 3) @ np.array(by_m)
        mujoco.mju_euler2Quat(turn, np.radians(turn_deg), "xyz")
        mujoco.mju_mulQuat(turned, model.cam_quat[one], turn)
        model.cam_quat[one] = turned

    return change


CHANGES: dict[str, Change] = {
    "nothing": lamps(1.0),
    "lamps at 70 %": lamps(0.7),
    "lamps at 90 %": lamps(0.9),
    "lamps at 120 %": lamps(1.2),
    "warm lamps": lamps(1.1, 1.0, 0.8),
    "front 5 mm": moved("front", by_m=(0.005, 0, 0)),
    "front 10 mm": moved("front", by_m=(0.01, 0, 0)),
    "front 0.5 deg": moved("front", turn_deg=(0.5, 0, 0)),
    "front 1 deg": moved("front", turn_deg=(0, 1, 0)),
    "front 2 deg askew": moved("front", turn_deg=(0, 0, 2)),
    "wrist 3 mm": moved("wrist", by_m=(0.003, 0, 0)),
    "wrist 1 deg": moved("wrist", turn_deg=(1, 0, 0)),
    "wrist 2 deg askew": moved("wrist", turn_deg=(0, 0, 2)),
}


def main() -> None:
    """Print the rate of false alarms, and what is told of each change."""
    reference = Reference.of(CONTRACT, film(range(20)))
    others = film(range(20, 50))
    for frames in WINDOWS:
        begins = range(0, len(others[NAMES[0]]) - frames + 1, EVERY)
        windows = ({name: seen[begin : begin + frames] for name, seen in others.items()} for begin in begins)
        alarms = sum(bool(drift(reference, window, DriftSettings())) for window in windows)
        print(f"windows of {frames} frames: {alarms} false alarms in {len(begins)}")
    for what, change in CHANGES.items():
        found = drift(reference, film(range(500, 507), change), DriftSettings())
        print(f"{what}: {'; '.join(str(finding).partition(' away')[0] for finding in found) or 'no finding'}")


def film(seeds: Sequence[int], change: Change = CHANGES["nothing"]) -> dict[str, Frames]:
    """Frames of scripted episodes, one after the other, with this done to the scene."""
    env = make_env(CONTRACT, ArmSettings(), TaskSettings(), seed=0)
    assert isinstance(env.arm, SimArm)
    change(env.arm.model)
    operator = ScriptedOperator(CONTRACT, OperatorSettings(), seed=0)
    seen: list[dict[str, Frames]] = []
    for seed in seeds:
        observation, info = env.reset(seed=seed)
        operator.begin_episode(demonstrating=True)
        ended = False
        while not ended:
            seen.append({name: observation[name] for name in NAMES})
            action = operator.poll(OperatorView(observation["proprioception"], info["sim_only"])).action
            assert action is not None
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
    env.close()
    return {name: np.stack([frames[name] for frames in seen]) for name in NAMES}


if __name__ == "__main__":
    main()
