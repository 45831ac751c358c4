"""`nudge actor`: the control loop of one arm, with its link to the learner."""

from __future__ import annotations

import json

import torch
from rich.console import Console

from actor.inference import Policy
from actor.link import LearnerLink
from actor.loop import ControlLoop, EpisodeOutcome
from console.presets import load_settings
from console.run_folder import TIMING_FILE
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
    """Connect, demonstrate, train; parks the arm and delivers what is left on every way out."""
    stop = stop_event()
    # One thread: the loop's matrices are small, and the learner on the same machine needs the other cores.
    torch.set_num_threads(1)
    settings.folder.mkdir(parents=True, exist_ok=True)
    link = LearnerLink(settings.link, settings.contract)
    try:
        welcome = link.open()
        console.print(f"connected to run {welcome.run_id!r} at {settings.link.address}, session {link.session}")
        spec = PolicySpec.model_validate_json(welcome.policy_spec_json)
        policy = Policy(spec, settings.contract, load_encoder(settings.learner.encoder))
        env = make_env(settings.contract, settings.arm, settings.task, settings.seed)
        try:
            operator = ScriptedOperator(settings.contract, settings.operator, settings.seed)
            loop = ControlLoop(
                env,
                settings.contract,
                settings.loop,
                link,
                policy,
                operator,
                settings.seed,
                lambda outcome: _tell(outcome, console),
            )
            loop.run(stop)
        finally:
            env.close()
        (settings.folder / TIMING_FILE).write_text(json.dumps(loop.stopwatch.summary(), indent=1) + "\n")
        if not link.flush(settings.loop.flush_s):
            console.print(f"[yellow]{link.unacknowledged} steps are not acknowledged by the learner[/]")
    finally:
        link.close()


def _tell(outcome: EpisodeOutcome, console: Console) -> None:
    kind = "demonstration" if outcome.demonstration else "episode"
    result = "[green]success[/]" if outcome.success else "no success"
    helped = f", {outcome.human_steps} by the operator" if outcome.human_steps and not outcome.demonstration else ""
    console.print(f"{outcome.env_steps:6d}  {kind} {outcome.episode}: {result} in {outcome.steps} steps{helped}")
