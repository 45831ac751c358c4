"""`nudge actor`: the control loop of one arm, with its link to the learner."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from rich.console import Console

from actor.camera_watch import CameraWatch
from actor.episode import EpisodeOutcome
from actor.inference import Policy
from actor.link import LearnerLink, LinkStatus, OpeningStopped, Spool
from actor.loop import ControlLoop
from actor.settings import LoopSettings, start_seed
from console import priority
from console.arm import opened_arm
from console.link_lines import LinkLines
from console.presets import load_settings
from console.run_folder import REFERENCE_FOLDER, SPOOL_FILE, TIMING_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from policy.encoder import load_encoder
from policy.network import PolicySpec
from robot.cameras.contact_sheet import write_contact_sheet
from robot.cameras.drift import Finding, Severity
from robot.errors import ArmFault
from robot.safety.emergency import EmergencyStop
from teleop.scripted import ScriptedOperator


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
    emergency = EmergencyStop()
    stop = stop_event(on_second=lambda: emergency.press("a second Ctrl+C"))
    # One thread: the loop's matrices are small, and the learner on the same machine needs the other cores.
    torch.set_num_threads(1)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with (
        _niceness(settings.loop, console),
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
    with opened_arm(settings, seed, emergency) as env, LinkLines(link, console):
        write_contact_sheet(settings.folder, env.arm.read().frames, settings.contract.cameras)
        loop = ControlLoop(
            env,
            settings.contract,
            settings.loop,
            link,
            policy,
            ScriptedOperator(settings.contract, settings.operator, seed),
            settings.seed,
            CameraWatch(settings.folder / REFERENCE_FOLDER, settings.contract, settings.arm.drift),
            _Teller(console),
        )
        # A collection of all that is loaded takes 0.15 s, in some tick; what is here now stays anyway.
        gc.collect()
        gc.freeze()
        with _realtime(settings.loop, console):
            loop.run(stop)
    if loop.gaps:
        console.print(f"[yellow]{loop.gaps} episodes were cut because this machine or process had slept[/]")
    for warning in env.guard.warnings:
        console.print(f"[yellow]{warning}[/]")
    if loop.timing.line():
        console.print(loop.timing.line(), highlight=False)
    (settings.folder / TIMING_FILE).write_text(json.dumps(loop.timing.summary(), indent=1) + "\n")


@contextmanager
def _niceness(settings: LoopSettings, console: Console) -> Iterator[None]:
    """Before others on this machine, if the world does not wait."""
    with priority.niceness(settings.niceness if settings.pace == "realtime" else 0) as refused:
        if refused:
            console.print(
                f"[yellow]no right to a niceness of {settings.niceness} ({refused}): on a busy machine ticks will be "
                f"late; start it with that right, or with --loop.niceness 0 to hear no more of it[/]"
            )
        yield


@contextmanager
def _realtime(settings: LoopSettings, console: Console) -> Iterator[None]:
    """The control loop's thread before everything else, if the settings ask for it."""
    with priority.realtime(settings.realtime_priority if settings.pace == "realtime" else 0) as refused:
        if refused:
            console.print(
                f"[yellow]no right to the realtime priority {settings.realtime_priority} ({refused}): start it with "
                f"that right, or set loop.realtime_priority to 0[/]"
            )
        yield


def _deliver(settings: Settings, console: Console, link: LearnerLink) -> None:
    """Wait for a connected learner's acknowledgements; one that is away gets its steps at the next start."""
    waiting = link.unacknowledged
    if waiting and link.state.status is LinkStatus.CONNECTED:
        console.print(f"delivering the last {waiting} steps")
        link.flush(settings.loop.flush_s)


class _Teller:
    """Tells the terminal, a line or two each."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        kind = "demonstration" if outcome.demonstration else "episode"
        result = "[green]success[/]" if outcome.success else "no success"
        helped = f", {outcome.human_steps} by the operator" if outcome.human_steps and not outcome.demonstration else ""
        cut = ", cut by a fault" if outcome.fault else f", cut: {outcome.cut}" if outcome.cut else ""
        self._console.print(
            f"{outcome.env_steps:6d}  {kind} {outcome.episode}: {result} in {outcome.steps} steps{helped}{cut}"
        )

    def arm_faulty(self, fault: ArmFault) -> None:
        self._say("red", "\n  ".join((str(fault), *getattr(fault, "__notes__", ()))))

    def arm_sound(self) -> None:
        self._say("green", "the arm is sound again")

    def camera_drifted(self, finding: Finding) -> None:
        self._say("red" if finding.severity is Severity.SEVERE else "yellow", str(finding))

    def _say(self, style: str, text: str) -> None:
        self._console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
