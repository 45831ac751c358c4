"""Episodes of the simulated arm for `classifier.py`, ended by an operator's key, and the simulator's truth of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.classifier_hands import ADVERSARIES, Hand, Practised
from console.settings import Settings
from demos.experience_file import new_experience
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from policy.experience_file import ExperienceFile
from reward_classifier.frames import FrameTable
from robot.env import ArmEnv, GymObservation, make_env
from robot.settings import TaskSettings
from robot.task import CUBE_STATE, GraspLift
from teleop.takeover import OperatorView

SUCCESS = "success"
ADVERSARY_STEPS = 45
REACTION_STEPS = (4, 7)  # of an operator who sees the cube held up, until the key is down
_Z, _HELD = CUBE_STATE.index("cube.z"), CUBE_STATE.index("cube.held")
NEARLY = 0.6  # of the height that counts: between that and all of it, nobody asks


class Acting(Protocol):
    """Whoever drives."""

    def action(self, view: OperatorView) -> NDArray[np.float32]:
        """The next action (4,), -1..1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the simulator knows of the frames of a table.

    success: (E,), the task was done in the episode; label: (N,), 1 held up, 0 not, -1 nearly
    """

    success: NDArray[np.bool_]
    label: NDArray[np.int64]


def record(path: Path, settings: Settings, kinds: Sequence[str], seed: int, watch: Any = iter) -> None:
    """An experience file with an episode of each kind: `success`, or the name of an adversary."""
    task = settings.task.model_copy(update={"judge": "operator"})
    env = make_env(settings.contract, settings.arm, task, seed)
    try:
        with new_experience(path, settings.contract) as experience:
            for index in watch(range(len(kinds))):
                steps = _episode(env, settings, kinds[index], index, seed)
                experience.append(steps, settings.contract)
    finally:
        env.close()


def truth_of(experience: ExperienceFile, table: FrameTable, task: TaskSettings) -> Truth:
    """The simulator's own judgement of the same frames."""
    success, label = np.zeros(len(table.outcomes), bool), np.empty(len(table), np.int64)
    for episode, outcome in enumerate(table.outcomes):
        messages = experience.messages(outcome.id)
        seen = [*(message.observation for message in messages), messages[-1].final_observation]
        known = np.array([np.frombuffer(each.sim_only, "<f4") for each in seen])  # (n, S)
        judge = GraspLift(task)
        judge.begin(known[0])
        success[episode] = any(judge.succeeded(each) for each in known[1:])
        risen, held = known[:, _Z] - known[0, _Z], known[:, _HELD] > 0.5
        nearly = held & (risen >= NEARLY * task.lift_m)
        label[table.rows(episode)] = np.where(held & (risen >= task.lift_m), 1, np.where(nearly, -1, 0))
    return Truth(success, label)


def _episode(env: ArmEnv, settings: Settings, kind: str, index: int, seed: int) -> list[Step]:
    rng = np.random.default_rng([seed, index])
    contract = settings.contract
    hand: Acting = Practised(contract, rng) if kind == SUCCESS else Hand(contract, ADVERSARIES[kind](rng), rng)
    most = settings.task.max_episode_steps if kind == SUCCESS else ADVERSARY_STEPS
    seen, info = env.reset(seed=seed * 100_003 + index)
    key = _Key(float(info["sim_only"][_Z]), settings.task, rng)
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


class _Key:
    """The key of an operator who watches: pressed some steps after the cube hangs in the air, if it still does."""

    def __init__(self, rest_z_m: float, task: TaskSettings, rng: np.random.Generator) -> None:
        self._height_m = rest_z_m + task.lift_m
        self._reaction = int(rng.integers(REACTION_STEPS[0], REACTION_STEPS[1] + 1))
        self._seen = 0

    def pressed(self, sim_only: NDArray[np.float32]) -> bool:
        """Whether it is, at this frame. Call it once a step."""
        hangs = sim_only[_Z] >= self._height_m and sim_only[_HELD] > 0.5
        self._seen = self._seen + 1 if hangs else 0
        return self._seen > self._reaction


def _observation(contract: Contract, seen: GymObservation, info: dict[str, Any]) -> Observation:
    frames = {camera.name: seen[camera.name] for camera in contract.cameras}
    return Observation(frames, seen["proprioception"], info["sim_only"])


def kinds_of(adversaries: Iterable[str], count: int, successes: int) -> list[str]:
    """So many episodes of adversaries in turn, and so many successes."""
    names = list(adversaries)
    return [names[index % len(names)] for index in range(count)] + [SUCCESS] * successes
