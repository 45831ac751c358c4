"""`nudge actor`: the control loop of one arm, with its link to the learner."""

from __future__ import annotations

import logging
import threading
from typing import Annotated

from pydantic import Field
from rich.console import Console

from actor.command_desk import CommandDesk
from actor.inference import Policy
from actor.judging import ClassifierJudge
from actor.link import LearnerLink, LinkStatus, OpeningStopped, Spool
from actor.timing import LoopTiming
from console.control import is_person, prepare_to_drive, run_loop
from console.demos.sets import demonstrations_to_record, reference_folder
from console.evaluation.punctuality import asked_niceness
from console.judge import judge_name, open_paying_classifier
from console.logs.logged import logged
from console.presets.load import AMONG_OPTIONS, load_options
from console.run_folder import SPOOL_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.terminal.actor_view import ActorView
from console.terminal.link_lines import LinkLines
from console.terminal.steady_console import SteadyConsole
from console.terminal.teller import Teller
from console.terminal.telling import loud, tell
from policy.contract import Frozen
from policy.encoder import Encoder, load_encoder
from policy.network import PolicySpec
from reward_classifier.artefact import SuccessClassifier
from robot.safety.emergency import EmergencyStop

LAST_ANSWERS_S = 2.0


class ActorOptions(Frozen):
    """Drive the arm until the step budget is spent, or until Ctrl+C. Started again, it goes on where it was."""

    quiet: bool = Field(default=False, description="Print warnings, errors and what it came to; all else is logged.")
    settings: Annotated[Settings, *AMONG_OPTIONS]


def main(argv: list[str]) -> int:
    """Drive the arm until the step budget is spent, or until someone says stop."""
    options = load_options(ActorOptions, argv, DEFAULT_PRESET, "nudge actor")
    drive(options.settings, SteadyConsole(quiet=options.quiet))
    return 0


def drive(settings: Settings, console: Console) -> None:
    """Connect, demonstrate, train; parks the arm and keeps every step on every way out. Logged in the run folder.

    Ctrl+C ends the episode and parks; a second one lets go of the arm at once. What people tell from elsewhere
    (`console.commands`) counts as if they pressed keys here. Goes on where the run folder's spool stands: with its
    session, its step budget and its demonstrations. What the learner has from demo sets is not demonstrated again.
    console: shows the run live; a quiet one hears of what is wrong, and what the run came to
    """
    stop, emergency = prepare_to_drive(settings)
    with logged(settings.folder, "actor", settings.logs):
        _connect_and_drive(settings, console, stop, emergency)


def _connect_and_drive(settings: Settings, console: Console, stop: threading.Event, emergency: EmergencyStop) -> None:
    desk = CommandDesk(stop, emergency, lambda line: tell(console, line))
    encoder = load_encoder(settings.learner.encoder)
    classifier = open_paying_classifier(settings, encoder, console)
    with (
        asked_niceness(settings.loop, console),
        Spool(settings.folder / SPOOL_FILE, settings.contract, settings.link) as spool,
    ):
        tell(console, f"spool {spool.describe()}")
        link = LearnerLink(settings.link, settings.contract, spool, judge_name(settings, classifier))
        link.attend(desk)
        try:
            view = _drive(settings, console, link, encoder, classifier, stop, emergency, desk)
            _deliver(settings, console, link)
            tell(loud(console), view.line())
        except OpeningStopped as stopped:
            tell(console, str(stopped), logging.WARNING, style="")
        finally:
            if link.state.status is LinkStatus.CONNECTED:
                desk.wait_delivered(LAST_ANSWERS_S)  # whoever told this actor to leave is to know that it does
            link.close()
            if link.unacknowledged:
                waiting = f"{link.unacknowledged} steps wait in {spool.path}"
                tell(console, f"{waiting}; the next `nudge actor` of this run delivers them", logging.WARNING)
            if link.unwritten:
                lost = f"of these {link.unwritten} are lost: {spool.path} could not be written"
                tell(console, lost, logging.ERROR)


def _drive(
    settings: Settings,
    console: Console,
    link: LearnerLink,
    encoder: Encoder,
    classifier: SuccessClassifier | None,
    stop: threading.Event,
    emergency: EmergencyStop,
    desk: CommandDesk,
) -> ActorView:
    """Until the loop ends; what it came to is in the view."""
    welcome = link.open(stop)
    tell(console, f"connected to run {welcome.run_id!r} at {settings.link.address}, session {link.session[:8]}")
    to_record = demonstrations_to_record(settings, welcome, console)
    reference = reference_folder(settings, to_record, console)
    policy = Policy(PolicySpec.model_validate_json(welcome.policy_spec_json), settings.contract, encoder)
    link.prepare_snapshots(policy.prepare)
    loop = settings.loop.model_copy(update={"demo_episodes": to_record})
    settings = settings.model_copy(update={"loop": loop})
    judge = None if classifier is None else ClassifierJudge(classifier, policy.maps)
    timing = LoopTiming(settings.contract.control_hz)
    view = ActorView(link, desk.board, timing, judge)
    with LinkLines(link, console):
        run_loop(
            settings,
            console,
            link,
            policy,
            Teller(console, person=is_person(settings), view=view),
            reference,
            stop,
            emergency,
            judge=judge,
            desk=desk,
            timing=timing,
        )
    return view


def _deliver(settings: Settings, console: Console, link: LearnerLink) -> None:
    """Wait for a connected learner's acknowledgements; one that is away gets its steps at the next start."""
    waiting = link.unacknowledged
    if waiting and link.state.status is LinkStatus.CONNECTED:
        tell(console, f"delivering the last {waiting} steps")
        link.flush(settings.loop.flush_s)
