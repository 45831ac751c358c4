"""A run at Weights & Biases, or in its files on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console.mirror.settings import WandbSettings
from console.mirror.sink import Identity, Point, SinkError

# Curves stand over what they were measured at, since wandb's own step only counts what is logged.
AXES = {"learner/*": "updates", "episode/*": "env_steps", "evaluation/*": "policy_version"}
# It would also tell of this machine: its name, load and packages, what stands on the terminal, the code, its commit.
QUIET: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "host": "",
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
# Its own errors it would report to its makers, also offline. Read when it is imported.
NO_REPORTS = ("WANDB_ERROR_REPORTING", "false")


class WandbSink:
    """An open run there; one that exists by this id goes on.

    finish_s: how long it may take to send what is left at the end [s]; 0: as long as it takes
    """

    def __init__(
        self, chosen: WandbSettings, folder: Path, identity: Identity, config: Mapping[str, Any], finish_s: float
    ) -> None:
        os.environ.setdefault(*NO_REPORTS)
        import wandb

        with _refusals():
            self._run = wandb.init(
                entity=chosen.entity or None,
                project=chosen.project,
                id=identity.id,
                name=identity.name,
                group=identity.group,
                dir=folder,
                mode=chosen.mode,
                resume="allow" if chosen.mode == "online" else None,
                config=dict(config),
                allow_val_change=True,
                settings=wandb.Settings(finish_timeout=finish_s, finish_timeout_raises=True, **QUIET),
            )
            for names, axis in AXES.items():
                self._run.define_metric(axis, hidden=True)
                self._run.define_metric(names, step_metric=axis)

    def send(self, number: int, point: Point) -> None:
        """It takes points in the order of their numbers only, and drops one that it has."""
        with _refusals():
            self._run.log({point.axis: point.at, **point.values}, step=number)

    def settle(self) -> None:
        """Nothing to wait for: a process of wandb's own has each point at once, and puts it into its file."""

    def close(self) -> None:
        """Wait until it is sent."""
        with _refusals():
            try:
                self._run.finish()
            except TimeoutError as error:
                folder = Path(self._run.dir).parent
                raise SinkError(
                    f"wandb: not everything was sent in time; what is left lies in {folder}, and `wandb sync {folder}` "
                    f"sends it"
                ) from error


@contextmanager
def _refusals() -> Iterator[None]:
    from wandb.errors import Error

    try:
        yield
    except Error as error:
        raise SinkError(
            f"wandb: {error}\ncheck the network, `wandb login`, and mirror.wandb; with mirror.wandb.mode offline it "
            f"needs neither network nor account"
        ) from error
