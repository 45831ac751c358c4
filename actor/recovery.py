"""Waiting for an arm with a fault to be sound again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from robot.env import ArmEnv
from robot.errors import ArmFault

RECOVERY_EVERY_S = 1.0  # between two looks whether a faulty arm is sound again


def wait_until_sound(env: ArmEnv, fault: ArmFault, tell: Callable[[ArmFault], None], stop: threading.Event) -> bool:
    """Try to recover until it works; false when stopped before.

    fault: the one that is known; tell: told of it, and of each that differs from the one before
    """
    told = ""
    while True:
        if str(fault) != told:
            tell(fault)
            told = str(fault)
        if stop.wait(RECOVERY_EVERY_S):
            return False
        try:
            env.recover()
        except ArmFault as again:
            fault = again
        else:
            return True
