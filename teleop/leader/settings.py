"""Settings of the leader arm."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from robot.so101.settings import BusSettings


class LeaderSettings(BusSettings):
    """A SO-101 leader on a serial port, calibrated by LeRobot."""

    id: str = Field(default="leader", min_length=1, description="LeRobot's id of the arm: names its calibration.")
    rate_hz: float = Field(default=50.0, ge=20, le=200, description="How often its joints are read [Hz].")

    torque_permille: int = Field(
        default=300,
        gt=0,
        le=1000,
        description="Torque with which it mirrors the follower: enough for its own weight, too little to resist a hand "
        "[0.1 % of what a servo has].",
    )
    p_gain: int = Field(
        default=16, ge=0, le=254, description="Proportional gain of its servos, until their power goes."
    )
    i_gain: int = Field(default=0, ge=0, le=254, description="Integral gain of its servos, until their power goes.")
    d_gain: int = Field(default=16, ge=0, le=254, description="Derivative gain of its servos, until their power goes.")
    mirror_rad_s: float = Field(
        default=1.5, gt=0, le=6, description="Fastest that a joint is driven, on its way to the follower too [rad/s]."
    )
    lead_rad: float = Field(
        default=0.3,
        gt=0,
        description="Farthest that a goal leads its joint: no farther does it spring back when a hand lets go [rad].",
    )
    settled_rad: float = Field(
        default=0.08, gt=0, description="It mirrors the follower once no joint is farther from it than this [rad]."
    )

    grab_rad: float = Field(
        default=0.15, gt=0, description="A joint farther from its goals of the last moment is in a hand [rad]."
    )
    grab_window_s: float = Field(
        default=0.15, ge=0, description="That moment: a joint may be so late without being in a hand [s]."
    )
    grab_load: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="A load beyond this share of a servo's torque is a hand, too; 0 is off, since an arm that is "
        "stretched out bears its own weight.",
    )
    grab_reads: int = Field(default=3, gt=0, description="So many reads in a row must agree that a hand is there.")
    release_after_s: float = Field(
        default=0.5,
        ge=0,
        description="A hand that keeps still for so long gives the arm back, but in a demonstration; 0: only a key "
        "does [s].",
    )
    still_rad: float = Field(default=0.02, gt=0, description="No joint of a still hand moves by more [rad].")

    motion_scale: float = Field(
        default=1.0, gt=0, le=2, description="How far the follower's tool goes for a metre of the hand [m/m]."
    )
    dead_zone_m: float = Field(
        default=0.0015, ge=0, description="Motion of the hand that is noise of the encoders, or a tremor [m]."
    )
    dead_zone_rad: float = Field(default=0.02, ge=0, description="The same for the gripper [rad].")
    leash_m: float = Field(
        default=0.06,
        gt=0,
        description="Farthest that the hand may be ahead of the follower, per axis; beyond, its motion is lost [m].",
    )
    leash_rad: float = Field(default=0.8, gt=0, description="The same for the gripper [rad].")

    @model_validator(mode="after")
    def _a_hand_can_be_told(self) -> Self:
        if not self.settled_rad < self.grab_rad < self.lead_rad:
            raise ValueError(
                f"settled_rad < grab_rad < lead_rad: got {self.settled_rad}, {self.grab_rad}, {self.lead_rad} rad; a "
                f"leader that mirrors is in no hand, and a hand must be able to deflect it as far as that"
            )
        return self
