"""Settings of the guard, beyond which measured value it stops the arm, and of the watchdog."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from policy.contract import Frozen
from robot.errors import Reaction


class SafetySettings(Frozen):
    """When the guard stops the arm. What it clips beforehand is in `ControllerSettings`: it shapes the actions."""

    divergence_rad: float = Field(
        default=0.6, gt=0, description="Farthest that a joint may be from its command; the gripper is free [rad]."
    )
    divergence_ticks: int = Field(default=5, gt=0, description="So many ticks in a row beyond it are too many.")
    box_margin_m: float = Field(
        default=0.05, ge=0, description="Farthest that the measured tool may be outside its box [m]."
    )
    box_ticks: int = Field(default=3, gt=0, description="So many ticks in a row beyond it are too many.")
    joint_speed_rad_s: float = Field(default=4.0, gt=0, description="Fastest that a joint may turn [rad/s].")
    tool_speed_m_s: float = Field(default=1.0, gt=0, description="Fastest that the tool may move [m/s].")
    speed_ticks: int = Field(default=2, gt=0, description="So many ticks in a row beyond either speed are too many.")
    load: float = Field(default=0.9, gt=0, le=1, description="Largest load of a servo, as a share of its torque.")
    load_ticks: int = Field(default=20, gt=0, description="So many ticks in a row beyond it are too many.")
    warm_c: float = Field(default=55.0, description="From here on the operator is warned of a servo's heat [°C].")
    hot_c: float = Field(default=65.0, description="Above it the arm is parked; servos let go at 70 °C [°C].")
    lowest_voltage_v: float = Field(default=4.5, gt=0, description="Lowest supply of a servo; servos mind 4 V [V].")
    highest_voltage_v: float = Field(
        default=8.0, gt=0, description="Highest supply of a servo; 13 V for the 12 V kind [V]."
    )
    voltage_ticks: int = Field(default=3, gt=0, description="So many ticks in a row beyond either are too many.")
    stale_frame_s: float = Field(default=0.5, gt=0, description="Oldest frame that may be acted upon [s].")
    stale_operator_s: float = Field(
        default=0.5, gt=0, description="Longest silence of the device that drives the arm, such as a leader arm [s]."
    )
    tool_clip_warning: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of ticks at which box or leash confined the tool from which on the operator is warned.",
    )
    joint_clip_warning: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Share of ticks at which joints were clamped from which on the operator is warned.",
    )
    clip_window_ticks: int = Field(default=600, gt=0, description="Over so many of the latest ticks it is counted.")
    on_emergency: Reaction = Field(
        default=Reaction.RELEASE, description="What the emergency stop does: hold, park, or release the arm."
    )

    @model_validator(mode="after")
    def _levels_are_in_order(self) -> Self:
        for low, high in (("warm_c", "hot_c"), ("lowest_voltage_v", "highest_voltage_v")):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(
                    f"{low}, {high}: got {getattr(self, low)} and {getattr(self, high)}, expected the first to be lower"
                )
        return self


class WatchdogSettings(Frozen):
    """When the watchdog takes the arm from an actor, and how long it tries."""

    beat_s: float = Field(default=0.5, gt=0, description="How often the actor says that it lives [s].")
    silent_s: float = Field(
        default=20.0,
        gt=0,
        description="An actor that has said nothing for so long is killed, its arm brought home [s].",
    )
    bus_return_s: float = Field(
        default=60.0,
        ge=0,
        description="How long it waits for a bus that is gone, to let the arm go when it is back [s].",
    )
    exit_s: float = Field(default=10.0, gt=0, description="Longest that an actor takes to end once it is killed [s].")
