"""Settings of the dashboard."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from policy.contract import Frozen


class DashboardSettings(Frozen):
    """The page in the browser that shows a run."""

    with_learner: bool = Field(default=True, description="Whether `nudge learner` serves it, in a process beside it.")
    host: str = Field(default="127.0.0.1", description="Address to serve it at; beyond loopback with a token only.")
    port: int = Field(default=8080, ge=0, le=65535, description="Its port; 0 takes a free one.")
    token_file: Path | None = Field(default=None, description="File of the token that a browser must give once.")
    refresh_s: float = Field(
        default=0.4, ge=0.05, le=10, description="How often open pages are brought up to date [s]."
    )
    niceness: int = Field(default=10, ge=0, le=19, description="How far it stands back behind the learner.")
