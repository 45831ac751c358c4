"""What an import has brought in, and what it had to take for granted."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from policy.contract import Frozen


class JointSpaceReport(Frozen):
    """How joint angles became tool motion.

    assumed: a sentence for each thing that the dataset does not say itself
    cameras: the contract's name -> the dataset's
    dropped_frames: rows between two steps; dropped_episodes: too short for a step
    clipped, outside, wide, rolled: shares of the steps whose action was clipped to what a step or the leash allows,
        whose tool was sent out of the box, whose jaw was sent beyond its limits, whose wrist was rolled away from where
        the controller would hold it
    largest_lag_m: farthest that the clipped target was behind the one of the dataset [m]
    largest_tilt_rad: farthest that the tool was tilted from the controller's wish [rad]
    """

    assumed: tuple[str, ...]
    cameras: dict[str, str]
    dropped_frames: int
    dropped_episodes: int
    clipped: float
    outside: float
    wide: float
    rolled: float
    largest_lag_m: float
    largest_tilt_rad: float

    def lines(self) -> list[str]:
        """For a person."""
        return [
            *(f"assumed: {sentence}" for sentence in self.assumed),
            f"cameras: {', '.join(f'{name} from {key}' for name, key in self.cameras.items())}",
            f"left out: {self.dropped_frames} frames between two steps, {self.dropped_episodes} episodes too short",
            f"actions clipped in {self.clipped:.1%} of the steps, the target {self.largest_lag_m:.3f} m behind at most",
            f"tool sent out of the controller's box in {self.outside:.1%} of the steps, the jaw beyond its limits "
            f"in {self.wide:.1%}",
            f"not expressed by actions: wrist rolled in {self.rolled:.1%} of the steps, tool tilted by up to "
            f"{self.largest_tilt_rad:.2f} rad from the controller's wish",
        ]


class LeRobotImportReport(Frozen):
    """What came in.

    kind: `nudge` for a dataset that carries a contract, `joints` for one of joint angles
    repeated: episodes that the dataset has twice, taken once
    """

    path: Path
    dataset: Path
    kind: Literal["nudge", "joints"]
    contract_hash: str
    episodes: int
    steps: int
    repeated: int = 0
    lossy_frames: bool = False
    joints: JointSpaceReport | None = Field(default=None)

    def __str__(self) -> str:
        lines = [
            f"{self.path}: {self.episodes} episodes, {self.steps} steps, contract {self.contract_hash[:12]}, from "
            f"{self.dataset}"
        ]
        if self.repeated:
            lines.append(f"{self.repeated} episodes were in it twice, and were taken once")
        if self.lossy_frames:
            lines.append("frames: from video, not bit by bit those that the cameras saw")
        return "\n".join(lines + (self.joints.lines() if self.joints else []))
