"""The arm as a verb drives it: at rest in the end, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from console.priority import take_short_turns
from console.run_folder import WATCHDOG_LOG_FILE
from console.settings import Settings
from robot.env import ArmEnv, make_env
from robot.safety.emergency import EmergencyStop
from robot.watchdog import Watchdog


class Closing(Protocol):
    """What has an arm, and parks it."""

    def close(self) -> None:
        """Park, let go, free the devices."""
        ...


@contextmanager
def at_rest_afterwards[T: Closing](settings: Settings, opened: Callable[[], T]) -> Iterator[T]:
    """What `opened` makes, closed on every way out: the arm parks, by a watchdog if this process dies or cannot."""
    arm = settings.arm
    with ExitStack() as stack:
        watchdog = None
        if arm.kind == "so101":
            take_short_turns()
            settings.folder.mkdir(parents=True, exist_ok=True)
            log = settings.folder / WATCHDOG_LOG_FILE
            watchdog = stack.enter_context(Watchdog(arm.watchdog, arm.so101, arm.motion, log))
        made = opened()
        try:
            yield made
        finally:
            made.close()
            if watchdog is not None:
                watchdog.parked()  # not where closing has raised: then it has something left to do


@contextmanager
def opened_arm(settings: Settings, seed: int, emergency: EmergencyStop) -> Iterator[ArmEnv]:
    """The environment with its arm, at rest afterwards. emergency: the stop that anybody may press."""
    with at_rest_afterwards(
        settings, lambda: make_env(settings.contract, settings.arm, settings.task, seed, emergency)
    ) as env:
        yield env
