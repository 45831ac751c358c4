"""What `nudge demo` says of the classifier that it has trained."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from classifiers import HELD_UP, made_classifier
from console.demo.classifier import tell_classifier
from policy.encoder import load_encoder
from policy.settings import EncoderSettings
from reward_classifier.artefact import SuccessClassifier
from robot.sim import sim_contract


def told(found: int, false_positives: int = 0) -> str:
    """Of a classifier that found so many of 50 successes, among 78 episodes."""
    made = made_classifier(sim_contract(), load_encoder(EncoderSettings(source="random:0")), HELD_UP)
    episodes = made.facts.figures.episodes.model_copy(
        update={"episodes": 78, "successes": 50, "found": found, "false_positives": false_positives}
    )
    figures = made.facts.figures.model_copy(update={"episodes": episodes})
    classifier = SuccessClassifier(made.facts.model_copy(update={"figures": figures}), made.network)
    console = Console(width=400)
    with console.capture() as said:
        tell_classifier(classifier, Path("runs/demo/classifier/report.html"), console)
    return said.get()


def test_a_good_one_is_named_with_its_figures_and_its_report() -> None:
    said = told(found=47)
    assert said.count("\n") == 1
    assert "found 47 of 50 successes" in said
    assert "runs/demo/classifier/report.html" in said


def test_one_that_misses_many_successes_says_what_that_costs_and_what_helps() -> None:
    said = told(found=20)
    assert "it misses 30 of 50 successes: the policy will often not be paid" in said
    assert "--demo.successes" in said


def test_one_that_pays_falsely_says_so() -> None:
    assert "no rule keeps its false positives below 0.5%" in told(found=47, false_positives=1)
