"""Settings of the actor's link to its learner."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from policy.contract import Frozen
from policy.key_files import TlsFiles
from policy.wire import ACTOR_ID


class LinkSettings(Frozen):
    """Where the learner is, who we are, and how long to wait for what."""

    address: str = Field(
        default="127.0.0.1:50551", pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\s]+):\d{1,5}$", description="Learner, host:port."
    )
    tls: TlsFiles = Field(default=TlsFiles(), description="Files that `nudge keys` makes; needed beyond loopback.")
    token_file: Path | None = Field(default=None, description="File of the learner's token, sent with every call.")
    actor_id: str = Field(default="actor", pattern=ACTOR_ID, description="Our name, unique among a learner's actors.")
    connect_timeout_s: float = Field(default=30.0, gt=0, description="How long `open` waits for the learner [s].")
    call_timeout_s: float = Field(default=5.0, gt=0, description="Deadline of one handshake [s].")
    keepalive_time_s: float = Field(default=5.0, ge=1, description="Silence after which the learner is probed [s].")
    keepalive_timeout_s: float = Field(default=4.0, gt=0, description="Time in which it must answer a probe [s].")
    backoff_first_s: float = Field(default=0.2, gt=0, description="Pause before the first reconnection [s].")
    backoff_max_s: float = Field(default=5.0, gt=0, description="Longest pause between two attempts [s].")
    when_away: Literal["spool", "pause"] = Field(
        default="spool",
        description="With the learner away: go on and keep the steps in the spool, or pause at the episode's end.",
    )
    spool_max_bytes: int = Field(
        default=2 << 30,
        ge=1 << 20,
        description="Largest spool on disk; when it is full the actor pauses. SQLite's log takes up to 16 MB more "
        "[bytes].",
    )
    queue_steps: int = Field(
        default=20,
        ge=4,
        description="Most steps in memory on their way to the disk; from half of it on: pause [steps].",
    )
    max_message_bytes: int = Field(default=4 << 20, ge=1 << 20, description="Largest message taken or sent [bytes].")
    max_snapshot_bytes: int = Field(default=256 << 20, gt=0, description="Largest policy snapshot taken [bytes].")

    @model_validator(mode="after")
    def _backoff_grows(self) -> Self:
        if self.backoff_max_s < self.backoff_first_s:
            raise ValueError(
                f"backoff_max_s: got {self.backoff_max_s}, expected at least backoff_first_s, {self.backoff_first_s}"
            )
        return self
