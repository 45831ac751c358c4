"""`nudge actor`: the control loop of one arm, with its link to the learner."""

from __future__ import annotations

import threading

from rich.console import Console

from actor.command_desk import CommandDesk
from actor.inference import Policy
from actor.judging import ClassifierJudge
from actor.link import LearnerLink, LinkStatus, OpeningStopped, Spool
from console.control import is_person, prepare_to_drive, run_loop
from console.demo_sets import demonstrations_to_record, reference_folder
from console.judge import judge_name, open_paying_classifier
from console.link_lines import LinkLines
from console.presets import load_settings
from console.punctuality import asked_niceness
from console.run_folder import SPOOL_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.teller import Teller
from policy.encoder import Encoder, load_encoder
from policy.network import PolicySpec
from reward_classifier.artefact import SuccessClassifier
from robot.safety.emergency import EmergencyStop

LAST_ANSWERS_S = 2.0


def main(argv: list[str]) -> int:
    """Drive the arm until the step budget is spent, or until someone says stop."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge actor")
    drive(settings, Console())
    return 0


def drive(settings: Settings, console: Console) -> None:
    """Connect, demonstrate, train; parks the arm and keeps every step on every way out.

    Ctrl+C ends the episode and parks; a second one lets go of the arm at once. What people tell from elsewhere
    (`console.commands`) counts as if they pressed keys here. Goes on where the run folder's spool stands: with its
    session, its step budget and its demonstrations. What the learner has from demo sets is not demonstrated again.
    """
    stop, emergency = prepare_to_drive(settings)
    desk = CommandDesk(stop, emergency, lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    encoder = load_encoder(settings.learner.encoder)
    classifier = open_paying_classifier(settings, encoder, console)
    with (
        asked_niceness(settings.loop, console),
        Spool(settings.folder / SPOOL_FILE, settings.contract, settings.link) as spool,
    ):
        console.print(f"spool {spool.describe()}", highlight=False)
        link = LearnerLink(settings.link, settings.contract, spool, judge_name(settings, classifier))
        link.attend(desk)
        try:
            _drive(settings, console, link, encoder, classifier, stop, emergency, desk)
            _deliver(settings, console, link)
        except OpeningStopped as stopped:
            console.print(str(stopped), highlight=False, markup=False)
        finally:
            if link.state.status is LinkStatus.CONNECTED:
                desk.wait_delivered(LAST_ANSWERS_S)  # whoever told this actor to leave is to know that it does
            link.close()
            if link.unacknowledged:
                console.print(
                    f"[yellow]{link.unacknowledged} steps wait in {spool.path}; the next `nudge actor` of this run "
                    f"delivers them[/]"
                )
            if link.unwritten:
                console.print(f"[red]of these {link.unwritten} are lost: {spool.path} could not be written[/]")


def _drive(
    settings: Settings,
    console: Console,
    link: LearnerLink,
    encoder: Encoder,
    classifier: SuccessClassifier | None,
    stop: threading.Event,
    emergency: EmergencyStop,
    desk: CommandDesk,
) -> None:
    welcome = link.open(stop)
    console.print(f"connected to run {welcome.run_id!r} at {settings.link.address}, session {link.session[:8]}")
    to_record = demonstrations_to_record(settings, welcome, console)
    reference = reference_folder(settings, to_record, console)
    policy = Policy(PolicySpec.model_validate_json(welcome.policy_spec_json), settings.contract, encoder)
    link.prepare_snapshots(policy.prepare)
    loop = settings.loop.model_copy(update={"demo_episodes": to_record})
    settings = settings.model_copy(update={"loop": loop})
    with LinkLines(link, console):
        run_loop(
            settings,
            console,
            link,
            policy,
            Teller(console, person=is_person(settings)),
            reference,
            stop,
            emergency,
            judge=None if classifier is None else ClassifierJudge(classifier, policy.maps),
            desk=desk,
        )


def _deliver(settings: Settings, console: Console, link: LearnerLink) -> None:
    """Wait for a connected learner's acknowledgements; one that is away gets its steps at the next start."""
    waiting = link.unacknowledged
    if waiting and link.state.status is LinkStatus.CONNECTED:
        console.print(f"delivering the last {waiting} steps")
        link.flush(settings.loop.flush_s)
