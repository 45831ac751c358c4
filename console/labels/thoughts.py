"""What is thought of frames beside what people say of them: what the page of labels asks, and what a run remembers.

`label_opinions` has a classifier that looks at them now. Nothing here needs a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policy.experience import Judgement, Reason
from policy.experience_file import EpisodeOutcome, ExperienceFile
from reward_classifier.frames import relabelled, unseen_table
from reward_classifier.hard_frames import Suggestion, dealt_with, hard_frames
from reward_classifier.labels import Sayings, labels_of


class Origin(StrEnum):
    """Whose opinion it is: the values are for people."""

    HELD_OUT = "by networks that had not learned from this episode"
    UNSEEN = "the classifier has not learned from this episode"
    TAUGHT = "the classifier has learned from this episode, which hides its mistakes there"
    RECORDED = "by the classifier that judged when it happened"


class Thoughts(Protocol):
    """A classifier's probabilities of all frames of some episodes, by their place among them."""

    @property
    def threshold(self) -> float:
        """From this probability on a frame looks like success."""
        ...

    @property
    def known(self) -> int:
        """Of how many episodes all is known."""
        ...

    @property
    def told(self) -> str:
        """How far it has come, for a person; empty once all is known."""
        ...

    def of(self, place: int) -> NDArray[np.float64] | None:
        """Probabilities of an episode's frames (n,), NaN where nobody was asked; None while they are not known."""
        ...

    def origin(self, place: int) -> Origin:
        """Whose opinion of an episode it is."""
        ...

    def suggestions(self, sayings: Sayings) -> list[Suggestion]:
        """Which frames to label next. sayings: what is said of them now"""
        ...

    def stop(self) -> None:
        """Look no further, and wait for the end of that."""
        ...


class Recorded:
    """What the classifier of a run thought when it judged: the store remembers it, with the reason, for each step.

    judged: of each episode, of what was seen after each of its steps; None where no classifier was asked
    """

    told = ""

    def __init__(self, outcomes: Sequence[EpisodeOutcome], judged: Sequence[Sequence[Judgement | None]]) -> None:
        self._outcomes = tuple(outcomes)
        self._probability = [_of_frames(each) for each in judged]
        self._paid = [_paid(each) for each in judged]
        self.known = sum(not np.isnan(each).all() for each in self._probability)
        self.threshold = _threshold([each for episode in judged for each in episode if each is not None])

    def of(self, place: int) -> NDArray[np.float64] | None:
        """Probabilities of an episode's frames; None where the classifier was never asked."""
        probability = self._probability[place]
        return None if np.isnan(probability).all() else probability

    def origin(self, _place: int) -> Origin:
        """The same for all."""
        return Origin.RECORDED

    def suggestions(self, sayings: Sayings) -> list[Suggestion]:
        """Which frames to label next. What a hand has said is settled: nobody asks the classifier again."""
        table = relabelled(unseen_table(self._outcomes), labels_of(sayings))
        probability = np.concatenate(self._probability)
        return hard_frames(table, probability, dealt_with(table, sayings, 0), self.threshold, self._paid)

    def stop(self) -> None:
        """Nothing goes on."""


def remembered(path: Path, outcomes: Sequence[EpisodeOutcome]) -> Recorded | None:
    """What an experience file remembers of these episodes; None where no classifier has judged any."""
    with closing(ExperienceFile(path)) as experience:
        judged = experience.judgements(outcomes)
    return Recorded(outcomes, judged) if any(each is not None for episode in judged for each in episode) else None


def _of_frames(judged: Sequence[Judgement | None]) -> NDArray[np.float64]:
    """(T + 1,): the first frame came before any step, and nobody was asked about it."""
    return np.array([np.nan, *(np.nan if each is None else each.probability for each in judged)])


def _paid(judged: Sequence[Judgement | None]) -> int | None:
    """The frame at which the classifier paid."""
    return next((step + 1 for step, each in enumerate(judged) if each is not None and each.pays), None)


def _threshold(judged: Sequence[Judgement]) -> float:
    """It stands in the classifier's folder, which may lie on the robot host. But two of the reasons tell on which side
    of it a probability was; the others were given for several frames together. In the middle between the two sides.
    """
    below = max((each.probability for each in judged if each.reason is Reason.UNLIKELY), default=0.0)
    above = min((each.probability for each in judged if each.reason is Reason.TOO_FEW), default=max(below, 0.5))
    return (below + above) / 2
