"""Settings of the learner's gRPC service."""

from __future__ import annotations

import ipaddress

from pydantic import Field, field_validator

from policy.contract import Frozen
from policy.wire import MAX_CHUNK_BYTES


class ServiceSettings(Frozen):
    """Where the learner listens, and what it bears."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; loopback only, for now.")
    port: int = Field(default=50551, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_streams: int = Field(default=16, ge=2, description="Open streams at a time; an actor has two.")
    max_message_bytes: int = Field(default=4 << 20, ge=1 << 16, description="Largest message taken or sent [bytes].")
    inbox_bytes: int = Field(default=8 << 20, gt=0, description="Steps of one stream that wait for the disk [bytes].")
    chunk_bytes: int = Field(
        default=MAX_CHUNK_BYTES, gt=0, le=MAX_CHUNK_BYTES, description="Largest part of a policy snapshot [bytes]."
    )
    keepalive_time_s: float = Field(default=10.0, ge=1, description="Silence after which the peer is probed [s].")
    keepalive_timeout_s: float = Field(default=5.0, gt=0, description="Time in which a probed peer must answer [s].")
    idle_check_s: float = Field(
        default=0.2, gt=0, le=5, description="How often a silent stream looks for news: a leaver, `steps_behind` [s]."
    )

    @field_validator("host")
    @classmethod
    def _is_loopback(cls, host: str) -> str:
        if host != "localhost" and not _is_loopback_address(host):
            raise ValueError(
                f"got {host!r}, expected 127.0.0.1, ::1 or localhost: beyond loopback the service needs TLS and a "
                f"token, which are not built yet; use an SSH tunnel (ssh -L) until they are"
            )
        return host

    @property
    def bind_address(self) -> str:
        """Host and port as gRPC writes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_loopback_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: where it leads can change
        return False
