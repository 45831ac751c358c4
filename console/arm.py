"""The arm as a verb drives it: at rest in the end, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from console.run_folder import WATCHDOG_LOG_FILE
from console.settings import Settings
from robot.env import ArmEnv, make_env
from robot.safety.emergency import EmergencyStop
from robot.watchdog import Watchdog


@contextmanager
def opened_arm(settings: Settings, seed: int, emergency: EmergencyStop) -> Iterator[ArmEnv]:
    """The environment with its arm; parked and let go on every way out, by the watchdog if this process dies or cannot.

    emergency: the stop that anybody may press
    """
    arm = settings.arm
    with ExitStack() as stack:
        watchdog = None
        if arm.kind == "so101":
            watchdog = stack.enter_context(
                Watchdog(arm.watchdog, arm.so101, arm.motion, settings.folder / WATCHDOG_LOG_FILE)
            )
        env = make_env(settings.contract, arm, settings.task, seed, emergency)
        try:
            yield env
        finally:
            env.close()
        if watchdog is not None:
            watchdog.parked()
