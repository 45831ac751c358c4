"""Where a training run stands, for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Phase = Literal["waiting for demonstrations", "preparing features", "training", "training is paused", "stopped"]
FEW_MISSING = 100  # observations that no status mentions: those of the last seconds always lack some


@dataclass(frozen=True, slots=True)
class TrainerStatus:
    """Where the run stands.

    phase: a `Phase` and how far it is (`how_far`), or "disk full: ..." with path and room while the trainer waits for
        room on the disk
    env_steps: in the store, demos included; effective_utd: updates per environment step, since the last rollback
    steps_behind: environment steps whose updates are still owed; 0 while nothing is owed by design (waiting)
    views_missing: observations in replay of which further views are yet to be encoded
    """

    phase: str
    env_steps: int
    updates: int
    effective_utd: float
    updates_per_s: float
    steps_behind: int
    policy_version: int
    views_missing: int
    metrics: Mapping[str, float]


def how_far(phase: Phase, prepared: float, views_missing: int) -> str:
    """The phase, and how far that is which takes its time in it.

    prepared: part of the steps that were there when it began which are encoded
    views_missing: observations of which other views are yet to be encoded
    """
    if phase == "preparing features":
        return f"{phase}, {int(100 * prepared)} % of the steps"
    if phase == "training" and views_missing > FEW_MISSING:
        return f"{phase}, further views of {views_missing} observations to come"
    return phase
