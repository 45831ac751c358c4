"""What a dataset of joint angles leaves open, and only a person can say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from policy.contract import Frozen


class JointSpaceSettings(Frozen):
    """How a LeRobotDataset of an SO-101's joint angles is to be read."""

    units: Literal["unknown", "degrees", "normalised"] = Field(
        default="unknown",
        description="Of its body joints, which no dataset says: LeRobot's `use_degrees` on (its default by now) or "
        "off. The gripper is 0..100 with both.",
    )
    calibration: Path | None = Field(
        default=None,
        description="LeRobot's calibration file of that arm; without it, normalised values are taken to span the "
        "model's joint ranges.",
    )
    cameras: dict[str, str] = Field(
        default_factory=dict, description="The contract's camera -> the dataset's, where they are called differently."
    )
    outcome: Literal["unknown", "success"] = Field(
        default="unknown",
        description="How its episodes end: `success` pays the reward at each end; `unknown` cuts them off.",
    )
    largest_clipped: float = Field(
        default=0.25, ge=0, le=1, description="Refuse when a larger share of the actions would be clipped."
    )
    largest_outside: float = Field(
        default=0.25, ge=0, le=1, description="Refuse when the tool is sent out of the box in a larger share."
    )
