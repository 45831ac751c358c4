"""`nudge classifier`: labels of frames, a classifier that learns from them, and how good it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from rich.console import Console
from rich.progress import track
from rich.table import Table

from console.classifier.accept import accept
from console.classifier.disputes import disputes
from console.classifier.label import label
from console.classifier.live import live
from console.classifier.options import EvalOptions, ListOptions, TrainOptions
from console.classifier.report import write_classifier_report
from console.errors import ConsoleError
from console.presets.load import parse_options
from console.subverbs import run_subverb
from policy.encoder import load_encoder
from policy.experience_file import ExperienceFile
from reward_classifier.artefact import list_classifiers, open_classifier, read_facts, save_classifier
from reward_classifier.build import keeps_its_share, train_classifier
from reward_classifier.evaluate import evaluate_classifier, unseen
from reward_classifier.figures import Figures
from reward_classifier.frames import read_frames
from reward_classifier.judge import Rule
from reward_classifier.labels import read_labels
from reward_classifier.settings import ClassifierSettings

REPORT_FILE = "report.html"
USAGE = """\
usage: nudge classifier {label,train,eval,live,list,accept,disputes} [--run NAME | --store PATH] [options]

verbs:
  label     say which frames show success: --from-key takes the operator's word about whole episodes, --page is where
            you look at frames and label them with keys, --frames names some; --undo takes the last one back, and
            --suggest says which frames a classifier would have labelled next
  train     a classifier of the labelled frames, --out FOLDER, with a report in it; status 1 when it pays too often
  eval      FOLDER: how it does on other labelled experience; --json for programs
  live      FOLDER: watch what it thinks of what the cameras see now, or of recorded episodes
  list      which there are, and how good they were found to be
  accept    FOLDER: let another one pay in a run, while no learner runs; it judges anew what was judged so far, and
            only says what that changes without --yes
  disputes  where the operator's key contradicted the one that pays, and the commands that label those frames; status 1
            when there are too many of late

`nudge classifier VERB --help` lists the options of one.
"""


def main(argv: list[str]) -> int:
    """Run one of the verbs; returns the exit status."""
    return run_subverb("classifier", argv, _VERBS, USAGE)


def train(argv: list[str]) -> int:
    """Train a classifier; 1 when its rule pays more often without success than was asked for."""
    options = parse_options(TrainOptions, argv, "nudge classifier train", flags=True)
    if options.out.exists():
        raise ConsoleError(f"{options.out}: there is such a folder, expected a new one; give another with --out")
    console = Console()
    settings = ClassifierSettings(**{name: getattr(options, name) for name in ClassifierSettings.model_fields})
    labels, version = read_labels(options.label_path, options.version)
    with closing(ExperienceFile(options.path)) as experience:
        table = read_frames(experience, labels, options.selection)
        classifier = train_classifier(
            experience,
            table,
            version,
            load_encoder(options.encoder),
            settings,
            options.cache_path,
            lambda episodes: _progress(episodes, "encoding episodes"),
            lambda turns: _progress(turns, "training"),
        )
        save_classifier(classifier, options.out)
        facts = classifier.facts
        write_classifier_report(options.out / REPORT_FILE, str(options.out), facts, facts.figures, experience)
    console.print(_figures_table(f"{options.out}, on episodes that it had not seen", facts.figures, facts.rule))
    console.print(facts.figures.advice)
    if not keeps_its_share(classifier):
        console.print(
            f"No rule keeps false positives below {settings.rule.false_positives_per_episode:.1%} of the episodes: "
            f"train no policy with it; look at its mistakes in {options.out / REPORT_FILE}, and label more failures.",
            style="red",
        )
        return 1
    return 0


def evaluate(argv: list[str]) -> int:
    """How a classifier does on other experience."""
    options = parse_options(EvalOptions, argv, "nudge classifier eval", flags=True)
    encoder = load_encoder(options.encoder)
    labels, _ = read_labels(options.label_path)
    with closing(ExperienceFile(options.path)) as experience:
        classifier = open_classifier(options.classifier, experience.contract, encoder)
        table = read_frames(experience, labels, options.selection)
        if options.unseen:
            table = unseen(table, classifier)
        watch = lambda episodes: _progress(episodes, "looking at episodes")  # noqa: E731
        found = evaluate_classifier(classifier, experience, table, encoder, watch)
        if options.report is not None:
            name = f"{options.classifier} on {options.path}"
            write_classifier_report(options.report, name, classifier.facts, found.figures, experience)
    if options.as_json:
        print(json.dumps({"drift": found.drift, **found.figures.model_dump(mode="json")}))
        return 0
    console = Console()
    console.print(_figures_table(f"{options.classifier} on {options.path}", found.figures, classifier.facts.rule))
    for sentence in found.drift:
        console.print(sentence, style="yellow", markup=False)
    return 0


def show(argv: list[str]) -> int:
    """Which there are."""
    options = parse_options(ListOptions, argv, "nudge classifier list", flags=True)
    found = {folder: read_facts(folder) for folder in list_classifiers(options.folder)}
    if options.as_json:
        rows = [
            {"path": str(folder)} | facts.model_dump(mode="json", exclude={"data": {"out_of_fold"}})
            for folder, facts in found.items()
        ]
        print(json.dumps({"classifiers": rows}))
        return 0
    if not found:
        print(
            f"{options.folder}: no classifier is there; `nudge classifier train --out {options.folder}/NAME` makes one"
        )
        return 0
    table = Table(title=f"classifiers in {options.folder}")
    for heading in ("name", "made", "contract", "episodes", "accuracy", "false positives", "found"):
        table.add_column(heading)
    for folder, facts in found.items():
        frames, episodes = facts.figures.frames, facts.figures.episodes
        table.add_row(
            folder.name,
            f"{facts.created:%Y-%m-%d %H:%M}",
            facts.contract.hash[:12],
            str(episodes.episodes),
            f"{frames.accuracy:.1%}",
            f"{episodes.false_positives}/{episodes.episodes}",
            f"{episodes.found}/{episodes.successes}",
        )
    Console().print(table)
    return 0


def _figures_table(title: str, figures: Figures, rule: Rule) -> Table:
    frames, episodes = figures.frames, figures.episodes
    table = Table(title=title, show_header=False)
    precision = "–" if frames.precision is None else f"{frames.precision:.1%}"
    rows = {
        "frames": f"{frames.positives} positive, {frames.negatives} negative",
        "accuracy": f"{frames.accuracy:.1%} (precision {precision}, recall {frames.recall:.1%})",
        "rule": f"{rule.k} of {rule.n} frames at probability {rule.threshold:.2f} or more, and "
        + ", ".join(f"{limits.dimension} {limits}" for limits in rule.gate.limits),
        "false positives": f"{episodes.false_positives} in {episodes.episodes} episodes (95 % interval "
        f"{episodes.false_positive_low:.1%} to {episodes.false_positive_high:.1%})",
        "successes found": f"{episodes.found} of {episodes.successes} (95 % interval {episodes.found_low:.1%} to "
        f"{episodes.found_high:.1%})",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _progress[T](items: Sequence[T], what: str) -> Iterable[T]:
    """The items, with a bar on stderr while they go by."""
    return track(items, what, console=Console(stderr=True), transient=True)


_VERBS: dict[str, Callable[[list[str]], int]] = {
    "label": label,
    "train": train,
    "eval": evaluate,
    "live": live,
    "list": show,
    "accept": accept,
    "disputes": disputes,
}
