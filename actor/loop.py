"""The control loop: observe, act, record; whoever is in control, at every tick."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from actor.clock import Deadlines, Stopwatch
from actor.errors import ActorError
from actor.settings import LoopSettings
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from robot.env import ArmEnv, GymObservation
from teleop.takeover import Operator, OperatorView, source_of


class ActingPolicy(Protocol):
    """What the loop needs of a policy (`actor.inference.Policy`)."""

    def load_snapshot(self, data: bytes) -> int:
        """Act with this snapshot from now on."""
        ...

    def select_action(
        self, observation: Observation, deterministic: bool, generator: torch.Generator
    ) -> NDArray[np.float32]:
        """The action (A,), -1..1."""
        ...


class Link(Protocol):
    """What the loop needs of the link to the learner (`actor.link.LearnerLink`)."""

    @property
    def session(self) -> str:
        """The id of this start of the actor."""
        ...

    @property
    def steps_behind(self) -> int:
        """How many steps the learner is behind its update-to-data ratio."""
        ...

    def send(self, step: Step) -> None:
        """Take a step for delivery; never waits."""
        ...

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        """Version and bytes of a snapshot not handed out before, else None."""
        ...


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """What one episode came to."""

    episode: int
    demonstration: bool
    success: bool
    steps: int
    human_steps: int
    env_steps: int  # of the whole session so far


class ControlLoop:
    """Runs episodes until the step budget is spent or someone says stop.

    The learner being away never stops a tick: steps go to the link's spool and the newest policy acts on.
    """

    def __init__(
        self,
        env: ArmEnv,
        contract: Contract,
        settings: LoopSettings,
        link: Link,
        policy: ActingPolicy,
        operator: Operator,
        seed: int,
        on_episode: Callable[[EpisodeOutcome], None],
    ) -> None:
        self._env, self._contract, self._settings = env, contract, settings
        self._link, self._policy, self._operator = link, policy, operator
        self._seed, self._on_episode = seed, on_episode
        self._generator = torch.Generator().manual_seed(seed)
        self._deadlines = Deadlines(contract.control_hz)
        self._policy_version = 0
        self._env_steps = 0
        self.stopwatch = Stopwatch()

    @property
    def overruns(self) -> int:
        """Ticks that missed their deadline (pace `realtime` only)."""
        return self._deadlines.overruns

    def run(self, stop: threading.Event) -> None:
        """Demonstrate, then train, until the budget is spent or `stop` is set."""
        demonstrated = episode = 0
        while not stop.is_set() and self._env_steps < self._settings.max_env_steps:
            demonstrating = demonstrated < self._settings.demo_episodes
            if not demonstrating and self._policy_version == 0 and not self._wait_for_policy(stop):
                return
            outcome = self._run_episode(episode, demonstrating, stop)
            demonstrated += demonstrating and outcome.success
            episode += 1
            self._on_episode(outcome)

    def _run_episode(self, episode: int, demonstrating: bool, stop: threading.Event) -> EpisodeOutcome:
        seen, info = self._env.reset(seed=self._seed if episode == 0 else None)
        self._operator.begin_episode(demonstrating=demonstrating)
        observation = self._observation(seen, info)
        success, human_steps, number = False, 0, 0
        self._deadlines.start()
        while True:
            self._wait_for_tick(stop, demonstrating)
            self._swap_policy()
            observed = time.monotonic_ns(), time.time_ns()
            action, source = self._choose(observation, demonstrating)
            with self.stopwatch.measure("arm and cameras"):
                seen, reward, terminated, truncated, info = self._env.step(action)
            after = self._observation(seen, info)
            self._env_steps += 1
            spent = self._env_steps >= self._settings.max_env_steps or stop.is_set()
            truncated = truncated or (spent and not terminated)
            with self.stopwatch.measure("record"):
                self._link.send(
                    Step(
                        id=StepId(self._link.session, episode, number),
                        observation=observation,
                        action=info["executed"],
                        source=source,
                        reward=float(reward),
                        terminated=terminated,
                        truncated=truncated,
                        policy_version=self._policy_version,
                        monotonic_ns=observed[0],
                        wall_ns=observed[1],
                        final=after if terminated or truncated else None,
                    )
                )
            observation = after
            number += 1
            human_steps += source is not Source.POLICY
            success = bool(info["success"])
            if terminated or truncated:
                break
        self._operator.end_episode(success=success, human_steps=human_steps)
        return EpisodeOutcome(episode, demonstrating, success, number, human_steps, self._env_steps)

    def _choose(self, observation: Observation, demonstrating: bool) -> tuple[NDArray[np.float32], Source]:
        taken = self._operator.poll(OperatorView(observation.proprioception, observation.sim_only))
        source = source_of(taken, demonstrating=demonstrating)
        if taken is not None:
            return taken, source
        if demonstrating:
            raise ActorError(
                "demonstration: the operator's hands are off at a tick that nobody else drives; take over, or end the "
                "demonstration"
            )
        with self.stopwatch.measure("select action"):
            return self._policy.select_action(observation, False, self._generator), source

    def _observation(self, seen: GymObservation, info: dict[str, Any]) -> Observation:
        frames = {camera.name: seen[camera.name] for camera in self._contract.cameras}
        return Observation(frames, seen["proprioception"], info["sim_only"])

    def _swap_policy(self) -> None:
        newest = self._link.latest_snapshot()
        if newest is not None:
            version, data = newest
            with self.stopwatch.measure("swap weights"):
                self._policy.load_snapshot(data)
            self._policy_version = version

    def _wait_for_tick(self, stop: threading.Event, demonstrating: bool) -> None:
        if self._settings.pace == "realtime":
            self._deadlines.wait()
            return
        with self.stopwatch.measure("wait for the learner"):
            ahead = self._settings.most_steps_ahead
            while not demonstrating and self._link.steps_behind > ahead and not stop.is_set():
                time.sleep(0.002)

    def _wait_for_policy(self, stop: threading.Event) -> bool:
        """Wait for the first snapshot; False when stopped meanwhile."""
        deadline_s = time.monotonic() + self._settings.policy_wait_s
        while not stop.is_set():
            self._swap_policy()
            if self._policy_version:
                return True
            if time.monotonic() > deadline_s:
                raise ActorError(
                    f"first policy: none came within {self._settings.policy_wait_s:.0f} s of the demonstrations; see "
                    f"the learner's terminal, or raise loop.policy_wait_s"
                )
            stop.wait(0.05)
        return False
