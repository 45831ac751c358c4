"""Where a training run stands, for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Phase = Literal["waiting for demonstrations", "preparing features", "training", "training is paused", "stopped"]


@dataclass(frozen=True, slots=True)
class TrainerStatus:
    """Where the run stands.

    phase: a `Phase`, or "disk full: ..." with path and room while the trainer waits for room on the disk
    env_steps: in the store, demos included; effective_utd: updates per environment step, since the last rollback
    steps_behind: environment steps whose updates are still owed; 0 while nothing is owed by design (waiting)
    """

    phase: str
    env_steps: int
    updates: int
    effective_utd: float
    updates_per_s: float
    steps_behind: int
    policy_version: int
    metrics: Mapping[str, float]
