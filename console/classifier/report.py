"""The page that says how good a classifier is: one HTML document that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from console.classifier import figures as drawings
from console.report.page import percent
from console.web.svg import number
from console.web.templates import page_template
from learner.disk import write_atomically
from policy.experience_file import ExperienceFile
from reward_classifier.artefact import ClassifierFacts
from reward_classifier.figures import Figures, Mistake


@dataclass(frozen=True, slots=True)
class Shown:
    """A mistake with its pictures, one of each camera, as data of the page."""

    mistake: Mistake
    pictures: tuple[str, ...]


def write_classifier_report(
    path: Path, name: str, facts: ClassifierFacts, figures: Figures, experience: ExperienceFile
) -> None:
    """Write the page, whole or not at all.

    figures: those that it shows; experience: of whose frames they speak
    """
    page = page_template("classifier.html.j2", percent=percent, number=number)
    threshold = facts.rule.threshold
    text = page.render(
        name=name,
        facts=facts,
        figures=figures,
        roc=drawings.roc(figures.frames),
        precision_recall=drawings.precision_recall(figures.frames),
        calibration=drawings.calibration(figures.frames, threshold),
        learning=drawings.learning(figures.learning) if len(figures.learning) > 1 else None,
        mistakes=sorted(_with_pictures(figures, experience), key=lambda shown: _doubt(shown.mistake)),
    )
    write_atomically(path, text.encode())


def _doubt(mistake: Mistake) -> float:
    """Small for a mistake that was made with conviction."""
    return mistake.probability if mistake.positive else 1 - mistake.probability


def _with_pictures(figures: Figures, experience: ExperienceFile) -> Iterator[Shown]:
    by_episode = sorted(figures.mistakes, key=lambda mistake: mistake.episode)
    for episode, mistakes in groupby(by_episode, key=lambda mistake: mistake.episode):
        messages = experience.messages(episode)
        for mistake in mistakes:
            after = mistake.step == len(messages)  # the frame that was seen after the last step
            seen = messages[-1].final_observation if after else messages[mistake.step].observation
            frames = sorted(seen.frames, key=lambda frame: frame.camera)
            yield Shown(
                mistake, tuple(f"data:image/png;base64,{base64.b64encode(frame.png).decode()}" for frame in frames)
            )
