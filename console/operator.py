"""The operator that the settings name: a program, or a person with a device and keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from console.errors import ConsoleError
from console.settings import Settings
from robot.safety.emergency import EmergencyStop
from teleop.device import TeleopDevice
from teleop.events import EventLatch
from teleop.person import PersonAtDevice
from teleop.scripted import ScriptedOperator
from teleop.takeover import Operator


@contextmanager
def opened_operator(settings: Settings, seed: int, emergency: EmergencyStop) -> Iterator[Operator]:
    """The operator, with the devices open while this lasts. Raises `TeleopError` for one that is not there.

    emergency: what their keys for it press
    """
    teleop = settings.teleop
    if teleop.device == "scripted":
        _require_truth(settings)
        yield ScriptedOperator(settings.contract, settings.operator, seed)
        return
    latch = EventLatch(emergency.press, emergency.reset)
    with ExitStack() as stack:
        if teleop.keys and teleop.device != "keyboard":
            stack.enter_context(_keyboard(settings, latch, drives=False))
        device = stack.enter_context(_device(settings, latch))
        yield PersonAtDevice(device, latch, teleop)


def _device(settings: Settings, latch: EventLatch) -> TeleopDevice:
    """What drives; each is imported only where it is wanted: pynput needs a screen, LeRobot's bus costs seconds."""
    teleop = settings.teleop
    if teleop.device == "keyboard":
        return _keyboard(settings, latch, drives=True)
    if teleop.device == "gamepad":
        from teleop.gamepad.device import Gamepad

        return Gamepad(teleop.gamepad, settings.contract, latch)
    from teleop.leader.arm import LeaderArm

    return LeaderArm(teleop.leader, settings.contract, settings.arm.controller, latch)


def _keyboard(settings: Settings, latch: EventLatch, *, drives: bool) -> TeleopDevice:
    from teleop.keyboard.device import Keyboard

    return Keyboard(settings.teleop.keyboard, settings.contract, latch, drives=drives)


def _require_truth(settings: Settings) -> None:
    if not settings.contract.sim_only:
        raise ConsoleError(
            "teleop.device: got scripted, whose program sees the simulator's truth, and a real desk has none; "
            "choose leader, gamepad or keyboard"
        )
