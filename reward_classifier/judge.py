"""Says at each tick whether the task is done: k of the last n frames, the gate, and not too early. Pays once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from policy.contract import Contract, Frozen
from policy.errors import InvalidExperience
from policy.experience import Judgement, Reason
from reward_classifier.gate import BoundGate, Gate


class Rule(Frozen):
    """When an episode is paid for."""

    threshold: float = Field(ge=0, le=1, description="A frame looks like success from this probability on.")
    k: int = Field(gt=0, description="So many of the last `n` frames must.")
    n: int = Field(gt=0)
    minimum_step: int = Field(ge=0, description="The first step that may be paid for, counted from 0.")
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _k_of_n(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k of n: got {self.k} of {self.n}, expected at most all of them; lower k or raise n")
        return self


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the judge thinks of one tick. told: the reason with its figures"""

    judgement: Judgement
    told: str

    @property
    def pays(self) -> bool:
        """Whether the episode succeeds now."""
        return self.judgement.pays

    @property
    def probability(self) -> float:
        """That this frame shows success."""
        return self.judgement.probability


class Judge:
    """One tick after the other. Pure: no clock, no network."""

    def __init__(self, rule: Rule, contract: Contract) -> None:
        self.rule = rule
        self._gate = BoundGate(rule.gate, contract)
        self.begin()

    def begin(self) -> None:
        """A new episode."""
        self._votes: deque[bool] = deque(maxlen=self.rule.n)
        self._step = -1
        self._paid = False

    def tick(self, probability: float, proprioception: NDArray[np.float32]) -> Opinion:
        """The opinion on what is seen now: first of all on the frame before the first step, which is step 0.

        probability: that the frame shows success; proprioception: (P,), not normalised
        Raise `InvalidExperience` for a probability that is none.
        """
        if not 0 <= probability <= 1:
            raise InvalidExperience(f"probability: got {probability}, expected 0..1; the classifier is broken")
        self._step += 1
        self._votes.append(probability >= self.rule.threshold)
        reason, told = self._decide(probability, proprioception)
        self._paid |= reason is Reason.SUCCESS
        return Opinion(Judgement(probability, reason), told)

    def _decide(self, probability: float, proprioception: NDArray[np.float32]) -> tuple[Reason, str]:
        rule, votes = self.rule, sum(self._votes)
        if self._paid:
            return Reason.PAID, "this episode was paid for before"
        if votes < rule.k and not self._votes[-1]:
            return Reason.UNLIKELY, f"probability {probability:.2f} below {rule.threshold:.2f}"
        if votes < rule.k:
            return Reason.TOO_FEW, f"{votes} of the last {rule.n} frames look like success, {rule.k} must"
        if refusal := self._gate.refusal(proprioception):
            return Reason.GATE, refusal
        if self._step < rule.minimum_step:
            return Reason.TOO_EARLY, f"step {self._step} of at least {rule.minimum_step}"
        return Reason.SUCCESS, f"{votes} of the last {rule.n} frames look like success"
