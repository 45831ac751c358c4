"""Settings of what `nudge demo` does before a learner starts."""

from __future__ import annotations

from pydantic import Field

from policy.contract import Frozen


class DemoSettings(Frozen):
    """Which episodes the scripted operator records for the reward classifier; none, where another one is the judge."""

    successes: int = Field(default=50, ge=3, description="Episodes that try to succeed.")
    failures: int = Field(default=28, ge=3, description="Episodes that fail on purpose, of seven kinds in turn.")
    most_updates: int = Field(default=300, gt=0, description="Updates of one fit of the classifier at most.")
