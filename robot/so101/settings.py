"""Settings of the real SO-101."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from policy.contract import Frozen
from robot.cameras.settings import CameraSettings

LONGEST_PATIENCE_S = 2.0


class BusSettings(Frozen):
    """Six servos on a serial port, and the calibration that belongs to them; of a follower or of a leader."""

    port: Path | None = Field(
        default=None,
        description="Serial port; a path below /dev/serial/by-id stays the same when cables change places.",
    )
    id: str = Field(default="follower", min_length=1, description="LeRobot's id of the arm: names its calibration.")
    calibration_dir: Path | None = Field(
        default=None, description="Folder of the calibration; none is where LeRobot keeps it."
    )
    answer_timeout_s: float = Field(
        default=0.012, gt=0, description="Servos that have not answered by then are asked again [s]."
    )
    tries: int = Field(default=5, gt=0, description="How often a servo is asked before it counts as silent.")
    span_tolerance: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="How far the calibrated range of a joint may be off the model's, as a share; the gripper's twice.",
    )

    @property
    def patience_s(self) -> float:
        """Longest that one read of all servos takes, and so how soon a silent one is told [s]."""
        return self.tries * self.answer_timeout_s

    @model_validator(mode="after")
    def _patience_is_bounded(self) -> Self:
        if self.patience_s > LONGEST_PATIENCE_S:
            raise ValueError(
                f"tries x answer_timeout_s: got {self.tries} x {self.answer_timeout_s} s, expected at most "
                f"{LONGEST_PATIENCE_S} s together: an arm whose servos are silent must be told soon"
            )
        return self


class So101Settings(BusSettings):
    """A SO-101 on a serial port, as LeRobot's `so101_follower` drives it."""

    p_gain: int = Field(default=16, ge=0, le=254, description="Proportional gain of the servos.")
    i_gain: int = Field(default=0, ge=0, le=254, description="Integral gain of the servos.")
    d_gain: int = Field(default=32, ge=0, le=254, description="Derivative gain of the servos.")
    gripper_torque_permille: int = Field(
        default=500, gt=0, le=1000, description="Largest torque of the gripper [0.1 % of what the servo has]."
    )
    gripper_protection_current: int = Field(
        default=250, gt=0, le=511, description="Current above which the gripper protects itself [6.5 mA]."
    )
    gripper_overload_percent: int = Field(
        default=25, gt=0, le=100, description="Torque that remains to an overloaded gripper [%]."
    )
    reset_tolerance_m: float = Field(
        default=0.005, gt=0, description="How far from its start the tool may be after a reset [m]."
    )
    cameras: CameraSettings = CameraSettings()
    witness: Path | None = Field(
        default=None,
        description="Control socket of a virtual station, which tells where the cube is; none on a real arm.",
    )
