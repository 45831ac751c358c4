"""The operator that the settings name: a program, or a person with a device and keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console

from actor.command_desk import CommandDesk
from actor.commanded import CommandedOperator
from console.errors import ConsoleError
from console.settings import Settings
from console.terminal.telling import tell
from robot.safety.emergency import EmergencyStop
from teleop.attended import AttendedProgram
from teleop.device import TeleopDevice
from teleop.events import EventLatch
from teleop.keyboard.device import Keyboard
from teleop.keyboard.shown import ShownOperator
from teleop.keyboard.table import key_lines
from teleop.person import PersonAtDevice
from teleop.scripted import ScriptedOperator
from teleop.takeover import Operator


@contextmanager
def opened_operator(
    settings: Settings,
    seed: int,
    emergency: EmergencyStop,
    console: Console,
    desk: CommandDesk | None = None,
    trained_episodes: int = 0,
) -> Iterator[Operator]:
    """The operator, with the devices open while this lasts. Raises `TeleopError` for one that is not there.

    emergency: what their keys for it press; console: is told which key does what
    desk: brings what people tell from elsewhere, whom the operator then heeds as well
    trained_episodes: of the run before; a program that leads at first leads fewer of those to come
    """
    latch = EventLatch(emergency.press, emergency.reset)
    operator: Operator
    with ExitStack() as stack:
        if settings.teleop.device == "scripted":
            operator = _program(settings, seed, latch, trained_episodes)
        else:
            operator = _person(settings, latch, stack, console)
        yield operator if desk is None else CommandedOperator(operator, latch, desk)


def _program(settings: Settings, seed: int, latch: EventLatch, trained_episodes: int) -> Operator:
    _require_truth(settings)
    return AttendedProgram(ScriptedOperator(settings.contract, settings.operator, seed, trained_episodes), latch)


def _person(settings: Settings, latch: EventLatch, stack: ExitStack, console: Console) -> Operator:
    teleop = settings.teleop
    device: TeleopDevice
    keyboard: Keyboard | None
    if teleop.device == "keyboard":
        keyboard = device = _keyboard(settings, latch, stack, console, drives=True)
    else:
        keyboard = _keyboard(settings, latch, stack, console, drives=False) if teleop.keys else None
        device = stack.enter_context(_hand_device(settings, latch))
    person = PersonAtDevice(device, latch, teleop)
    return person if keyboard is None else ShownOperator(person, keyboard)


def _hand_device(settings: Settings, latch: EventLatch) -> TeleopDevice:
    """What a hand drives; each is imported only where it is wanted: LeRobot's bus costs seconds."""
    if settings.teleop.device == "gamepad":
        from teleop.gamepad.device import Gamepad

        return Gamepad(settings.teleop.gamepad, settings.contract, latch)
    from teleop.leader.arm import LeaderArm

    return LeaderArm(settings.teleop.leader, settings.contract, settings.arm.controller, latch)


def _keyboard(settings: Settings, latch: EventLatch, stack: ExitStack, console: Console, *, drives: bool) -> Keyboard:
    """The keyboard, open, and in the terminal which key does what."""
    keyboard = stack.enter_context(Keyboard(settings.teleop.keyboard, settings.contract, latch, drives=drives))
    for line in (keyboard.source, *key_lines(settings.teleop.keyboard.keys, drives=drives)):
        tell(console, line)
    return keyboard


def _require_truth(settings: Settings) -> None:
    if not settings.contract.sim_only:
        raise ConsoleError(
            "teleop.device: got scripted, whose program sees the simulator's truth, and a real desk has none; "
            "choose leader, gamepad or keyboard"
        )
    if settings.task.judge == "operator":
        raise ConsoleError(
            "task.judge: got operator, but teleop.device is scripted, a program that presses no key: nothing would "
            "ever succeed; set task.judge to simulator or to classifier, or drive yourself"
        )
