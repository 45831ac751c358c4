"""One tick of the arm: act, let the control period pass, observe, and hear what came of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from actor.clock import GapWatch
from actor.episode import Made
from actor.roles import RewardJudge
from actor.settings import LoopSettings
from actor.timing import LoopTiming
from policy.contract import Contract
from policy.experience import Clipped, Observation
from robot.env import ArmEnv, GymObservation
from robot.errors import ArmFault


class Ticker:
    """Makes the steps of episodes, by the clock where that is real. judge: who pays; None: the task itself does"""

    def __init__(
        self, env: ArmEnv, contract: Contract, settings: LoopSettings, timing: LoopTiming, judge: RewardJudge | None
    ) -> None:
        self._env, self._contract, self._settings, self._judge = env, contract, settings, judge
        self._timing, self._measure = timing, timing.stopwatch.measure
        self._gaps = GapWatch(settings.max_gap_s)

    @property
    def gaps(self) -> int:
        """How often the process, or its host, had slept (pace `realtime` only)."""
        return self._gaps.gaps

    def reset(self, seed: int | None) -> Observation:
        """Bring arm and cube to a start, and look."""
        with self._measure("reset"):
            return self._observation(*self._env.reset(seed=seed))

    def look(self) -> Observation:
        """What is seen while nothing moves."""
        return self._observation(*self._env.look())

    def begin(self, first: Observation) -> None:
        """An episode begins with what is seen; time counts from now."""
        if self._judge is not None:
            with self._measure("judge"):
                self._judge.begin(first)
        self._timing.begin_episode()
        self._gaps.start()

    def slept(self) -> bool:
        """Whether so much time has passed since the last look at the clock that the world has moved on."""
        return self._settings.pace == "realtime" and self._gaps.slept()

    def make(self, action: NDArray[np.float32], before: Observation, silent_s: float, *, slept: bool) -> Made:
        """Act, let the period pass, observe, and let the judge say what it thinks.

        silent_s: how long the device was silent that nobody but it can drive
        slept: the world has moved on since `before` was seen
        """
        try:
            with self._measure("act"):
                self._env.act(action, silent_s)
            self._timing.acted()
            slept = self._wait_for_period() or slept
            self._timing.observing()
            with self._measure("observe"):
                seen, reward, terminated, truncated, info = self._env.observe()
        except ArmFault as fault:
            # Nobody has seen what came of the action: it counts as one that led nowhere, and bootstraps as such.
            return Made(before, np.zeros_like(action), truncated=True, cut=f"{fault}", fault=fault)
        after, clipped = self._observation(seen, info), Clipped(*info["clipped"])
        if slept:  # what happened meanwhile is none of this episode's doing
            cut = f"no tick for {self._settings.max_gap_s:g} s"
            return Made(after, info["executed"], truncated=True, cut=cut, clipped=clipped)
        made = Made(
            after,
            info["executed"],
            float(reward),
            terminated=terminated,
            truncated=truncated,
            success=bool(info["success"]),
            clipped=clipped,
        )
        if self._judge is None:
            return made
        with self._measure("judge"):
            return made.thought(self._judge.opinion(after))

    def _wait_for_period(self) -> bool:
        """In real time let the control period pass; True when that took so long that the world has moved on."""
        if self._settings.pace != "realtime":
            return False
        self._timing.deadlines.wait()
        return self._gaps.slept()

    def _observation(self, seen: GymObservation, info: dict[str, Any]) -> Observation:
        frames = {camera.name: seen[camera.name] for camera in self._contract.cameras}
        return Observation(frames, seen["proprioception"], info["sim_only"])
