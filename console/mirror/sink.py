"""What the mirror needs of a service, and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from console.extras import require_extra
from console.mirror.settings import MirrorSettings, Service
from policy.errors import NudgeError


class SinkError(NudgeError):
    """A service that refuses, does not answer, or is not installed."""


@dataclass(frozen=True, slots=True)
class Point:
    """Numbers that stand over one place of an axis: `learner/q_mean` over `updates`.

    axis: "updates", "env_steps" or "policy_version"
    """

    axis: str
    at: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Identity:
    """As what a run goes there.

    id: the same for as long as the run lasts, and for no other one
    group: the run's name; name: it too, until a rollback begins another line
    """

    id: str
    name: str
    group: str


class Sink(Protocol):
    """An open run of a service. Its methods raise `SinkError`."""

    def send(self, number: int, point: Point) -> None:
        """Hand one point over. number: of the point among all of this run, from 0; it never goes back."""

    def settle(self) -> None:
        """Return when what was handed over is safe from the death of this process."""

    def close(self) -> None:
        """Return when all that was handed over is where it belongs."""


def require_installed(service: Service) -> None:
    """Raise `MissingExtra` where the package of a service is missing."""
    require_extra(f"mirror.to {service}", service, service)


def destination(service: Service, settings: MirrorSettings) -> str:
    """Where it goes, in words. What was sent there is remembered by them."""
    if service == "wandb":
        wandb = settings.wandb
        if wandb.mode == "offline":
            return f"the folder wandb in the run folder alone (offline), project {wandb.project}"
        whose = f"{wandb.entity}/{wandb.project}" if wandb.entity else f"{wandb.project} of the account logged in"
        return f"the servers of Weights & Biases, project {whose}"
    trackio = settings.trackio
    if trackio.space:
        return f"the Hugging Face Space {trackio.space}, project {trackio.project}"
    return f"trackio's folder on this machine alone, project {trackio.project}"


def open_sink(
    service: Service,
    settings: MirrorSettings,
    folder: Path,
    identity: Identity,
    config: Mapping[str, Any],
    *,
    patient: bool,
) -> Sink:
    """Begin the run there, or go on in it. Raises `SinkError`.

    patient: its end may take as long as it takes, else `finish_s`
    """
    require_installed(service)
    if service == "wandb":
        from console.mirror.wandb_sink import WandbSink

        return WandbSink(settings.wandb, folder, identity, config, 0 if patient else settings.finish_s)
    from console.mirror.trackio_sink import TrackioSink

    return TrackioSink(settings.trackio, identity, config)
