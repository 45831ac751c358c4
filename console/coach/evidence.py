"""What the coach judges a run by: data alone, gathered by `console.coach.gather` or made up by a test."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from console.report.data import Evaluation, Grid, MetricsRecord
from learner.clipping import ClipShares
from policy.contract import Frozen

Place = tuple[float, float]  # x, y in the arm's base frame [m]


class EpisodeEvidence(Frozen):
    """One episode, in the order in which they were begun."""

    kind: Literal["demo", "online"]
    steps: int = Field(ge=0)
    human_steps: int = Field(default=0, ge=0, description="interventions; those of a demonstration are not among them")
    success: bool = Field(description="the task was done, by whomever")
    complete: bool = True
    rejected: bool = False
    cube_m: Place | None = Field(default=None, description="cube at the start; None: nobody but a person knows")
    end_m: Place | None = Field(default=None, description="the tool after the last step")

    @property
    def counts(self) -> bool:
        """Whether it says something of the policy: online, seen to its end, and not thrown away."""
        return self.kind == "online" and self.complete and not self.rejected

    @property
    def alone(self) -> bool:
        """The policy did the task without a human step."""
        return self.success and self.human_steps == 0


class TakeoverEvidence(Frozen):
    """One takeover in training."""

    episode: int = Field(ge=0, description="index into the episodes of the evidence")
    first_step: int = Field(ge=0, description="within the episode, from 0")
    steps: int = Field(gt=0)
    begun_m: Place | None = Field(default=None, description="the tool at its first step")


class CheckpointResult(Frozen):
    """How a checkpoint did on the fixed evaluation, under the conditions of the newest one that was evaluated."""

    updates: int
    successes: int = Field(ge=0)
    trials: int = Field(gt=0)


class WeightsUse(Frozen):
    """Training steps in a row that were taken with the same weights."""

    version: int
    steps: int = Field(gt=0)


class CameraDrift(Frozen):
    """One thing in which a camera has moved away from the demonstrations."""

    what: str = Field(description="which camera, what of it, by how much")
    measured: float
    limit: float
    severe: bool
    cure: str


class JudgeAgreement(Frozen):
    """The operator's key against the classifier, in the episodes that have both."""

    episodes: int = Field(ge=0)
    false_alarms: int = Field(ge=0, description="the classifier said success, the operator did not")
    misses: int = Field(ge=0, description="the operator said success, the classifier did not")


class RunEvidence(Frozen):
    """All that the coach looks at. None: not recorded, and the coach says so instead of guessing."""

    run: str
    control_hz: float = Field(gt=0)
    max_episode_steps: int = Field(gt=0)
    field: Grid = Field(description="where the cube may lie, cut into the cells of the evaluation")
    discount: float = Field(gt=0, lt=1)
    q_bound: float = Field(description="largest return that the reward allows")
    entropy_floor_nat: float = Field(description="entropy below which the policy has collapsed")
    utd: float = Field(gt=0, description="configured updates per step")
    steps_per_publication: float = Field(gt=0, description="steps between two publications when the ratio is held")
    episodes: tuple[EpisodeEvidence, ...] = ()
    takeovers: tuple[TakeoverEvidence, ...] = ()
    metrics: tuple[MetricsRecord, ...] = ()
    evaluation: Evaluation | None = None
    checkpoints: tuple[CheckpointResult, ...] = Field(default=(), description="evaluated ones, oldest first")
    weights: tuple[WeightsUse, ...] = Field(default=(), description="of the training steps, in their order")
    cameras: tuple[CameraDrift, ...] | None = None
    clipped: ClipShares | None = Field(default=None, description="shares of the newest steps")
    judge: JudgeAgreement | None = None

    def online(self) -> list[EpisodeEvidence]:
        """Training episodes that say something of the policy."""
        return [episode for episode in self.episodes if episode.counts]

    def online_places(self) -> list[int]:
        """Where those are among all episodes."""
        return [index for index, episode in enumerate(self.episodes) if episode.counts]

    def demos(self) -> list[EpisodeEvidence]:
        """Demonstrations that are learned from and succeeded."""
        return [it for it in self.episodes if it.kind == "demo" and it.complete and it.success and not it.rejected]

    def recent_takeovers(self, episodes: int, after: int = 0) -> list[TakeoverEvidence]:
        """Takeovers in the newest `episodes` training episodes, in their order; none in the first `after`."""
        counting = self.online_places()[after:][-episodes:]
        return [takeover for takeover in self.takeovers if counting and takeover.episode >= counting[0]]
