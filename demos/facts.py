"""What is kept of an episode once its pictures are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demos.findings import EpisodeName
from policy.contract import Contract
from policy.errors import InvalidExperience
from policy.experience import Source, Step

JAW, TOOL = "joint.gripper", ("tool.x", "tool.y", "tool.z")


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeFacts:
    """One episode of N steps.

    proprioception: one row more, of after the last step; no row more where the episode has no end
    sim_only: of the first step
    """

    name: EpisodeName
    actions: NDArray[np.float32]  # (N, A)
    proprioception: NDArray[np.float32]  # (N + 1, P)
    sim_only: NDArray[np.float32]  # (S,)
    rewards: NDArray[np.float64]  # (N,)
    sources: NDArray[np.int64]  # (N,)
    monotonic_ns: NDArray[np.int64]  # (N,)
    terminated: bool
    truncated: bool
    rejected: bool

    @classmethod
    def of(cls, steps: Sequence[Step]) -> EpisodeFacts:
        """Those of an episode from its first step on; raise `InvalidExperience` where it has none."""
        if not steps:
            raise InvalidExperience("episode: got no steps, expected at least one; leave it out")
        first, last = steps[0], steps[-1]
        seen = [step.observation.proprioception for step in steps]
        return cls(
            name=EpisodeName(first.id.session, first.id.episode),
            actions=np.array([step.action for step in steps]),
            proprioception=np.array(seen if last.final is None else [*seen, last.final.proprioception]),
            sim_only=first.observation.sim_only,
            rewards=np.array([step.reward for step in steps], np.float64),
            sources=np.array([step.source for step in steps], np.int64),
            monotonic_ns=np.array([step.monotonic_ns for step in steps], np.int64),
            terminated=last.terminated,
            truncated=last.truncated,
            rejected=last.rejected,
        )

    @property
    def steps(self) -> int:
        """How many."""
        return len(self.actions)

    @property
    def moves(self) -> NDArray[np.float32]:
        """The actions of which is known what came of them: (N, A), of an episode without an end one less."""
        return self.actions[: len(self.proprioception) - 1]

    def count(self, source: Source) -> int:
        """Steps of a source."""
        return int((self.sources == source).sum())


def columns(contract: Contract, names: Sequence[str]) -> list[int] | None:
    """Where dimensions stand in proprioception; None where the contract has not all of them."""
    known = [dimension.name for dimension in contract.proprioception]
    return [known.index(name) for name in names] if set(names) <= set(known) else None
