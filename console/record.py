"""`nudge record`: demonstrations, each step durable as it happens, checked as they come, and a demo set of them.

<record.folder>/<record.name>/
    recording/         what was recorded: spool.sqlite, and what the control loop leaves in a run's folder
    3f9c02b7a1de/      a demo set of it, by the hash of its content
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from actor.judging import ClassifierJudge
from actor.recording import NoPolicy, RecordingLink, without_learner
from actor.roles import RewardJudge
from actor.shared_maps import SharedMaps
from actor.spool import Spool
from console.control import is_person, prepare_to_drive, run_loop
from console.demos.set_lines import set_lines
from console.errors import ConsoleError
from console.evaluation.punctuality import asked_niceness
from console.judge import open_paying_classifier
from console.presets.load import load_settings
from console.run_folder import REFERENCE_FOLDER, SPOOL_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.terminal.record_teller import RecordTeller
from console.terminal.steady_console import SteadyConsole
from demos.demo_set import CALIBRATION
from demos.errors import DemosRefused
from demos.recording import Recording
from learner.disk import write_atomically
from policy.encoder import load_encoder
from robot.safety.emergency import EmergencyStop

RECORDING = "recording"
ENDLESS = 1 << 62  # more than anybody records


def main(argv: list[str]) -> int:
    """Record until there are enough sound demonstrations, and make a set of them; 1 when stopped before."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge record")
    return 0 if record(settings, SteadyConsole()) else 1


def record(settings: Settings, console: Console) -> bool:
    """Go on with the recording of this name; true once a demo set was made of it.

    Ctrl+C ends the episode and parks; a second one lets go of the arm at once. Raise `DemosRefused` for what the checks
    forbid, with the cure: the recording stays as it is.
    """
    judge = _judge(settings, console)
    settings = _in_its_folder(settings)
    stop, emergency = prepare_to_drive(settings)
    if settings.arm.kind == "so101":
        _keep_calibration(settings)
    wanted = settings.record.demos
    with (
        asked_niceness(settings.loop, console),
        Spool(settings.folder / SPOOL_FILE, settings.contract, settings.link) as spool,
    ):
        recording = Recording(
            spool.path,
            settings.contract,
            settings.demonstration_checks,
            settings.task,
            settings.arm.controller.locked_joints,
            settings.record.allow,
        )
        _tell_found(spool, recording, console)
        if recording.sound < wanted:
            _record(settings, console, spool, recording, judge, stop, emergency)
    if recording.sound < wanted:
        console.print(
            f"{recording.sound} of {wanted} demonstrations are in {recording.path}: the next `nudge record` of this "
            f"name goes on; `nudge demos make {settings.folder} --sound` makes a set of those that are there",
            highlight=False,
            soft_wrap=True,
        )
        return False
    _close(settings, console, recording)
    return True


def recording_path(folder: Path, name: str) -> Path:
    """Where the recording of a name lies, below the folder of all demo sets."""
    return folder / name / RECORDING / SPOOL_FILE


def calibrations_of(folder: Path) -> list[Path]:
    """LeRobot's files of the arm, as they were when the recording in a folder began; a simulated arm has none."""
    return sorted((folder / CALIBRATION).glob("*.json"))


def progress(rows: Sequence[int]) -> Iterable[int]:
    """Episodes with a bar on stderr while they go by."""
    return track(rows, "checking demonstrations", console=Console(stderr=True), transient=True)


def _judge(settings: Settings, console: Console) -> RewardJudge | None:
    """The classifier, where it judges: that of the run, or the one that is named."""
    if settings.task.judge != "classifier":
        return None
    encoder = load_encoder(settings.learner.encoder)
    classifier = open_paying_classifier(settings, encoder, console)
    return None if classifier is None else ClassifierJudge(classifier, SharedMaps(encoder, settings.contract))


def _in_its_folder(settings: Settings) -> Settings:
    """The same, with the recording as the run, and a loop that demonstrates for ever: sound ones are counted here."""
    loop = settings.loop.model_copy(update={"demo_episodes": ENDLESS, "max_env_steps": ENDLESS})
    folder = {"runs": settings.record.folder / settings.record.name, "run": RECORDING}
    return settings.model_copy(update={"loop": loop, "link": without_learner(settings.link), **folder})


def _keep_calibration(settings: Settings) -> None:
    """All demonstrations of a recording are of one calibration, which goes with them."""
    from robot.so101.calibration import calibration_path, load_calibration

    path = calibration_path(settings.arm.so101, "follower")
    load_calibration(path)  # which says what to do where there is none
    kept = settings.folder / CALIBRATION / path.name
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        write_atomically(kept, path.read_bytes())
    elif kept.read_bytes() != path.read_bytes():
        raise ConsoleError(
            f"{path}: got another calibration than {kept}, with which this recording began: the same numbers would "
            f"mean other poses; take another `record.name`, or put the old calibration back"
        )


def _tell_found(spool: Spool, recording: Recording, console: Console) -> None:
    """What an earlier process of this recording has left."""
    newest = spool.progress.newest
    if newest is None:
        console.print(f"{spool.path}: a new recording", highlight=False)
        return
    left = ", left by a process that was killed" if spool.left_open else ""
    cut = (
        f"; episode {newest.episode} was cut after its step {newest.step} and is in no set"
        if spool.progress.in_episode
        else ""
    )
    recording.judge_new()
    console.print(
        f"{spool.path}: goes on{left}; {spool.progress.env_steps} steps, {recording.sound} sound demonstrations{cut}",
        highlight=False,
        soft_wrap=True,
    )


def _record(
    settings: Settings,
    console: Console,
    spool: Spool,
    recording: Recording,
    judge: RewardJudge | None,
    stop: threading.Event,
    emergency: EmergencyStop,
) -> None:
    with RecordingLink(settings.link, settings.contract, spool) as link:
        real_time = settings.loop.pace == "realtime"
        teller = RecordTeller(console, recording, link, settings.record.demos, stop, person=real_time)
        try:
            run_loop(
                settings,
                console,
                link,
                NoPolicy(),
                teller,
                settings.folder / REFERENCE_FOLDER,
                stop,
                emergency,
                judge=judge,
                countdown_s=0 if is_person(settings) or not real_time else settings.record.countdown_s,
            )
        finally:
            link.close()
            if link.unwritten:
                console.print(f"[red]{link.unwritten} steps are lost: {spool.path} could not be written[/]")


def _close(settings: Settings, console: Console, recording: Recording) -> None:
    record = settings.record
    try:
        made = recording.make_set(
            record.folder, record.name, recording.unsound, calibrations_of(settings.folder), progress
        )
    except DemosRefused as refused:
        raise DemosRefused(
            f"{refused}\nNothing is lost, {recording.path} stays as it is. With `--record.allow NAME ...` the same "
            f"command makes the set; `nudge demos make {settings.folder} --leave-out EPISODE ...` makes one "
            f"without some; a larger `--record.demos` records more"
        ) from refused
    for line in set_lines(made):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
