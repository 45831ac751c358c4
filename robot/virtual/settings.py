"""Settings of the virtual arm."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from policy.contract import Frozen


class VirtualSettings(Frozen):
    """Where the virtual arm is found, and how it behaves."""

    folder: Path = Field(
        default=Path("runs/virtual"), description="Folder of its ports, its control socket and what its servos keep."
    )
    follower_port: Path | None = Field(
        default=None, description="Path of the follower's port; none is `follower` in the folder."
    )
    leader_port: Path | None = Field(
        default=None, description="Path of the leader's port; none is `leader` in the folder."
    )
    calibrated: bool = Field(
        default=True,
        description="A new arm comes calibrated, with LeRobot's files in the folder; else as it leaves the factory.",
    )
    wire_timing: bool = Field(
        default=False, description="Answers take as long as their bytes would on the wire, instead of no time."
    )
    cameras: bool = Field(default=True, description="Serve the wrist and the front camera.")
    camera_port: int = Field(
        default=5555, ge=0, le=65534, description="TCP port of the wrist camera, the front one has the next; 0 is any."
    )
    camera_width_px: int = Field(default=320, gt=0, le=640, description="Width of the frames [px].")
    camera_height_px: int = Field(default=240, gt=0, le=640, description="Height of the frames [px].")
    camera_hz: float = Field(default=20.0, gt=0, le=120, description="Frames a second [Hz].")
    seed: int = Field(default=0, description="Seed of the packets that are lost or corrupt.")
