"""`nudge classifier accept`: another classifier for a run, which judges anew what was judged so far."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.prompt import Confirm
from rich.table import Table

from actor.judging import ClassifierJudge
from actor.shared_maps import SharedMaps
from console.classifier.options import AcceptOptions
from console.judge import describe
from console.presets.load import parse_options
from console.store.info import SESSION_DIGITS
from learner.acceptance import Rejudged, require_replaceable
from learner.judged import read_judged
from learner.judges import told
from learner.relabelling import Ending, agrees
from learner.store import ExperienceStore, StoreReader
from policy.contract import Contract
from policy.encoder import Encoder, load_encoder
from policy.features import Featurizer
from policy.file_lock import LockHeld
from reward_classifier.artefact import SuccessClassifier, open_classifier
from reward_classifier.rejudge import rejudge_episode

NAMED = 20  # episodes that are told one by one


def accept(argv: list[str]) -> int:
    """Tell what another classifier would change; with --yes, or a y at a terminal, let it pay."""
    options, console = parse_options(AcceptOptions, argv, "nudge classifier accept", flags=True), Console()
    with StoreReader(options.path) as store:  # it is there and ours: before a lock file appears beside it
        contract, known = store.contract, store.judge()
    encoder = load_encoder(options.encoder)
    classifier = open_classifier(options.classifier, contract, encoder)
    ClassifierJudge(classifier, SharedMaps(encoder, contract))  # what an actor would refuse is refused here
    name = classifier.facts.name
    replaced = require_replaceable(name, known)
    with _opened(options, contract, console) as store:
        found = _rejudge(store, classifier, encoder)
        console.print(f"to follow {told(replaced.name)}: {describe(classifier.facts)}", highlight=False, markup=False)
        console.print(_figures(found))
        _tell_changes(found)
        if not isinstance(store, ExperienceStore):
            print(f"{options.path}: nothing was changed; add --yes, while no learner runs, to let it pay")
            return 0
        if not options.yes and not _says_yes(console):
            print(f"{options.path}: nothing was changed")
            return 0
        store.accept_judge(name, found)
    print(
        f"{options.path}: {told(name)} pays from now on, in place of {told(replaced.name)}. The next start of the "
        f"learner makes its replay again.\nGive it to the actor too, which is refused with any other one: "
        f"--task.judge classifier --judge.classifier {options.classifier}"
    )
    return 0


def _says_yes(console: Console) -> bool:
    try:
        return Confirm.ask("Let it pay from now on?", default=False, console=console)
    except EOFError:  # who closes the terminal has not said yes
        return False


@contextmanager
def _opened(options: AcceptOptions, contract: Contract, console: Console) -> Iterator[StoreReader]:
    """The store: for writing where the answer can be yes, so that no learner begins meanwhile; else to look."""
    if options.yes or sys.stdin.isatty():
        try:
            with ExperienceStore(options.path, contract) as store:
                yield store
            return
        except LockHeld as held:
            if options.yes:
                raise
            console.print(str(held), style="yellow", markup=False, highlight=False)
    with StoreReader(options.path, contract) as reader:
        yield reader


def _rejudge(store: StoreReader, classifier: SuccessClassifier, encoder: Encoder) -> list[Rejudged]:
    featurizer = Featurizer(encoder, None, store.contract)
    watched = track(read_judged(store), "judging episodes", console=Console(stderr=True), transient=True)
    return [
        Rejudged(episode, rejudge_episode(classifier, featurizer, store.recorded_episode(episode.id)))
        for episode in watched
    ]


def _figures(found: Sequence[Rejudged]) -> Table:
    """How many episodes would end otherwise than now, and which judge agrees with the operator how often."""
    keys = [(it.episode.word, it.episode.paid_at, it.paid_at) for it in found if not it.episode.rejected]
    spoken = [(word, now, then) for word, now, then in keys if word is not None]
    so_far, this = sum(agrees(word, now) for word, now, _ in spoken), sum(agrees(word, it) for word, _, it in spoken)
    earlier = sorted(-it.steps_later for it in found if it.steps_later < 0)
    later = sorted(it.steps_later for it in found if it.steps_later > 0)
    table = Table(box=None, show_header=False, pad_edge=False)
    for what, value in (
        ("judged anew", f"{len(found)} episodes"),
        ("as before", f"{sum(it.ending == it.episode.now for it in found)}"),
        ("gained", f"{sum(it.gained for it in found)} that have not succeeded so far"),
        ("lost", f"{sum(it.lost for it in found)} that succeed no more"),
        ("earlier", _by(earlier)),
        ("later", _by(later)),
        ("untouched", f"{sum(it.episode.stands for it in found)} that ended as the operator said, or are rejected"),
        (
            "keys",
            f"{len(spoken)} of the operator: the classifier so far agrees with {so_far}, this one with {this}",
        ),
    ):
        table.add_row(what, value)
    return table


def _tell_changes(found: Sequence[Rejudged]) -> None:
    changed = [it for it in found if it.ending != it.episode.now]
    for it in changed[:NAMED]:
        where = f"session {it.episode.session[:SESSION_DIGITS]}, episode {it.episode.index}"
        print(f"{where}: {_told(it.episode.now)} so far, {_told(it.ending)} by this one")
    if len(changed) > NAMED:
        print(f"... and {len(changed) - NAMED} more")
    unfinished = sum(not it.episode.complete for it in found)
    if unfinished:
        print(
            f"{unfinished} episodes have no end here: if an actor still holds steps of them, start learner and actor "
            f"once more with the classifier that they have, since what it holds is paid by that one"
        )


def _told(ending: Ending) -> str:
    return f"paid at step {ending.last_step}" if ending.paid else "not paid"


def _by(steps: Sequence[int]) -> str:
    if not steps:
        return "none"
    return f"{len(steps)}, by {median(steps):g} steps in the median, at most {steps[-1]}"
