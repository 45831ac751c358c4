"""Settings of the learner's gRPC service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from policy.contract import Frozen
from policy.key_files import TlsFiles
from policy.wire import MAX_CHUNK_BYTES


class ServiceSettings(Frozen):
    """Where the learner listens, whom it believes, and what it bears."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback with TLS and token only.")
    port: int = Field(default=50551, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls: TlsFiles = Field(default=TlsFiles(), description="Files that `nudge keys` makes; actors must have theirs.")
    token_file: Path | None = Field(default=None, description="File of the token that every call must bring.")
    lease_s: float = Field(
        default=60.0, ge=0, description="How long an actor id stays with its session after its last stream [s]."
    )
    max_actors: int = Field(default=64, ge=1, description="Actor ids that hold a lease at a time.")
    max_connections: int = Field(default=128, ge=1, description="Open TCP connections.")
    handshake_timeout_s: float = Field(default=10.0, gt=0, description="Time for TLS and the HTTP/2 preface [s].")
    idle_connection_s: float = Field(default=60.0, gt=0, description="A connection without a call is closed then [s].")
    max_streams: int = Field(default=48, ge=2, description="Open streams at a time; an actor has three.")
    max_streams_per_peer: int = Field(default=24, ge=2, description="Open streams from one address.")
    max_waiting_calls: int = Field(default=8, ge=2, description="Calls that have begun and not sent their request.")
    request_timeout_s: float = Field(default=5.0, gt=0, description="Time in which a call must send its request [s].")
    status_calls_per_s: float = Field(default=50.0, gt=0, description="Status calls from one address [1/s].")
    command_max_age_s: float = Field(
        default=5.0,
        gt=0,
        le=10,
        description="A command that nobody could heed for so long is dropped, and says so [s].",
    )
    command_queue: int = Field(default=8, ge=1, description="Commands that wait for one actor to take them.")
    commands_per_s: float = Field(default=10.0, gt=0, description="Commands from one address [1/s].")
    max_waiting_commands: int = Field(default=8, ge=1, description="Calls that wait to be told what became of theirs.")
    reports_per_s: float = Field(default=200.0, gt=0, description="Reports of actors from one address [1/s].")
    wrong_tokens_per_minute: float = Field(default=10.0, gt=0, description="Calls that are told why [1/min].")
    max_unfinished_episodes: int = Field(
        default=1000, ge=1, description="Episodes of one session without an end; a killed actor leaves one."
    )
    max_contract_bytes: int = Field(default=1 << 18, ge=1, description="Largest contract in a Hello [bytes].")
    max_metadata_bytes: int = Field(default=1 << 13, ge=1 << 10, description="Largest header of a call [bytes].")
    max_message_bytes: int = Field(default=1 << 20, ge=1 << 16, description="Largest message taken or sent [bytes].")
    inbox_bytes: int = Field(default=8 << 20, gt=0, description="Steps of one stream that wait for the disk [bytes].")
    chunk_bytes: int = Field(
        default=MAX_CHUNK_BYTES, gt=0, le=MAX_CHUNK_BYTES, description="Largest part of a policy snapshot [bytes]."
    )
    keepalive_time_s: float = Field(default=5.0, ge=1, description="Silence after which the peer is probed [s].")
    keepalive_timeout_s: float = Field(default=4.0, gt=0, description="Time in which a probed peer must answer [s].")
    idle_check_s: float = Field(
        default=0.2, gt=0, le=5, description="How often a silent stream looks for news: a leaver, `steps_behind` [s]."
    )

    @property
    def bind_address(self) -> str:
        """Host and port as gRPC writes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
