"""Steps of the simulated arm, recorded once and sent as often as a benchmark likes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from console.settings import Settings
from policy.experience import Observation, Source, Step, StepId
from robot.env import GymObservation, make_env
from teleop.scripted import ScriptedOperator
from teleop.takeover import OperatorView


@dataclasses.dataclass(frozen=True)
class Counts:
    """How much a `Recording` holds."""

    env_steps: int
    demo_episodes: int


class Recording:
    """Whole episodes in memory; to the learner's feature fit it looks like an experience store."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps

    def read_after(self, cursor: int, limit: int) -> Sequence[tuple[int, Step]]:
        """Steps with their cursors, which count from 1."""
        return list(enumerate(self.steps, start=1))[cursor : cursor + limit]

    def demo_cursors(self) -> list[int]:
        """Those of demonstrated steps."""
        return [cursor for cursor, step in enumerate(self.steps, start=1) if step.source is Source.DEMO]

    def counts(self) -> Counts:
        """All that is there."""
        return Counts(len(self.steps), sum(step.last for step in self.steps))

    def endless(self, session: str) -> Iterator[Step]:
        """The steps over and over, as those of a session, taken now."""
        episode = number = 0
        for step in cycle(self.steps):
            yield dataclasses.replace(
                step,
                id=StepId(session, episode, number),
                monotonic_ns=time.monotonic_ns(),
                wall_ns=time.time_ns(),
            )
            episode, number = (episode + 1, 0) if step.last else (episode, number + 1)


def record(settings: Settings, least_steps: int) -> Recording:
    """Demonstrations of the scripted operator on the simulated arm, until there are so many steps in whole episodes."""
    env = make_env(settings.contract, settings.arm, settings.task, settings.seed)
    operator = ScriptedOperator(settings.contract, settings.operator, settings.seed)
    steps: list[Step] = []
    try:
        while len(steps) < least_steps:
            seen, info = env.reset(seed=None if steps else settings.seed)
            operator.begin_episode(demonstrating=True)
            done = False
            while not done:
                before = _observation(seen, info)
                action = operator.poll(OperatorView(before.proprioception, before.sim_only)).action
                assert action is not None  # it demonstrates
                seen, reward, terminated, truncated, info = env.step(action)
                done = terminated or truncated
                steps.append(
                    Step(
                        id=StepId("0" * 32, 0, len(steps)),
                        observation=before,
                        action=info["executed"],
                        source=Source.DEMO,
                        reward=float(reward),
                        terminated=terminated,
                        truncated=truncated,
                        policy_version=0,
                        monotonic_ns=0,
                        wall_ns=0,
                        final=_observation(seen, info) if done else None,
                    )
                )
    finally:
        env.close()
    return Recording(steps)


def _observation(seen: GymObservation, info: dict[str, Any]) -> Observation:
    frames = {name: frame for name, frame in seen.items() if name != "proprioception"}
    return Observation(frames, seen["proprioception"], info["sim_only"])
