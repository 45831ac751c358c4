"""How much the logs of a run may hold."""

from __future__ import annotations

from pydantic import Field

from policy.contract import Frozen


class LogSettings(Frozen):
    """What learner and actor say of themselves, as JSON lines in the run folder's `logs`."""

    file_bytes: int = Field(
        default=10_000_000,
        ge=10_000,
        description="A file that would grow larger is put aside [bytes].",
    )
    files: int = Field(
        default=5,
        ge=2,
        description="Files that are kept of the learner, and of the actor; the oldest goes.",
    )
