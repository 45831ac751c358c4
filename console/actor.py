"""`nudge actor`: the control loop of one arm, with its link to the learner."""

from __future__ import annotations

import gc
import json
import threading
from contextlib import ExitStack

import torch
from rich.console import Console

from actor.camera_watch import CameraWatch
from actor.inference import Policy
from actor.link import LearnerLink, LinkStatus, OpeningStopped, Spool
from actor.loop import ControlLoop
from actor.settings import start_seed
from console.arm import opened_arm
from console.errors import ConsoleError
from console.link_lines import LinkLines
from console.operator import opened_operator
from console.presets import load_settings
from console.punctuality import asked_niceness, asked_realtime
from console.rehearse import rehearse
from console.run_folder import REFERENCE_FOLDER, SPOOL_FILE, TIMING_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from console.teller import Teller
from policy.encoder import load_encoder
from policy.network import PolicySpec
from robot.cameras.contact_sheet import write_contact_sheet
from robot.safety.emergency import EmergencyStop


def main(argv: list[str]) -> int:
    """Drive the arm until the step budget is spent, or until someone says stop."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge actor")
    drive(settings, Console())
    return 0


def drive(settings: Settings, console: Console) -> None:
    """Connect, demonstrate, train; parks the arm and keeps every step on every way out.

    Ctrl+C ends the episode and parks; a second one lets go of the arm at once. Goes on where the run folder's spool
    stands: with its session, its step budget and its demonstrations.
    """
    if settings.teleop.device != "scripted" and settings.loop.pace != "realtime":
        raise ConsoleError(
            f"loop.pace: got {settings.loop.pace}, whose simulated world runs as fast as it can, but a person drives "
            f"(teleop.device {settings.teleop.device}); set loop.pace to realtime"
        )
    emergency = EmergencyStop()
    stop = stop_event(on_second=lambda: emergency.press("a second Ctrl+C"))
    # One thread: the loop's matrices are small, and the learner on the same machine needs the other cores.
    torch.set_num_threads(1)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with (
        asked_niceness(settings.loop, console),
        Spool(settings.folder / SPOOL_FILE, settings.contract, settings.link) as spool,
    ):
        console.print(f"spool {spool.describe()}", highlight=False)
        link = LearnerLink(settings.link, settings.contract, spool)
        try:
            _drive(settings, console, link, stop, emergency)
            _deliver(settings, console, link)
        except OpeningStopped as stopped:
            console.print(str(stopped), highlight=False, markup=False)
        finally:
            link.close()
            if link.unacknowledged:
                console.print(
                    f"[yellow]{link.unacknowledged} steps wait in {spool.path}; the next `nudge actor` of this run "
                    f"delivers them[/]"
                )
            if link.unwritten:
                console.print(f"[red]of these {link.unwritten} are lost: {spool.path} could not be written[/]")


def _drive(
    settings: Settings, console: Console, link: LearnerLink, stop: threading.Event, emergency: EmergencyStop
) -> None:
    welcome = link.open(stop)
    console.print(f"connected to run {welcome.run_id!r} at {settings.link.address}, session {link.session[:8]}")
    policy = Policy(
        PolicySpec.model_validate_json(welcome.policy_spec_json),
        settings.contract,
        load_encoder(settings.learner.encoder),
    )
    link.prepare_snapshots(policy.prepare)
    seed = start_seed(settings.seed, link.progress.next_episode)
    person = settings.teleop.device != "scripted"
    rehearsing = person and settings.teleop.rehearsal and link.progress.env_steps == 0
    with (
        opened_operator(settings, seed, emergency, console) as operator,
        opened_arm(settings, seed, emergency) as env,
        LinkLines(link, console),
        ExitStack() as stack,
    ):
        if rehearsing and not rehearse(env, operator, settings.contract, console, stop):
            console.print("the rehearsal was not finished: nothing was recorded", highlight=False)
            return
        write_contact_sheet(settings.folder, env.arm.read().frames, settings.contract.cameras)
        teller = stack.enter_context(Teller(console, person=person))
        loop = ControlLoop(
            env,
            settings.contract,
            settings.loop,
            link,
            policy,
            operator,
            settings.seed,
            CameraWatch(settings.folder / REFERENCE_FOLDER, settings.contract, settings.arm.drift),
            teller,
        )
        # A collection of all that is loaded takes 0.15 s, in some tick; what is here now stays anyway.
        gc.collect()
        gc.freeze()
        with asked_realtime(settings.loop, console):
            loop.run(stop)
    if loop.gaps:
        console.print(f"[yellow]{loop.gaps} episodes were cut because this machine or process had slept[/]")
    for warning in env.guard.warnings:
        console.print(f"[yellow]{warning}[/]")
    if loop.timing.line():
        console.print(loop.timing.line(), highlight=False)
    (settings.folder / TIMING_FILE).write_text(json.dumps(loop.timing.summary(), indent=1) + "\n")


def _deliver(settings: Settings, console: Console, link: LearnerLink) -> None:
    """Wait for a connected learner's acknowledgements; one that is away gets its steps at the next start."""
    waiting = link.unacknowledged
    if waiting and link.state.status is LinkStatus.CONNECTED:
        console.print(f"delivering the last {waiting} steps")
        link.flush(settings.loop.flush_s)
