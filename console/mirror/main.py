"""`nudge mirror`: the curves of a run at wandb or trackio, once or for as long as it grows."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Annotated

from pydantic import Field

from console.errors import ConsoleError
from console.mirror.follower import Mirror, follow
from console.mirror.settings import Service
from console.mirror.sink import require_installed
from console.presets.load import AMONG_OPTIONS, load_options
from console.priority import niceness
from console.run_settings import settings_of_run
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import FOLLOW_PARENT, stop_event
from policy.contract import Frozen


class MirrorOptions(Frozen):
    """Send the curves of a run to wandb or trackio: what they do not have yet, once. With --follow until Ctrl+C."""

    to: tuple[Service, ...] = Field(default=(), description="Where to; none: what the run's mirror.to says.")
    follow: bool = Field(default=False, description="Stay, and send what comes; to one service only.")
    settings: Annotated[Settings, *AMONG_OPTIONS]


def main(argv: list[str]) -> int:
    """Send what is new."""
    options = settings_of_run(
        argv, lambda each: load_options(MirrorOptions, each, DEFAULT_PRESET, "nudge mirror"), lambda each: each.settings
    )
    settings = options.settings
    services = options.to or settings.mirror.to
    if not services:
        raise ConsoleError(
            f"mirror: neither --to nor mirror.to of run {settings.run} names a service, expected wandb or trackio; say "
            f"--to wandb"
        )
    for service in services:
        require_installed(service)
    if options.follow:
        if len(services) > 1:
            raise ConsoleError(f"mirror: --follow: got {' and '.join(services)}, expected one; start one for each")
        stop = stop_event()
        beside_learner = bool(os.environ.get(FOLLOW_PARENT))
        # There it stands back behind it, with all that it starts, and is not waited for.
        with niceness(settings.mirror.niceness if beside_learner else 0):
            mirror = Mirror(services[0], settings, patient=not beside_learner)
            _say(f"{services[0]}: run {settings.run} goes to {mirror.where}")
            follow(mirror, stop, _say)
        return 0
    for service in services:
        mirror = Mirror(service, settings, patient=True)
        with closing(mirror):
            _say(f"{service}: run {settings.run} goes to {mirror.where}")
            count = mirror.look()
        _say(f"{service}: {count} points sent" if count else f"{service}: it has everything already")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
