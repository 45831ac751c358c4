"""From where on the coach says something: each threshold with its reason."""

from __future__ import annotations

from pydantic import Field

from policy.contract import Frozen


class OperatorThresholds(Frozen):
    """How a person helps."""

    episodes: int = Field(
        default=50, gt=0, description="Newest training episodes that are looked at: habits of an hour ago are over."
    )
    guided_episodes: int = Field(
        default=120,
        ge=0,
        description="First training episodes, in which any help is right: led to their end, a policy learned better.",
    )
    lead_window: int = Field(
        default=15, gt=0, description="Newest of these that are looked at, and below which nothing is said of leading."
    )
    lead_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Of the episodes that should be led (all at first, then linearly to none) so many are enough [1].",
    )
    lead_until: float = Field(
        default=0.8, gt=0, le=1, description="A policy that succeeds alone in a larger share needs no hand to lead [1]."
    )
    fewest: int = Field(default=8, gt=0, description="Takeovers below which nothing is said of them: a few prove none.")
    explore_steps: int = Field(
        default=20, ge=0, description="Steps that the policy is left alone at first; HIL-SERL says 20 to 30 [steps]."
    )
    early_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of helped episodes that may be helped earlier: some must be [1]."
    )
    long_steps: int = Field(
        default=20,
        gt=0,
        description="A takeover that is longer is long: 2 s at 10 Hz, a quarter of an episode [steps].",
    )
    long_share: float = Field(default=0.34, gt=0, le=1, description="Share of takeovers that may be long [1].")
    by_hand_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of helped successes that the hand itself may end [1]."
    )


class ProgressThresholds(Frozen):
    """Whether it is learned."""

    reward_episodes: int = Field(default=30, gt=0, description="Newest training episodes whose successes are counted.")
    reward_fewest: int = Field(default=15, gt=0, description="Episodes below which nothing is said of successes.")
    reward_share: float = Field(
        default=1 / 3,
        gt=0,
        le=1,
        description="Share of episodes that should have reward, helped or not: HIL-SERL's [1].",
    )
    falling_episodes: int = Field(
        default=20, gt=0, description="The share of human steps is compared between the first and the last so many."
    )
    falling_fewest: int = Field(
        default=120, gt=0, description="Training episodes before help is expected to fall: at first it may lead."
    )
    falling_floor: float = Field(
        default=0.15, ge=0, le=1, description="A share of human steps below this needs to fall no more [1]."
    )
    falling_share: float = Field(
        default=0.8, gt=0, description="The last share over the first: above it, help has not fallen [1]."
    )
    collapse_episodes: int = Field(
        default=30, gt=0, description="Training episodes in each window that is compared with the best one before."
    )
    collapse_drop: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Drop of success that is a decline: windows of 30 differ by 0.25 by chance.",
    )
    weak_z: float = Field(
        default=2.807,
        gt=0,
        description="A cell is weak when one as good as the average would have so few successes no more often than a "
        "normal value lies so many standard deviations below its mean: by chance 1 in 400 cells, and a map has 25.",
    )
    weak_failures: int = Field(default=2, gt=0, description="Failures below which no cell is weak: one may be luck.")
    weak_episodes: int = Field(
        default=150, gt=0, description="Newest training episodes in the map of training, a few for each cell."
    )


class LearnerThresholds(Frozen):
    """Whether the learner keeps up, and its values stay sane. What a single finding is, `learner.health` says."""

    readings: int = Field(default=10, gt=0, description="Newest readings of the metrics that are looked at.")
    fewest: int = Field(default=3, gt=0, description="Readings below which nothing is said.")
    flagged_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of them in which a health check must have found something [1]."
    )
    weights_steps: int = Field(default=500, gt=0, description="Newest training steps whose weights are looked at.")
    weights_age_steps: int = Field(
        default=100, gt=0, description="Median age of the acting weights that is stale: an episode and more [steps]."
    )
    weights_age_factor: float = Field(
        default=5.0,
        gt=0,
        description="And so many times the steps between two publications: slow settings are no fault.",
    )


class DeskThresholds(Frozen):
    """What the run was given: demonstrations, pictures, a judge."""

    demos: int = Field(default=20, ge=0, description="Successful demonstrations; HIL-SERL records 20 to 30.")
    demo_value: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="What is left, by the discount, of the reward at the first step of a median demonstration [1].",
    )
    demo_slower: float = Field(
        default=2.5,
        gt=1,
        description="Demonstrations over the policy's own cycle; HIL-SERL's take 0.56 of a hand's [1].",
    )
    camera_frames: int = Field(
        default=120, ge=100, description="Newest frames of each camera that are compared with the demonstrations'."
    )
    joint_clip_share: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Share of steps at which joints may be clamped: the arm then does another action [1].",
    )
    tool_clip_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of steps at which box or leash may confine the tool, as they do where it presses down [1].",
    )
    clip_steps: int = Field(default=2_000, gt=0, description="Newest steps over which both are counted.")
    judge_episodes: int = Field(
        default=10, gt=0, description="Episodes with both verdicts, below which none is doubted."
    )
    judge_share: float = Field(
        default=0.1, gt=0, le=1, description="Share of them in which operator and classifier may disagree [1]."
    )


class CoachSettings(Frozen):
    """When `nudge coach` speaks. The defaults leave what healthy runs do unmentioned."""

    operator: OperatorThresholds = OperatorThresholds()
    progress: ProgressThresholds = ProgressThresholds()
    learner: LearnerThresholds = LearnerThresholds()
    desk: DeskThresholds = DeskThresholds()
