"""Who pays the rewards of a run, as the settings say: opened where it is a classifier, and told to people."""

from __future__ import annotations

from rich.console import Console

from console.settings import Settings
from console.terminal.telling import tell
from policy.encoder import Encoder
from reward_classifier.artefact import ClassifierFacts, SuccessClassifier, open_classifier
from reward_classifier.errors import ArtefactError

DIGITS = 12  # of a classifier's hash, in what people read


def open_paying_classifier(settings: Settings, encoder: Encoder, console: Console) -> SuccessClassifier | None:
    """The classifier that pays, told to the terminal; None where another judge does.

    Raise `ArtefactError` for one that is missing, changed or of another encoder, `ContractMismatch` for another
    contract.
    """
    if settings.task.judge != "classifier":
        return None
    folder = settings.classifier_folder
    if not folder.is_dir():
        raise ArtefactError(
            f"task.judge: got classifier, and there is none in {folder}; train one with `nudge classifier train --out "
            f"{folder}`, or name the folder of another with --judge.classifier"
        )
    classifier = open_classifier(folder, settings.contract, encoder)
    tell(console, f"rewards are paid by {describe(classifier.facts)}")
    return classifier


def judge_name(settings: Settings, classifier: SuccessClassifier | None) -> str:
    """What the learner is told of who pays: the judge, or the classifier's name."""
    return settings.task.judge if classifier is None else classifier.facts.name


def describe(facts: ClassifierFacts) -> str:
    """A classifier in one line, with the figures that it had on episodes that its networks had not seen."""
    rule, found = facts.rule, facts.figures.episodes
    return (
        f"the classifier {facts.name[:DIGITS]} ({rule.k} of {rule.n} frames at probability "
        f"{rule.threshold:.2f} or more, and its gate): of {found.episodes} episodes that it had not seen it paid "
        f"{found.false_positives} falsely (95 % interval {found.false_positive_low:.1%} to "
        f"{found.false_positive_high:.1%}), and found {found.found} of {found.successes} successes"
    )
