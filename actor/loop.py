"""The control loop: observe, act, record; whoever is in control, at every tick."""

from __future__ import annotations

import threading
import time

import numpy as np
import torch
from numpy.typing import NDArray

from actor.camera_watch import CameraWatch
from actor.episode import EpisodeLog, EpisodeOutcome
from actor.errors import ActorError
from actor.patience import Patience
from actor.recovery import wait_until_sound
from actor.roles import ActingPolicy, Link, Onlooker, RewardJudge
from actor.settings import LoopSettings, start_seed
from actor.tick import Ticker
from actor.timing import LoopTiming
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from robot.env import ArmEnv
from robot.errors import ArmFault
from teleop.takeover import Control, Decision, Operator, OperatorView


class ControlLoop:
    """Runs episodes until the step budget is spent or someone says stop, from where the link's session stands.

    The learner being away never stops a tick: steps go to the spool, and the newest policy acts on. When the link asks
    for a pause, the episode ends in order, and the arm holds still until it may go on. A fault of the arm ends the
    episode too; the next one begins once the arm is sound again, without a restart.

    judge: pays the rewards, unless the operator says otherwise; None: the task itself does
    timing: takes note of how its ticks keep time, for others to watch; None makes one
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
        cameras: CameraWatch,
        onlooker: Onlooker,
        judge: RewardJudge | None = None,
        timing: LoopTiming | None = None,
    ) -> None:
        self._env, self._contract, self._settings = env, contract, settings
        self._link, self._policy, self._operator = link, policy, operator
        self._cameras, self._onlooker = cameras, onlooker
        self._begun = link.progress
        self._env_steps = self._begun.env_steps
        self._seed = start_seed(seed, self._begun.next_episode)
        self._generator = torch.Generator().manual_seed(self._seed)
        self._patience = Patience(link, settings)
        self._policy_version = 0
        self._control: Control | None = None  # who was in control at the last tick
        self.timing = timing or LoopTiming(contract.control_hz)
        self._measure = self.timing.stopwatch.measure
        self._ticker = Ticker(env, contract, settings, self.timing, judge)

    @property
    def gaps(self) -> int:
        """Episodes cut because the process, or its host, had slept (pace `realtime` only)."""
        return self._ticker.gaps

    def run(self, stop: threading.Event) -> None:
        """Demonstrate, then train, until the budget is spent or `stop` is set."""
        demonstrated, episode = self._begun.demonstrations, self._begun.next_episode
        while self._patience.between_episodes(stop) and self._env_steps < self._settings.max_env_steps:
            demonstrating = demonstrated < self._settings.demo_episodes
            if not demonstrating and self._policy_version == 0 and not self._wait_for_policy(stop):
                return
            started = self._start(episode, demonstrating, stop)
            if started is None:
                return
            outcome = self._run_episode(episode, demonstrating, started, stop)
            demonstrated += outcome.counts_as_demonstration
            episode += 1
            self._onlooker.episode_ended(outcome)
            for finding in self._cameras.findings():
                self._onlooker.camera_drifted(finding)
            if outcome.fault is not None:
                self._wait_for_arm(outcome.fault, stop)

    def _start(self, episode: int, demonstrating: bool, stop: threading.Event) -> Observation | None:
        """Bring arm and cube to a start, again and again if a fault comes in between; None when stopped meanwhile."""
        seed = self._seed if episode == self._begun.next_episode else None
        while not stop.is_set():
            try:
                return self._once_the_operator_is_ready(self._ticker.reset(seed), demonstrating, stop)
            except ArmFault as fault:
                self._wait_for_arm(fault, stop)
        return None

    def _once_the_operator_is_ready(
        self, seen: Observation, demonstrating: bool, stop: threading.Event
    ) -> Observation | None:
        """What is seen once the episode may begin, the arm standing at its start; None when stopped meanwhile."""
        told = ""
        while wish := self._operator.awaits(_view(seen), demonstrating=demonstrating):
            if wish != told:
                self._onlooker.operator_awaited(wish)
                told = wish
            if stop.wait(1 / self._contract.control_hz):
                return None
            seen = self._ticker.look()
        return seen

    def _run_episode(
        self, index: int, demonstrating: bool, observation: Observation, stop: threading.Event
    ) -> EpisodeOutcome:
        self._onlooker.episode_began(index, demonstrating=demonstrating)
        self._operator.begin_episode(demonstrating=demonstrating)
        log = EpisodeLog(self._contract, index, demonstrating=demonstrating)
        self._control = None
        self._ticker.begin(observation)
        while True:
            self._wait_for_learner(stop, demonstrating)
            self._swap_policy()
            observed = time.monotonic_ns(), time.time_ns()
            slept = self._ticker.slept()
            decision = self._ask_operator(observation)
            action, source = self._choose(observation, decision, demonstrating, slept=slept)
            self._env_steps += 1
            silent_s = decision.silent_s if demonstrating else 0.0
            made = self._ticker.make(action, observation, silent_s, slept=slept)
            if not made.last:
                made = made.cut_short(self._cut(stop))
            made = made.judged(decision.verdict)
            number = log.steps
            log.add(observation, made, source)
            if made.last and demonstrating:
                made = made.refused(log.contradiction(made.after))
            with self._measure("record"):
                self._link.send(
                    Step(
                        id=StepId(self._link.session, index, number),
                        observation=observation,
                        action=made.executed,
                        source=source,
                        reward=made.reward,
                        terminated=made.terminated,
                        truncated=made.truncated,
                        policy_version=self._policy_version,
                        monotonic_ns=observed[0],
                        wall_ns=observed[1],
                        final=made.after if made.last else None,
                        rejected=bool(made.rejected),
                        judgement=None if made.opinion is None else made.opinion.judgement,
                        clipped=made.clipped,
                    )
                )
            self._cameras.see(observation.frames, demonstrating=demonstrating)
            observation = made.after
            if made.last:
                return log.outcome(made, self._env_steps)

    def _ask_operator(self, observation: Observation) -> Decision:
        """Who drives now; whoever watches is told when that is somebody else."""
        decision = self._operator.poll(_view(observation))
        if decision.control is not self._control:
            self._control = decision.control
            self._onlooker.control_changed(decision.control)
        if decision.lost:
            self._onlooker.device_lost(decision.lost)
        return decision

    def _cut(self, stop: threading.Event) -> str:
        """Why the episode must end with the step that was just made; empty when it may go on."""
        if stop.is_set():
            return "stopped"
        if self._env_steps >= self._settings.max_env_steps:
            return "the step budget is spent"
        if self._operator.paused:
            return "paused by the operator"
        return self._patience.cut()

    def _choose(
        self, observation: Observation, decision: Decision, demonstrating: bool, *, slept: bool
    ) -> tuple[NDArray[np.float32], Source]:
        """The action (A,), and whose it is. slept: nobody has seen the world as it is now, so the arm stands still."""
        still = np.zeros(len(self._contract.action), np.float32)
        if slept:
            return still, Source.DEMO if demonstrating else Source.HOLD
        source = decision.source(demonstrating=demonstrating)
        if decision.action is not None:
            return decision.action, source
        if source is not Source.POLICY:
            return still, source
        with self._measure("select action"):
            return self._policy.select_action(observation, self._settings.exploration, self._generator), source

    def _swap_policy(self) -> None:
        newest = self._link.latest_snapshot()
        if newest is not None:
            version, data = newest
            with self._measure("swap weights"):
                self._policy.load_snapshot(data)
            self._policy_version = version

    def _wait_for_learner(self, stop: threading.Event, demonstrating: bool) -> None:
        if self._settings.pace == "learner":
            with self._measure("wait for the learner"):
                self._patience.between_ticks(stop, demonstrating=demonstrating)

    def _wait_for_arm(self, fault: ArmFault, stop: threading.Event) -> None:
        if wait_until_sound(self._env, fault, self._onlooker.arm_faulty, stop):
            self._onlooker.arm_sound()

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


def _view(observation: Observation) -> OperatorView:
    return OperatorView(observation.proprioception, observation.sim_only)
