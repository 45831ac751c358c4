"""Settings of the mirror: to which services a run's curves go, and as what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from policy.contract import Frozen

type Service = Literal["wandb", "trackio"]


class WandbSettings(Frozen):
    """Weights & Biases."""

    mode: Literal["online", "offline"] = Field(
        default="online",
        description="`online` sends to the account that `wandb login` knows; `offline` keeps it in the run folder, for "
        "`wandb sync`, and needs no account.",
    )
    project: str = Field(default="nudge", min_length=1, description="Project there.")
    entity: str = Field(default="", description="User or team it belongs to; empty: the account's own.")


class TrackioSettings(Frozen):
    """Trackio."""

    project: str = Field(default="nudge", min_length=1, description="Project there.")
    space: str = Field(
        default="",
        description="Hugging Face Space that it is sent to, `user/name`, private where it has to be made; empty: it "
        "stays on this machine, for `trackio show`.",
    )


class MirrorSettings(Frozen):
    """Other places where the curves of a run are to be seen, besides TensorBoard and `metrics.jsonl`."""

    to: tuple[Service, ...] = Field(
        default=(),
        description="`wandb`, `trackio`, or both: `nudge learner` then starts a process for each, which follows the "
        "run; none: nothing is sent anywhere.",
    )
    wandb: WandbSettings = Field(default=WandbSettings(), description="Weights & Biases.")
    trackio: TrackioSettings = Field(default=TrackioSettings(), description="Trackio.")
    every_s: float = Field(default=10.0, gt=0, description="How often it looks for something new [s].")
    retry_s: float = Field(default=60.0, gt=0, description="After how long it tries again what failed [s].")
    finish_s: float = Field(
        default=10.0,
        gt=0,
        description="How long a learner that ends waits for what is still on its way; after that it ends without [s].",
    )
    niceness: int = Field(default=10, ge=0, le=19, description="How far it stands back behind the learner.")
