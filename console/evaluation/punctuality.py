"""What the settings ask the system for, so that ticks come in time, and in the terminal what it refuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console

from actor.settings import LoopSettings
from console import priority
from console.terminal.telling import tell


def asked_niceness(settings: LoopSettings, console: Console) -> AbstractContextManager[None]:
    """Before others on this machine, if the world does not wait."""
    wanted = settings.niceness if settings.pace == "realtime" else 0
    cure = "on a busy machine ticks will be late; start it with that right, or with --loop.niceness 0 to hear no more"
    return _told(priority.niceness(wanted), f"a niceness of {wanted}", cure, console)


def asked_realtime(settings: LoopSettings, console: Console) -> AbstractContextManager[None]:
    """The calling thread before everything else, if the settings ask for it and the world does not wait."""
    wanted = settings.realtime_priority if settings.pace == "realtime" else 0
    cure = "start it with that right, or set loop.realtime_priority to 0"
    return _told(priority.realtime(wanted), f"the realtime priority {wanted}", cure, console)


@contextmanager
def _told(asked: AbstractContextManager[str], what: str, cure: str, console: Console) -> Iterator[None]:
    with asked as refused:
        if refused:
            tell(console, f"no right to {what} ({refused}): {cure}", logging.WARNING)
        yield
