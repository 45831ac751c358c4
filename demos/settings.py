"""Settings of recording, and from where on something about a demonstration is said."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from policy.contract import Frozen
from robot.cameras.settings import DriftSettings

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"  # of a demo set


class RecordSettings(Frozen):
    """What `nudge record` makes."""

    name: str = Field(default="demos", pattern=NAME, description="Name of the demo set, and of its recording.")
    demos: int = Field(default=20, gt=0, description="Sound demonstrations to record [episodes].")
    folder: Path = Field(
        default=Path("demo_sets"),
        description="Folder of all demo sets: `<folder>/<name>/recording` holds what is recorded, one beside it for "
        "each set that is made of it.",
    )
    allow: tuple[str, ...] = Field(
        default=(),
        description="Findings that are no reason to refuse, by name: of one episode (`success:e1f0d6a3/12`), or of a "
        "check (`still`).",
    )
    countdown_s: int = Field(
        default=3, ge=0, description="Countdown before the scripted operator demonstrates in real time [s]."
    )


class MotionChecks(Frozen):
    """Of the arm's motion and of the hand's."""

    closing_rad: float = Field(default=0.3, gt=0, description="A jaw that closes by less has grasped nothing [rad].")
    reversal_m: float = Field(
        default=0.003, gt=0, description="The tool's way in a step is compared with the last where both are longer [m]."
    )
    reversals: float = Field(
        default=0.5, gt=0, lt=1, description="Share of steps in which the tool turns back, from where a hand trembles."
    )
    idle_action: float = Field(
        default=0.05, gt=0, lt=1, description="A hand whose action is nowhere larger rests [1 is the full action]."
    )
    idle_first_s: float = Field(default=1.0, gt=0, description="Longest rest at the beginning [s].")
    idle_between_s: float = Field(default=2.0, gt=0, description="Longest rest before the last motion [s].")
    hold_share: float = Field(
        default=0.1, ge=0, lt=1, description="Largest share of steps in which the arm held still for want of a hand."
    )


class FrameChecks(Frozen):
    """Of what the cameras show."""

    frozen_steps: int = Field(default=5, gt=1, description="So many steps with the same picture are too many.")
    moving_rad: float = Field(
        default=0.1, gt=0, description="While a joint turned by more, in and out, the arm has moved [rad]."
    )
    clipped_share: float = Field(
        default=0.3, gt=0, lt=1, description="Share of a picture that is too dark or too bright to tell anything: mind."
    )
    clipped_refused: float = Field(default=0.8, gt=0, lt=1, description="The same share, from where it is refused.")
    looks: DriftSettings = Field(default=DriftSettings(), description="How far pictures of the episodes may differ.")


class TimingChecks(Frozen):
    """Of the actor's clock. All limits are shares or multiples of the contract's period."""

    real_time: bool = Field(
        default=True,
        description="Off where the world keeps no time; `nudge` turns it off for settings with loop.pace `learner`.",
    )
    rate: float = Field(default=0.2, gt=0, lt=1, description="The median period may differ by such a share.")
    jitter: float = Field(default=0.2, gt=0, lt=1, description="A step that is early or late by more is off the beat.")
    jitter_share: float = Field(default=0.3, gt=0, lt=1, description="Largest share of steps off the beat.")
    gap_periods: float = Field(default=2.0, gt=1, description="A pause between two steps that long is told.")
    gap_refused_periods: float = Field(default=5.0, gt=1, description="One that long is refused.")


class SetChecks(Frozen):
    """Of all episodes together."""

    shortest: float = Field(default=1 / 3, gt=0, lt=1, description="Shortest episode, as a share of the median.")
    longest: float = Field(default=3.0, gt=1, description="Longest episode, in medians.")
    still_share: float = Field(
        default=0.01, gt=0, lt=1, description="A dimension that moves through less of its range stands still."
    )
    still_dimensions: tuple[str, ...] = Field(
        default=("joint.wrist_roll",), description="Dimensions that may: the controller holds the wrist's roll."
    )
    far_outside: float = Field(
        default=3.0, gt=1, description="Normalised value that is far outside of -1..1, the contract's range: mind."
    )
    outside_refused: float = Field(default=10.0, gt=1, description="The same, from where it is refused.")
    used_action: float = Field(
        default=0.1, gt=0, lt=1, description="A direction of the action that never was larger was not demonstrated."
    )
    grid: tuple[int, int] = Field(default=(3, 4), description="Cells of the cube's field along x and y.")


class CheckSettings(Frozen):
    """From where on something about a demonstration is said."""

    motion: MotionChecks = MotionChecks()
    frames: FrameChecks = FrameChecks()
    timing: TimingChecks = TimingChecks()
    whole: SetChecks = SetChecks()
