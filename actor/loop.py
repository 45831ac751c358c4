"""The control loop: observe, act, record; whoever is in control, at every tick."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actor.clock import Deadlines, GapWatch, Stopwatch
from actor.errors import ActorError
from actor.link_state import PauseCause
from actor.roles import ActingPolicy, Link
from actor.settings import LoopSettings, start_seed
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from robot.env import ArmEnv, GymObservation
from teleop.takeover import Operator, OperatorView, source_of


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """What one episode came to.

    cut: why it was ended from outside, by a pause, a gap, the budget or a stop; empty when it was not
    """

    episode: int
    demonstration: bool
    success: bool
    steps: int
    human_steps: int
    env_steps: int  # of the whole session so far
    cut: str = ""


class ControlLoop:
    """Runs episodes until the step budget is spent or someone says stop, from where the link's session stands.

    The learner being away never stops a tick: steps go to the spool, and the newest policy acts on. When the link asks
    for a pause, the episode ends in order, and the arm holds still until it may go on.
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
        self._on_episode = on_episode
        self._begun = link.progress
        self._env_steps = self._begun.env_steps
        self._seed = start_seed(seed, self._begun.next_episode)
        self._generator = torch.Generator().manual_seed(self._seed)
        self._deadlines = Deadlines(contract.control_hz)
        self._gaps = GapWatch(settings.max_gap_s)
        self._policy_version = 0
        self.stopwatch = Stopwatch()

    @property
    def overruns(self) -> int:
        """Ticks that missed their deadline (pace `realtime` only)."""
        return self._deadlines.overruns

    @property
    def gaps(self) -> int:
        """Episodes cut because the process, or its host, had slept (pace `realtime` only)."""
        return self._gaps.gaps

    def run(self, stop: threading.Event) -> None:
        """Demonstrate, then train, until the budget is spent or `stop` is set."""
        demonstrated, episode = self._begun.demonstrations, self._begun.next_episode
        while self._wait_while_paused(stop) and self._env_steps < self._settings.max_env_steps:
            demonstrating = demonstrated < self._settings.demo_episodes
            if not demonstrating and self._policy_version == 0 and not self._wait_for_policy(stop):
                return
            outcome = self._run_episode(episode, demonstrating, stop)
            demonstrated += demonstrating and outcome.success
            episode += 1
            self._on_episode(outcome)

    def _run_episode(self, episode: int, demonstrating: bool, stop: threading.Event) -> EpisodeOutcome:
        seen, info = self._env.reset(seed=self._seed if episode == self._begun.next_episode else None)
        self._operator.begin_episode(demonstrating=demonstrating)
        observation = self._observation(seen, info)
        human_steps, number = 0, 0
        self._deadlines.start()
        self._gaps.start()
        while True:
            slept = self._wait_for_tick(stop, demonstrating)
            self._swap_policy()
            observed = time.monotonic_ns(), time.time_ns()
            action, source = self._hold(demonstrating) if slept else self._choose(observation, demonstrating)
            with self.stopwatch.measure("arm and cameras"):
                seen, reward, terminated, truncated, info = self._env.step(action)
            after, success = self._observation(seen, info), bool(info["success"])
            self._env_steps += 1
            cut = "" if terminated or truncated else self._cut(stop)
            if slept:  # what happened meanwhile is none of this episode's doing
                reward, terminated, success, cut = 0.0, False, False, f"no tick for {self._settings.max_gap_s:g} s"
            truncated = truncated or bool(cut)
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
            if terminated or truncated:
                break
        return EpisodeOutcome(episode, demonstrating, success, number, human_steps, self._env_steps, cut)

    def _cut(self, stop: threading.Event) -> str:
        """Why the episode must end with the step that was just made; empty when it may go on."""
        if stop.is_set():
            return "stopped"
        if self._env_steps >= self._settings.max_env_steps:
            return "the step budget is spent"
        pause = self._link.pause
        if pause is None or not pause.cuts_episode or self._can_wait_in_tick(pause.cause):
            return ""
        return pause.cause.value

    def _can_wait_in_tick(self, cause: PauseCause) -> bool:
        """A simulated world stands still until the disk has caught up; a real one does not."""
        return cause is PauseCause.QUEUE and self._settings.pace == "learner"

    def _hold(self, demonstrating: bool) -> tuple[NDArray[np.float32], Source]:
        """No motion: nobody has seen the world as it is now."""
        return np.zeros(len(self._contract.action), np.float32), Source.DEMO if demonstrating else Source.POLICY

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

    def _wait_for_tick(self, stop: threading.Event, demonstrating: bool) -> bool:
        """Wait until the next step is due; True when that took so long that the world has moved on."""
        if self._settings.pace == "realtime":
            self._deadlines.wait()
            return self._gaps.slept()
        with self.stopwatch.measure("wait for the learner"):
            while self._is_ahead(demonstrating) and not stop.is_set():
                time.sleep(0.002)
        return False

    def _is_ahead(self, demonstrating: bool) -> bool:
        pause = self._link.pause
        if pause is not None and pause.cuts_episode:
            return self._can_wait_in_tick(pause.cause)
        return not demonstrating and self._link.steps_behind > self._settings.most_steps_ahead

    def _wait_while_paused(self, stop: threading.Event) -> bool:
        """Begin no episode while the link asks for a pause; False when stopped."""
        while self._link.pause is not None and not stop.is_set():
            stop.wait(0.1)
        return not stop.is_set()

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
