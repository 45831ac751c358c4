"""A run in trackio, on this machine or in a Space of Hugging Face."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from console.mirror.settings import TrackioSettings
from console.mirror.sink import Identity, Point, SinkError

if TYPE_CHECKING:
    from trackio.run import Run

# With one of these set trackio would send to where the settings of the run do not say.
ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_WEBHOOK_URL")
# It asks Hugging Face who is logged in, also for a run that stays here. Read when it is imported.
STAY_HERE = "HF_HUB_OFFLINE"


class TrackioSink:
    """A run there, by its name, which must therefore be its own; open from a point until it settles."""

    def __init__(self, chosen: TrackioSettings, identity: Identity, config: Mapping[str, Any]) -> None:
        self._chosen, self._identity, self._config = chosen, identity, dict(config)
        self._run: Run | None = None
        self._opened = False
        for name in ELSEWHERE:
            os.environ.pop(name, None)
        if not chosen.space:
            os.environ[STAY_HERE] = "1"

    def send(self, number: int, point: Point) -> None:  # noqa: ARG002  # it takes points in any order
        """It lies over its place on its axis."""
        with _refusals():
            if self._run is None:
                self._run = self._open()
            self._run.log(dict(point.values), step=point.at)

    def settle(self) -> None:
        """Only a run that has finished is written out for certain; the next point takes it up again.

        What a Space does not take lies in trackio's own folder then, and goes out with what comes next.
        """
        if self._run is not None:
            import trackio

            self._run = None
            with _refusals(), _quietly():
                trackio.finish()

    def close(self) -> None:
        """Nothing is left open between two looks."""
        self.settle()

    def _open(self) -> Run:
        import trackio

        with _quietly(self._opened):
            run = trackio.init(
                project=self._chosen.project,
                name=f"{self._identity.name}-{self._identity.id}",
                group=self._identity.group,
                space_id=self._chosen.space or None,
                private=True,  # it would be public otherwise
                config=self._config,
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self._opened = True
        return run


@contextmanager
def _quietly(quietly: bool = True) -> Iterator[None]:
    """Without the lines that it would print again for every look."""
    if not quietly:
        yield
        return
    with redirect_stdout(io.StringIO()):
        yield


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # what requests, checks and the Hub's client raise
        raise SinkError(
            f"trackio: {error}\ncheck the network, `hf auth login`, and mirror.trackio; without "
            f"mirror.trackio.space it needs neither network nor account"
        ) from error
