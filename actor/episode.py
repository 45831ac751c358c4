"""What an episode and a step of it came to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from policy.experience import Clipped, Observation, Source
from reward_classifier.judge import Opinion
from robot.errors import ArmFault
from teleop.agreement import contradiction
from teleop.takeover import Verdict


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """What one episode came to.

    cut: why it was ended from outside, by a pause, a gap, a fault, the budget or a stop; empty when it was not
    fault: of the arm, if one ended it
    rejected: why nothing is to be learned from it; empty when something is
    opinion: of the judge on what was seen last; None where none was asked
    verdict: the key with which the operator ended it; None where none was pressed
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
    opinion: Opinion | None = None
    verdict: Verdict | None = None

    @property
    def disputed(self) -> bool:
        """Whether the operator's key says otherwise than the judge."""
        if self.opinion is None or self.verdict not in (Verdict.SUCCESS, Verdict.FAILURE):
            return False
        return self.opinion.pays is not (self.verdict is Verdict.SUCCESS)

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
    clipped: Clipped | None = None
    opinion: Opinion | None = None
    verdict: Verdict | None = None

    @property
    def last(self) -> bool:
        """Whether it ends the episode."""
        return self.terminated or self.truncated

    def thought(self, opinion: Opinion) -> Made:
        """The same with the judge's opinion: where that pays, the episode succeeds, also at its last step."""
        if not opinion.pays:
            return replace(self, opinion=opinion)
        return replace(self, opinion=opinion, reward=1.0, terminated=True, truncated=False, success=True)

    def cut_short(self, why: str) -> Made:
        """The same as the last of its episode, which is ended from outside; unchanged for an empty reason."""
        return replace(self, truncated=True, cut=why) if why else self

    def refused(self, why: str) -> Made:
        """The same with nothing to be learned from its episode; not rejected for an empty reason."""
        return replace(self, rejected=self.rejected or why)

    def judged(self, verdict: Verdict | None) -> Made:
        """The same as the operator has it, whose word goes over the judge's and over a cut, not over a fault."""
        if verdict is None or self.fault is not None:
            return self
        told = replace(self, verdict=verdict)
        if verdict is Verdict.RERECORD:
            why = "to be recorded again"
            return replace(told, terminated=False, truncated=True, success=False, reward=0.0, cut=why, rejected=why)
        success = verdict is Verdict.SUCCESS
        return replace(told, terminated=True, truncated=False, success=success, reward=float(success), cut="")


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
            opinion=last.opinion,
            verdict=last.verdict,
        )
