"""What an episode and a step of it came to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from policy.experience import Observation, Source
from robot.errors import ArmFault
from teleop.agreement import contradiction
from teleop.takeover import Verdict


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """What one episode came to.

    cut: why it was ended from outside, by a pause, a gap, a fault, the budget or a stop; empty when it was not
    fault: of the arm, if one ended it
    rejected: why nothing is to be learned from it; empty when something is
    """

    episode: int
    demonstration: bool
    success: bool
    steps: int
    human_steps: int
    env_steps: int  # of the whole session so far
    cut: str = ""
    fault: ArmFault | None = None
    rejected: str = ""

    @property
    def counts_as_demonstration(self) -> bool:
        """Whether it is one of those that were asked for."""
        return self.demonstration and self.success and not self.rejected


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one step."""

    after: Observation
    executed: NDArray[np.float32]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool = False
    cut: str = ""
    fault: ArmFault | None = None
    rejected: str = ""

    @property
    def last(self) -> bool:
        """Whether it ends the episode."""
        return self.terminated or self.truncated

    def refused(self, why: str) -> Made:
        """The same with nothing to be learned from its episode; not rejected for an empty reason."""
        return replace(self, rejected=self.rejected or why)

    def judged(self, verdict: Verdict | None) -> Made:
        """The same as the operator has it, whose word goes over the task's and over a cut; a fault nobody overlooks."""
        if verdict is None or self.fault is not None:
            return self
        if verdict is Verdict.RERECORD:
            why = "to be recorded again"
            return replace(self, terminated=False, truncated=True, success=False, reward=0.0, cut=why, rejected=why)
        success = verdict is Verdict.SUCCESS
        return replace(self, terminated=True, truncated=False, success=success, reward=float(success), cut="")


class EpisodeLog:
    """What an episode has come to so far."""

    def __init__(self, contract: Contract, index: int, *, demonstrating: bool) -> None:
        self.index, self.demonstrating = index, demonstrating
        self.steps = 0
        self._contract = contract
        self._human_steps = 0
        self._actions: list[NDArray[np.float32]] = []
        self._proprioception: list[NDArray[np.float32]] = []

    def add(self, before: Observation, made: Made, source: Source) -> None:
        """One step. before: what was seen when it was chosen."""
        self.steps += 1
        self._human_steps += source in (Source.HUMAN, Source.DEMO)
        self._proprioception.append(before.proprioception)
        self._actions.append(made.executed)

    def contradiction(self, after: Observation) -> str:
        """Where its motion first went against its actions, for a person; empty when nowhere. after: its last step."""
        seen = np.array([*self._proprioception, after.proprioception])
        return contradiction(self._contract, np.array(self._actions), seen)

    def outcome(self, last: Made, env_steps: int) -> EpisodeOutcome:
        """What it came to in the end. env_steps: of the whole session so far"""
        return EpisodeOutcome(
            episode=self.index,
            demonstration=self.demonstrating,
            success=last.success,
            steps=self.steps,
            human_steps=self._human_steps,
            env_steps=env_steps,
            cut=last.cut,
            fault=last.fault,
            rejected=last.rejected,
        )
