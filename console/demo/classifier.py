"""The first phase of `nudge demo`: the scripted operator records episodes that succeed and episodes that fail, and a
reward classifier learns from its key what a finished task looks like. Later that classifier alone pays the rewards.

runs/demo/
    classifier-episodes/    what was recorded, and its labels
    classifier/             the classifier, with its report.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.progress import track

from console.classifier.main import REPORT_FILE
from console.classifier.report import write_classifier_report
from console.judge import describe
from console.run_folder import CLASSIFIER_DATA_FOLDER, STORE_FILE
from console.settings import Settings
from demos.scripted_episodes import kinds_of, record_episodes
from policy.encoder import Encoder, load_encoder
from policy.experience_file import EpisodeSelection, ExperienceFile
from reward_classifier.artefact import SuccessClassifier, save_classifier
from reward_classifier.build import keeps_its_share, train_classifier
from reward_classifier.frames import FrameTable, read_frames
from reward_classifier.key_labels import label_from_keys
from reward_classifier.labels import LabelBook
from reward_classifier.settings import ClassifierSettings, FitSettings, KeyLabelSettings, RuleSettings, ViewSettings

# How hands fail on purpose. Not `slip`: whether that fails nobody knows before.
FAILURES = ("hover", "push", "close_on_air", "grasp_beside", "lift_too_low", "lift_and_drop", "hold_on_the_table")
OWN_SEEDS = 20_001  # added to the seed of the run: neither training nor evaluation begins where these episodes do
AUTHOR = "nudge demo"
ENOUGH_FOUND = 0.85  # share of the successes; in the one run where it was 0.74, the operator helped most to the end


def make_classifier(settings: Settings, console: Console) -> SuccessClassifier:
    """Record, label, train, and save where the actor looks for it. Raise what each of these raises."""
    # One thread: threads of one operation wait for each other, ten times as long where another process has a core.
    torch.set_num_threads(1)
    encoder = load_encoder(settings.learner.encoder)  # what is wrong with it is told before anything is recorded
    folder = settings.folder / CLASSIFIER_DATA_FOLDER
    folder.mkdir()
    path = folder / STORE_FILE
    kinds = kinds_of(FAILURES, settings.demo.failures, settings.demo.successes)
    console.print(
        f"[bold]a reward classifier first[/]: {settings.demo.successes} episodes that try to succeed, "
        f"{settings.demo.failures} that fail on purpose; it learns from the operator's key how they ended"
    )
    watch = _watch("recording episodes", console)
    record_episodes(path, settings.contract, settings.arm, settings.task, kinds, settings.seed + OWN_SEEDS, watch)
    with closing(ExperienceFile(path)) as experience:
        table, version = _labelled(experience, path.with_suffix(".labels.sqlite"))
        with TemporaryDirectory(prefix="features-", dir=folder) as cache:  # nobody trains another one of them here
            classifier = _train(settings, console, experience, table, version, encoder, Path(cache))
        save_classifier(classifier, settings.classifier_folder)
        facts = classifier.facts
        page = settings.classifier_folder / REPORT_FILE
        write_classifier_report(page, str(settings.classifier_folder), facts, facts.figures, experience)
    tell_classifier(classifier, page, console)
    return classifier


def _labelled(experience: ExperienceFile, path: Path) -> tuple[FrameTable, int]:
    """The frames as the operator's key labels them, and the version of those labels."""
    with closing(LabelBook(path)) as book:
        outcomes, hz = experience.outcomes(EpisodeSelection()), experience.contract.control_hz
        label_from_keys(book, outcomes, hz, KeyLabelSettings(), AUTHOR, time.time_ns())
        return read_frames(experience, book.labels()), book.version


def _train(
    settings: Settings,
    console: Console,
    experience: ExperienceFile,
    table: FrameTable,
    version: int,
    encoder: Encoder,
    cache: Path,
) -> SuccessClassifier:
    """A classifier of these frames. cache: folder of what is encoded for it"""
    # Few views of few frames, and no learning curve: the light of the simulated desk never changes, and somebody waits.
    views = ViewSettings(views=3, negatives=600)
    # The cube is to be held for so long: who is paid for less never learns what comes after.
    hold = settings.task.hold_steps
    chosen = ClassifierSettings(
        seed=settings.seed,
        views=views,
        fit=FitSettings(curve_shares=(), most_updates=settings.demo.most_updates),
        rule=RuleSettings(windows=((hold, hold), (hold, hold + 1), (hold + 1, hold + 1))),
    )
    encoding, training = _watch("encoding them", console), _watch("training the classifier", console)
    return train_classifier(experience, table, version, encoder, chosen, cache, encoding, training)


def tell_classifier(classifier: SuccessClassifier, page: Path, console: Console) -> None:
    """Who pays, and what is to be expected of it. page: its report"""
    console.print(f"rewards will be paid by {describe(classifier.facts)}: {page}", highlight=False, soft_wrap=True)
    seen = classifier.facts.figures.episodes
    if seen.found < ENOUGH_FOUND * seen.successes:
        console.print(
            f"it misses {seen.successes - seen.found} of {seen.successes} successes: the policy will often not be paid "
            f"for what it does, and learn slowly; the report shows which frames it mistakes, and other episodes "
            f"(--seed, --demo.successes, --demo.failures) make another one",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    if not keeps_its_share(classifier):
        asked = classifier.facts.settings.rule.false_positives_per_episode
        console.print(
            f"no rule keeps its false positives below {asked:.1%} of the episodes, so some rewards may be paid for "
            f"nothing; the demo goes on with it, and its evaluation, by the simulator's truth, will tell",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )


def _watch(what: str, console: Console) -> Callable[[Sequence[int]], Iterable[int]]:
    """Gives the items one by one, with a bar in the terminal while they go by."""
    return lambda items: track(items, what, console=console, transient=True)
