"""The scripted operator: demonstrates, lets the policy try, nudges it when it is stuck, and says when all is over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from teleop.expert import Expert
from teleop.settings import OperatorSettings
from teleop.takeover import Control, Decision, OperatorView, Verdict

_FINGERS_M = 0.01  # the jaws reach so far beyond the tool's place


class ScriptedOperator:
    """Stands where a person would stand, with a seeded hand.

    In a demonstration it drives throughout, with noise on its actions. In training it leads the first episodes from
    somewhere on their way to their end, ever fewer of them (`guided_episodes`; as beta falls in DAgger, Ross et al.,
    AISTATS 2011). In the others it leaves the first `explore_steps` to the policy, then takes over for a few steps
    whenever nothing has come closer for a while: ever less as the policy succeeds. A cube that has been pushed to where
    the tool cannot get ends the episode as failed: nothing that could be learned would come.

    trained_episodes: those that the run has had before, by which it leads fewer
    """

    def __init__(self, contract: Contract, settings: OperatorSettings, seed: int, trained_episodes: int = 0) -> None:
        self._settings = settings
        self._expert = Expert(contract)
        self._generator = np.random.default_rng(seed)
        names = [dimension.name for dimension in contract.proprioception]
        self._tool = [names.index(f"tool.{axis}") for axis in "xyz"]
        tool = [contract.proprioception[index] for index in self._tool[:2]]
        self._low_m, self._high_m = np.array([(each.low, each.high) for each in tool]).T
        self._demonstrating = False
        self._step = 0
        self._episodes = trained_episodes

    def begin_episode(self, *, demonstrating: bool) -> None:
        """Decide how long the policy may explore first."""
        self._demonstrating = demonstrating
        self._step = 0
        self._explore_until = self._draw(self._settings.explore_steps)
        self._takeover_until = 0
        self._leads_from = self._drawn_lead() if not demonstrating else None
        self._best = -np.inf
        self._stuck_since = 0
        self._expert.begin()

    @property
    def paused(self) -> bool:
        """A program needs no rest."""
        return False

    def awaits(self, _view: OperatorView, *, demonstrating: bool) -> str:  # noqa: ARG002  # a program is ever ready
        """Nothing."""
        return ""

    def poll(self, view: OperatorView) -> Decision:
        """Its action, or the policy's turn while the hands are off."""
        action = self._action(view)
        verdict = Verdict.FAILURE if self._settings.gives_up and self._is_lost(view) else None
        return Decision(Control.POLICY if action is None else Control.HUMAN, action, verdict)

    def _action(self, view: OperatorView) -> NDArray[np.float32] | None:
        self._step += 1
        if self._demonstrating:
            return self._act(view, self._settings.demo_noise)
        if not self._settings.interventions:
            return None
        if self._leads_from is not None:
            return self._act(view, self._settings.demo_noise) if self._step > self._leads_from else None
        if self._step <= self._explore_until:
            return None
        if self._step > self._takeover_until and self._is_stuck(view):
            self._takeover_until = self._step + self._draw(self._settings.takeover_steps)
            self._expert.begin()
        if self._step > self._takeover_until:
            return None
        self._stuck_since = self._step
        return self._act(view, self._settings.demo_noise)

    def _drawn_lead(self) -> int | None:
        """The step after which it leads this episode; None where it only helps."""
        guided = self._settings.guided_episodes
        left = guided - self._episodes
        self._episodes += 1
        if left <= 0 or self._generator.random() * guided >= left:
            return None
        return self._draw(self._settings.guided_from_step)

    def _is_stuck(self, view: OperatorView) -> bool:
        """True when for `patience_steps` the tool has come no closer to the cube, nor the cube higher."""
        cube_m, held = view.sim_only[:3], view.sim_only[4]
        distance_m = float(np.linalg.norm(view.proprioception[self._tool] - cube_m))
        progress_m = 3.0 * float(cube_m[2]) * float(held) - distance_m
        if progress_m > self._best + 0.002:
            self._best, self._stuck_since = progress_m, self._step
        return self._step - self._stuck_since >= self._settings.patience_steps

    def _is_lost(self, view: OperatorView) -> bool:
        """True when the cube lies beyond where the contract has the tool."""
        cube_m, held = view.sim_only[:2], view.sim_only[4] > 0.5
        beyond = (cube_m < self._low_m - _FINGERS_M) | (cube_m > self._high_m + _FINGERS_M)
        return bool(beyond.any()) and not held

    def _act(self, view: OperatorView, noise: float) -> NDArray[np.float32]:
        action = self._expert.action(view)
        shaken = action + self._generator.normal(0.0, noise, action.shape)
        return np.clip(shaken, -1.0, 1.0).astype(np.float32)

    def _draw(self, low_high: tuple[int, int]) -> int:
        return int(self._generator.integers(low_high[0], low_high[1] + 1))
