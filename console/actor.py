"""`nudge actor`: the control loop of one arm, with its link to the learner."""

from __future__ import annotations

import json
import threading

import torch
from rich.console import Console

from actor.inference import Policy
from actor.link import LearnerLink, LinkStatus, OpeningStopped, Spool
from actor.loop import ControlLoop, EpisodeOutcome
from actor.settings import start_seed
from console.link_lines import LinkLines
from console.presets import load_settings
from console.run_folder import SPOOL_FILE, TIMING_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from policy.encoder import load_encoder
from policy.network import PolicySpec
from robot.env import make_env
from teleop.scripted import ScriptedOperator


def main(argv: list[str]) -> int:
    """Drive the arm until the step budget is spent, or until someone says stop."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge actor")
    drive(settings, Console())
    return 0


def drive(settings: Settings, console: Console) -> None:
    """Connect, demonstrate, train; parks the arm and keeps every step on every way out.

    Goes on where the run folder's spool stands: with its session, its step budget and its demonstrations.
    """
    stop = stop_event()
    # One thread: the loop's matrices are small, and the learner on the same machine needs the other cores.
    torch.set_num_threads(1)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with Spool(settings.folder / SPOOL_FILE, settings.contract, settings.link) as spool:
        console.print(f"spool {spool.describe()}", highlight=False)
        link = LearnerLink(settings.link, settings.contract, spool)
        try:
            _drive(settings, console, link, stop)
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


def _drive(settings: Settings, console: Console, link: LearnerLink, stop: threading.Event) -> None:
    welcome = link.open(stop)
    console.print(f"connected to run {welcome.run_id!r} at {settings.link.address}, session {link.session[:8]}")
    policy = Policy(
        PolicySpec.model_validate_json(welcome.policy_spec_json),
        settings.contract,
        load_encoder(settings.learner.encoder),
    )
    link.prepare_snapshots(policy.prepare)
    seed = start_seed(settings.seed, link.progress.next_episode)
    env = make_env(settings.contract, settings.arm, settings.task, seed)
    with LinkLines(link, console):
        try:
            loop = ControlLoop(
                env,
                settings.contract,
                settings.loop,
                link,
                policy,
                ScriptedOperator(settings.contract, settings.operator, seed),
                settings.seed,
                lambda outcome: _tell(outcome, console),
            )
            loop.run(stop)
        finally:
            env.close()
    if loop.gaps:
        console.print(f"[yellow]{loop.gaps} episodes were cut because this machine or process had slept[/]")
    (settings.folder / TIMING_FILE).write_text(json.dumps(loop.stopwatch.summary(), indent=1) + "\n")


def _deliver(settings: Settings, console: Console, link: LearnerLink) -> None:
    """Wait for a connected learner's acknowledgements; one that is away gets its steps at the next start."""
    waiting = link.unacknowledged
    if waiting and link.state.status is LinkStatus.CONNECTED:
        console.print(f"delivering the last {waiting} steps")
        link.flush(settings.loop.flush_s)


def _tell(outcome: EpisodeOutcome, console: Console) -> None:
    kind = "demonstration" if outcome.demonstration else "episode"
    result = "[green]success[/]" if outcome.success else "no success"
    helped = f", {outcome.human_steps} by the operator" if outcome.human_steps and not outcome.demonstration else ""
    cut = f", cut: {outcome.cut}" if outcome.cut else ""
    console.print(f"{outcome.env_steps:6d}  {kind} {outcome.episode}: {result} in {outcome.steps} steps{helped}{cut}")
