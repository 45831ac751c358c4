"""Settings of `nudge doctor`: what it tries, for how long, and from where on it complains."""

from __future__ import annotations

from pydantic import Field

from policy.contract import Frozen


class DoctorSettings(Frozen):
    """What the doctor tries, and from where on it complains; the limits that stop an arm are in `arm.safety`."""

    motion: bool = Field(default=True, description="Move the arm; false (`--no-motion` for short) only looks at it.")
    as_json: bool = Field(
        default=False, description="One JSON object on standard output instead of a table; `--json` for short."
    )
    bus_reads: int = Field(default=50, gt=0, description="Timed reads of all servos.")
    camera_s: float = Field(default=2.0, gt=0, description="How long the cameras are watched [s].")
    loop_s: float = Field(
        default=6.0,
        gt=0,
        description="How long the control loop runs, and longer if the tool has not been everywhere [s].",
    )
    sign_rad: float = Field(default=0.052, gt=0, le=0.2, description="Each joint is moved by so much and back [rad].")
    sign_error: float = Field(
        default=0.5, gt=0, lt=1, description="How far a joint's motion may be off what was asked for, as a share."
    )
    still_rad: float = Field(default=0.02, gt=0, description="Other joints may move by so much meanwhile [rad].")
    steps_m: tuple[float, ...] = Field(
        default=(0.002, 0.005, 0.01, 0.02), min_length=1, description="Tool steps tried, the smallest first [m]."
    )
    late_share: float = Field(
        default=0.02,
        ge=0,
        lt=1,
        description="Share of ticks that may be late before it is told; five times as many are red.",
    )
    clip_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of ticks within the start region that may be clipped."
    )
    outside: float = Field(
        default=1.1, gt=1, description="A normalised observation beyond it is outside its range, beyond 10 red."
    )
    lost_share: float = Field(default=0.01, ge=0, lt=1, description="Share of answers of the servos that may be lost.")
    clock_jump_s: float = Field(
        default=0.1, gt=0, description="Farthest that the wall clock may stray from the steady one meanwhile [s]."
    )
    learner_s: float = Field(default=2.0, gt=0, description="How long the learner may take to answer [s].")
