"""Settings of the control loop."""

from __future__ import annotations

from typing import Literal

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
        "fast as the arm goes, but never further ahead of the learner than `most_steps_ahead`.",
    )
    most_steps_ahead: int = Field(
        default=40, ge=0, description="With pace `learner`: how far the actor may run ahead of the learner [steps]."
    )
    policy_wait_s: float = Field(
        default=600.0, gt=0, description="How long to wait for the first policy after the demonstrations [s]."
    )
    flush_s: float = Field(default=30.0, gt=0, description="How long to wait at the end for acknowledgements [s].")
