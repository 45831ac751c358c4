"""`nudge classifier label`: who says which frames show success, by the operator's key, by numbers, or on a page."""

from __future__ import annotations

import getpass
import time
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from console.classifier.options import LabelOptions
from console.errors import ConsoleError
from console.labels.desk import LabelDesk, desk_as_recorded
from console.labels.opinions import Looking, Opinions
from console.presets.load import parse_options
from policy.encoder import Encoder, load_encoder
from policy.experience_file import ExperienceFile
from reward_classifier.artefact import SuccessClassifier, open_classifier
from reward_classifier.frames import every_frame
from reward_classifier.key_labels import label_from_keys
from reward_classifier.label_acts import EDIT
from reward_classifier.labels import EpisodeKey, Label, LabelBook, Labels, Sayings, Span

_ONE_OF = "--page, --suggest, --from-key, --undo and --frames FIRST LAST"


def label(argv: list[str]) -> int:
    """Say which frames show success, or ask which should be looked at."""
    options = parse_options(LabelOptions, argv, "nudge classifier label", flags=True)
    asked = [options.page, options.suggest, options.from_key, options.undo, options.frames is not None]
    if asked.count(True) != 1:
        raise ConsoleError(f"label: got {asked.count(True)} of them, expected one of {_ONE_OF}; see --help")
    author = options.author or getpass.getuser()
    if options.page:
        return _page(options, author)
    if options.suggest:
        return _suggest(options)
    with closing(ExperienceFile(options.path)) as experience, closing(LabelBook(options.label_path)) as book:
        now_ns = time.time_ns()
        if options.undo:
            version = book.undo(author, now_ns)
            print(f"{options.label_path}: version {version} takes the last one back")
            return 0
        if options.from_key:
            outcomes = experience.outcomes(options.selection)
            hz = experience.contract.control_hz
            new = label_from_keys(book, outcomes, hz, options.keys, author, now_ns, again=options.again)
            print(f"{new} of {len(outcomes)} episodes were labelled by how they ended")
            if unsaid := sum(each.by_classifier for each in outcomes):
                print(f"{unsaid} were ended by a classifier or by time, without a key: label those with --page")
        else:
            book.add([_span(options, experience)], EDIT, author, now_ns)
        _tell_labels(book.labels(), book)
    return 0


def _page(options: LabelOptions, author: str) -> int:
    """Serve the page until Ctrl+C."""
    from console.labels.site import serve_labels  # with it comes a web server

    opened = None
    if options.classifier is not None:
        with closing(ExperienceFile(options.path)) as experience:
            opened = _opened(options, experience)
        _leave_a_core()

    def open_desk() -> LabelDesk:
        if opened is None:
            return desk_as_recorded(options.path, options.label_path, options.selection)
        desk = LabelDesk(options.path, options.label_path, options.selection)
        desk.thoughts = looking = Looking(*opened, options.path, desk.outcomes, options.hard)
        looking.start()
        return desk

    # With a classifier the episodes stay those of now: it would have to look at all of them anew.
    serve_labels(open_desk, author, options.port, follows=opened is None)
    return 0


def _leave_a_core() -> None:
    """While the classifier looks at episodes, the page answers keys."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() - 1))


def _suggest(options: LabelOptions) -> int:
    """Print which frames to label next."""
    if options.classifier is None:
        raise ConsoleError(
            "label --suggest: got no classifier, expected --classifier FOLDER: it is asked what it doubts"
        )
    with closing(ExperienceFile(options.path)) as experience:
        outcomes = experience.outcomes(options.selection)
        classifier, encoder = _opened(options, experience)
        opinions = Opinions(classifier, every_frame(experience, {}, outcomes))
        unknown = len(outcomes) - opinions.known
        bar = Console(stderr=True)
        for _ in track(opinions.look(experience, encoder), "looking at episodes", unknown, console=bar, transient=True):
            pass
    found = opinions.suggestions(_sayings(options.label_path), options.hard)
    console = Console()
    if not found:
        console.print("no frame is suggested: labels and classifier agree everywhere")
        return 0
    table = Table(title=f"frames to label next, by {options.classifier}", title_justify="left")
    for heading in ("episode", "frame", "why", ""):
        table.add_column(heading, justify="right" if heading == "frame" else "left")
    for each in found:
        outcome = outcomes[each.episode]
        key = EpisodeKey(outcome.session, outcome.episode)
        table.add_row(str(key), str(each.step), each.why.value, each.told)
    console.print(table)
    console.print("label them with `nudge classifier label --page` and the same options", highlight=False)
    return 0


def _sayings(path: Path) -> Sayings:
    """What is said of frames; nothing where there is no such file, and none is made."""
    if not path.is_file():
        return {}
    with closing(LabelBook(path)) as book:
        return book.sayings()


def _opened(options: LabelOptions, experience: ExperienceFile) -> tuple[SuccessClassifier, Encoder]:
    assert options.classifier is not None
    encoder = load_encoder(options.encoder)
    return open_classifier(options.classifier, experience.contract, encoder), encoder


def _span(options: LabelOptions, experience: ExperienceFile) -> Span:
    """The frames that the options mean, of exactly one episode and within it."""
    outcomes = experience.outcomes(options.selection)
    if len(outcomes) != 1 or options.frames is None:
        raise ConsoleError(
            f"label: got {len(outcomes)} episodes, expected one; name it with --selection.session and "
            f"--selection.episodes"
        )
    outcome, (first, last) = outcomes[0], options.frames
    if last > outcome.steps:
        raise ConsoleError(
            f"label: got frames up to {last}, expected at most {outcome.steps}: the episode has {outcome.steps} steps, "
            f"and one frame after them"
        )
    return Span(EpisodeKey(outcome.session, outcome.episode), first, last, options.label)


def _tell_labels(labels: Labels, book: LabelBook) -> None:
    counts = {each: sum(list(frames.values()).count(each) for frames in labels.values()) for each in Label}
    told = ", ".join(f"{count:,} {each.value}" for each, count in counts.items())
    print(f"{book.path}: version {book.version}, {len(labels)} episodes, frames: {told}")
