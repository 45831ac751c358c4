"""Settings of the judge that pays the rewards, where that is neither the simulator nor the operator's key."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from policy.contract import Frozen


class JudgeSettings(Frozen):
    """Which classifier pays where `task.judge` is `classifier`."""

    classifier: Path | None = Field(
        default=None,
        description="Its folder, as `nudge classifier train` makes it; none: the folder `classifier` of the run.",
    )
