"""Settings of the operator."""

from __future__ import annotations

from pydantic import Field

from policy.contract import Frozen


class OperatorSettings(Frozen):
    """How the scripted operator demonstrates and when it takes over."""

    demo_noise: float = Field(
        default=0.3,
        ge=0,
        description="Spread of the noise on demonstrated actions, in action units: a hand is not exact.",
    )
    explore_steps: tuple[int, int] = Field(
        default=(22, 30), description="The policy acts alone for so many steps before any help [steps, low and high]."
    )
    takeover_steps: tuple[int, int] = Field(
        default=(4, 8),
        description="Length of one takeover [steps, low and high]: brief, and it leaves the task to finish.",
    )
    patience_steps: int = Field(
        default=8, gt=0, description="Steps without progress after which the operator takes over [steps]."
    )
    interventions: bool = Field(default=True, description="Whether the operator takes over at all during training.")
