"""The control loop with all that belongs to it on the robot host, as `nudge actor` and `nudge record` run it."""

from __future__ import annotations

import gc
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from actor.camera_watch import CameraWatch
from actor.command_desk import CommandDesk
from actor.loop import ControlLoop
from actor.onlookers import Onlookers
from actor.roles import ActingPolicy, Link, RewardJudge
from actor.settings import start_seed
from actor.timing import LoopTiming
from console.arm import opened_arm
from console.errors import ConsoleError
from console.evaluation.punctuality import asked_realtime
from console.operator import opened_operator
from console.rehearse import rehearse
from console.run_folder import TIMING_FILE
from console.settings import Settings
from console.stopping import stop_event
from console.terminal.teller import Teller
from console.terminal.telling import loud, tell
from robot.cameras.contact_sheet import write_contact_sheet
from robot.safety.emergency import EmergencyStop
from teleop.countdown import CountedDown


def prepare_to_drive(settings: Settings) -> tuple[threading.Event, EmergencyStop]:
    """Make this a process that drives an arm: what ends it in order, and what stops the arm at once.

    Ctrl+C is the first, and once more the second. Raise `ConsoleError` where a person would drive a world that does
    not wait for them.
    """
    if is_person(settings) and settings.loop.pace != "realtime":
        raise ConsoleError(
            f"loop.pace: got {settings.loop.pace}, whose simulated world runs as fast as it can, but a person drives "
            f"(teleop.device {settings.teleop.device}); set loop.pace to realtime"
        )
    emergency = EmergencyStop()
    stop = stop_event(on_second=lambda: emergency.press("a second Ctrl+C"))
    # One thread: the loop's matrices are small, and the learner on the same machine needs the other cores.
    torch.set_num_threads(1)
    settings.folder.mkdir(parents=True, exist_ok=True)
    return stop, emergency


def is_person(settings: Settings) -> bool:
    """Whether somebody of flesh and blood teaches."""
    return settings.teleop.device != "scripted"


def run_loop(
    settings: Settings,
    console: Console,
    link: Link,
    policy: ActingPolicy,
    teller: Teller,
    reference: Path,
    stop: threading.Event,
    emergency: EmergencyStop,
    *,
    judge: RewardJudge | None,
    countdown_s: float = 0.0,
    desk: CommandDesk | None = None,
    timing: LoopTiming | None = None,
) -> None:
    """Open arm and devices, rehearse where that is due, and drive until the loop's settings or `stop` end it.

    teller: entered once the loop begins; reference: folder of how the demonstrations looked
    judge: pays the rewards; None: the task itself does
    countdown_s: before each demonstration of an operator that begins by itself
    desk: what people tell from elsewhere; None where nobody can
    timing: how the ticks keep time, where somebody watches it meanwhile
    """
    before = link.progress
    seed = start_seed(settings.seed, before.next_episode)
    rehearsing = is_person(settings) and settings.teleop.rehearsal and before.env_steps == 0
    with (
        opened_operator(settings, seed, emergency, console, desk, before.trained_episodes) as operator,
        opened_arm(settings, seed, emergency) as env,
    ):
        if rehearsing and not rehearse(env, operator, settings.contract, loud(console), stop):
            tell(console, "the rehearsal was not finished: nothing was recorded", logging.WARNING)
            return
        write_contact_sheet(settings.folder, env.arm.read().frames, settings.contract.cameras)
        with teller:
            loop = ControlLoop(
                env,
                settings.contract,
                settings.loop,
                link,
                policy,
                CountedDown(operator, countdown_s) if countdown_s else operator,
                settings.seed,
                CameraWatch(reference, settings.contract, settings.arm.drift),
                teller if desk is None else Onlookers(desk.board, teller),
                judge,
                timing,
            )
            # A collection of all that is loaded takes 0.15 s, in some tick; what is here now stays anyway.
            gc.collect()
            gc.freeze()
            with asked_realtime(settings.loop, console):
                loop.run(stop)
    _tell_how_it_went(loop, env.guard.warnings, settings, console)


def _tell_how_it_went(loop: ControlLoop, warnings: Sequence[str], settings: Settings, console: Console) -> None:
    if loop.gaps:
        tell(console, f"{loop.gaps} episodes were cut because this machine or process had slept", logging.WARNING)
    for warning in warnings:
        tell(console, warning, logging.WARNING)
    if loop.timing.line():
        tell(loud(console), loop.timing.line())
    (settings.folder / TIMING_FILE).write_text(json.dumps(loop.timing.summary(), indent=1) + "\n")
