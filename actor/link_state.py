"""What can be seen of the link: its state, the learner's answer, and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import grpc

from policy.errors import NudgeError
from policy.experience import StepId


class LinkError(NudgeError):
    """No connection to the learner, or one that cannot be used."""


class ActorIdTaken(LinkError):
    """Another actor is connected under this actor id."""


class ExperienceRefused(NudgeError):
    """The learner refuses a step for good: this actor sends what its contract does not allow."""


class LinkStatus(Enum):
    """Whether the learner is there."""

    CONNECTED = "connected"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class LinkState:
    """Since when (time.monotonic) the learner is there or away, and the last error, empty when connected."""

    status: LinkStatus
    since_s: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The learner's answer to our Hello."""

    run_id: str
    policy_version: int
    policy_spec_json: str
    last_durable: StepId | None


def reason_of(error: Exception) -> tuple[grpc.StatusCode | None, str]:
    """Status code, if the learner or gRPC gave one, and a text for people."""
    if isinstance(error, grpc.RpcError):
        code, details = error.code(), error.details() or "no reason given"
        return code, f"{code.name}: {details}" if code is grpc.StatusCode.UNAVAILABLE else details
    return None, str(error) or type(error).__name__
