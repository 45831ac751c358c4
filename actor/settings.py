"""Settings of the control loop."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from policy.contract import Frozen


class LoopSettings(Frozen):
    """How many episodes, and how fast."""

    demo_episodes: int = Field(default=20, ge=0, description="Successful demonstrations to record first [episodes].")
    max_env_steps: int = Field(
        default=6000, gt=0, description="The actor stops after so many steps, demonstrations included [steps]."
    )
    pace: Literal["realtime", "learner"] = Field(
        default="learner",
        description="`realtime`: one step per control period, by absolute deadlines. `learner`: simulation only, as "
        "fast as the arm goes, but never further ahead of the learner than `most_steps_ahead`, also while it is away.",
    )
    most_steps_ahead: int = Field(
        default=40, ge=0, description="With pace `learner`: how far the actor may run ahead of the learner [steps]."
    )
    policy_wait_s: float = Field(
        default=600.0, gt=0, description="How long to wait for the first policy after the demonstrations [s]."
    )
    max_gap_s: float = Field(
        default=2.0,
        gt=0,
        description="With pace `realtime`: after so long without a tick (the host slept) the world has moved on, and "
        "the episode is cut [s].",
    )
    niceness: int = Field(
        default=-10,
        ge=-20,
        le=19,
        description="With pace `realtime`: niceness of the actor and its session, so that others on this machine do "
        "not make its ticks late; 0 leaves it. The start tells if it is refused.",
    )
    realtime_priority: int = Field(
        default=10,
        ge=0,
        le=99,
        description="With pace `realtime`: priority of the control loop's thread over everything else (SCHED_FIFO); 0 "
        "is none. The start tells if it is refused.",
    )
    exploration: float = Field(
        default=1.0,
        ge=0,
        description="Factor on the noise of the policy that acts to learn: 1 = as it is trained (SAC), 0 = none.",
    )
    flush_s: float = Field(
        default=30.0,
        gt=0,
        description="How long to wait at the end for a connected learner's acknowledgements; what it does not get, the "
        "next start delivers [s].",
    )


def start_seed(seed: int, first_episode: int) -> int:
    """The seed of a process that begins with this episode: one that goes on does not repeat what came before."""
    return seed if first_episode == 0 else int(np.random.SeedSequence([seed, first_episode]).generate_state(1)[0])
