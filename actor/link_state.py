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


class OpeningStopped(LinkError):
    """Someone said stop before the learner had answered."""


class OtherLearner(LinkError):
    """A learner that our steps do not go to: of another run, or with other steps than the spool knows of."""


class ExperienceRefused(NudgeError):
    """The learner refuses a step for good: this actor sends what its contract does not allow."""


class LinkStatus(Enum):
    """Whether the learner is there."""

    CONNECTED = "connected"
    AWAY = "away"


class PauseCause(Enum):
    """Why the control loop is to pause."""

    DISK = "the disk does not take steps"
    SPOOL_FULL = "the spool is full"
    QUEUE = "the disk is slower than the arm"
    AWAY = "the learner is away"


@dataclass(frozen=True, slots=True)
class Pause:
    """Why no episode may begin, and what ends that; a cause other than AWAY cuts the running one as well."""

    cause: PauseCause
    reason: str

    @property
    def cuts_episode(self) -> bool:
        """True when the running episode must end at its next step: there is room for that one."""
        return self.cause is not PauseCause.AWAY


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the link stands at this moment.

    since_s: since when (time.monotonic) the learner is there, or away
    error: why it is away; empty when connected
    waiting_steps: steps taken that the learner has not acknowledged
    fill: share of the spool's room that is used; `filling` from 80 % on
    pause: why the control loop is to pause; None when it may go on
    """

    status: LinkStatus
    since_s: float
    error: str = ""
    waiting_steps: int = 0
    fill: float = 0.0
    filling: bool = False
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """The learner's answer to our Hello.

    shared_demonstrations: successful ones that it has from demo sets
    takes_reports: whether it knows of commands and reports: since protocol 1.3
    """

    run_id: str
    policy_version: int
    policy_spec_json: str
    last_durable: StepId | None
    shared_demonstrations: int = 0
    takes_reports: bool = False


def reason_of(error: Exception) -> tuple[grpc.StatusCode | None, str]:
    """Status code, if the learner or gRPC gave one, and a text for people."""
    if isinstance(error, grpc.RpcError):
        code, details = error.code(), error.details() or "no reason given"
        return code, f"{code.name}: {details}" if code is grpc.StatusCode.UNAVAILABLE else details
    return None, str(error) or type(error).__name__
