"""The mirrors beside a learner: a process for each service, so that no service is ever waited for while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console

from console.mirror.sink import destination
from console.presets.load import PRESET_OPTION
from console.run_folder import LEARNER_SETTINGS_FILE
from console.settings import Settings
from console.stopping import Child
from console.terminal.telling import loud, tell

LAST_LOOK_S = 5.0  # what a mirror may take to read what came last, before `finish_s` begins


@contextmanager
def mirrors_beside(settings: Settings, console: Console) -> Iterator[None]:
    """Follow the run as long as this lasts, wherever its settings want it seen, and say where that is.

    The packages must be there, and the settings in the run folder.
    """
    chosen = settings.mirror
    preset = [PRESET_OPTION, str(settings.folder / LEARNER_SETTINGS_FILE)]
    with ExitStack() as stack:
        children = []
        for service in chosen.to:
            log = settings.folder / f"mirror-{service}.log"
            arguments = ["mirror", "--to", service, "--follow", *preset]
            child = Child(f"mirror to {service}", arguments, log, LAST_LOOK_S + chosen.finish_s)
            children.append(stack.enter_context(child))
            where = destination(service, chosen)
            tell(console, f"{service}: curves, ends of episodes and settings go to {where}; it reports in {log}")
        yield
        for child in children:  # all at once: none waits for another one's service
            child.ask_to_stop()
    for child in children:
        if child.status:
            tell(
                loud(console),
                f"{child.name}: it ended without having sent everything, {child.log} says why; "
                f"`nudge mirror --run {settings.run}` sends the rest",
            )
