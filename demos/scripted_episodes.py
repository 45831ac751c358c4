"""Episodes of the simulated arm to teach a reward classifier: hands that succeed or fail, and an operator's key.

Nobody but the hands and the key sees the simulator's truth: what is learned from is how an episode ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from demos.experience_file import new_experience
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from robot.env import ArmEnv, GymObservation, make_env
from robot.settings import ArmSettings, TaskSettings
from robot.task import CUBE_STATE
from teleop.hands import ADVERSARIES, Hand, Practised
from teleop.success_key import SuccessKey
from teleop.takeover import OperatorView

SUCCESS = "success"
ADVERSARY_STEPS = 45
_Z = CUBE_STATE.index("cube.z")

Watch = Callable[[Sequence[int]], Iterable[int]]


class Acting(Protocol):
    """Whoever drives."""

    def action(self, view: OperatorView) -> NDArray[np.float32]:
        """The next action (4,), -1..1."""
        ...


def record_episodes(
    path: Path,
    contract: Contract,
    arm: ArmSettings,
    task: TaskSettings,
    kinds: Sequence[str],
    seed: int,
    watch: Watch = iter,
) -> None:
    """A new experience file with an episode of each kind: `success`, or the name of an adversary.

    watch: gets the numbers of the episodes and gives them one by one, to show progress
    """
    env = make_env(contract, arm, task.model_copy(update={"judge": "operator"}), seed)
    try:
        with new_experience(path, contract) as experience:
            for index in watch(range(len(kinds))):
                experience.append(_episode(env, contract, task, kinds[index], index, seed), contract)
    finally:
        env.close()


def kinds_of(adversaries: Iterable[str], count: int, successes: int) -> list[str]:
    """So many episodes of adversaries in turn, and so many successes."""
    names = list(adversaries)
    return [names[index % len(names)] for index in range(count)] + [SUCCESS] * successes


def _episode(env: ArmEnv, contract: Contract, task: TaskSettings, kind: str, index: int, seed: int) -> list[Step]:
    rng = np.random.default_rng([seed, index])
    hand: Acting = Practised(contract, rng) if kind == SUCCESS else Hand(contract, ADVERSARIES[kind](rng), rng)
    most = task.max_episode_steps if kind == SUCCESS else ADVERSARY_STEPS
    seen, info = env.reset(seed=seed * 100_003 + index)
    key = SuccessKey(float(info["sim_only"][_Z]), task, rng)
    steps: list[Step] = []
    before = _observation(contract, seen, info)
    while True:
        action = hand.action(OperatorView(before.proprioception, before.sim_only))
        pressed = key.pressed(before.sim_only)
        seen, _, _, truncated, info = env.step(action)
        after = _observation(contract, seen, info)
        cut = truncated or len(steps) + 1 == most
        steps.append(
            Step(
                id=StepId(f"{seed:032x}", index, len(steps)),
                observation=before,
                action=info["executed"],
                source=Source.DEMO,
                reward=float(pressed),
                terminated=pressed,
                truncated=cut and not pressed,
                policy_version=0,
                monotonic_ns=len(steps) * 100_000_000,
                wall_ns=len(steps) * 100_000_000,
                final=after if pressed or cut else None,
            )
        )
        if pressed or cut:
            return steps
        before = after


def _observation(contract: Contract, seen: GymObservation, info: dict[str, Any]) -> Observation:
    frames = {camera.name: seen[camera.name] for camera in contract.cameras}
    return Observation(frames, seen["proprioception"], info["sim_only"])
