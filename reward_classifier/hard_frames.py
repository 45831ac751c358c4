"""Which frames a person should label next: those about which labels and classifier disagree, or the classifier doubts.

Three kinds, each with its own order, and taken by turns, so that the first ten have some of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from policy.contract import Frozen
from reward_classifier.errors import TrainingRefused
from reward_classifier.frames import NEGATIVE, POSITIVE, UNLABELLED, FrameTable
from reward_classifier.label_acts import KEY
from reward_classifier.labels import EpisodeKey, Sayings

Mask = NDArray[np.bool_]


class Why(StrEnum):
    """What makes a frame hard."""

    PAID = "would be paid"  # of an episode of which nothing is said
    MISTAKE = "contradicts"  # label and classifier, which is sure
    DOUBT = "in doubt"  # nothing is said of it, and its probability is near the threshold


class HardSettings(Frozen):
    """Which frames are suggested."""

    most: int = Field(default=40, gt=0, description="Most frames that are suggested at once.")
    apart: int = Field(default=5, gt=0, description="Two of an episode lie at least so many frames apart.")
    per_episode: int = Field(default=3, gt=0, description="Most frames of one episode.")
    doubt: float = Field(
        default=0.25, gt=0, le=1, description="A probability this near to the threshold is in doubt [1]."
    )


DEFAULT = HardSettings()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A frame to label. episode: place in the table; told: the reason, for a person"""

    episode: int
    step: int
    why: Why
    probability: float
    told: str


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """What was done about the frames of a table, (N,) each.

    said: anything was, `unsure` too; settled: a person said it by hand, and the classifier could not know
    """

    said: Mask
    settled: Mask


def dealt_with(table: FrameTable, sayings: Sayings, classifier_made_ns: int) -> Dealt:
    """What was done about frames. classifier_made_ns: wall time when the classifier was made"""
    said, settled = np.zeros(len(table), bool), np.zeros(len(table), bool)
    for episode, outcome in enumerate(table.outcomes):
        first = table.rows(episode).start
        for frame, saying in sayings.get(EpisodeKey(outcome.session, outcome.episode), {}).items():
            said[first + frame] = True
            settled[first + frame] = saying.act.source != KEY and saying.act.wall_ns > classifier_made_ns
    return Dealt(said, settled)


def hard_frames(
    table: FrameTable,
    probability: NDArray[np.float64],
    dealt: Dealt,
    threshold: float,
    paid: Sequence[int | None],
    settings: HardSettings = DEFAULT,
) -> list[Suggestion]:
    """The frames to label next, the most useful first; few of an episode, and no neighbours.

    probability: (N,), best by networks that had not seen the frame's episode; NaN where nobody was asked
    threshold: from this probability on a frame looks like success
    paid: (E,), the frame of each episode at which the judge pays; None where it does not
    """
    if probability.shape != (len(table),):
        raise TrainingRefused(f"probabilities: got {probability.shape}, expected one of each of {len(table)} frames")
    kinds = (
        _paid(table, probability, dealt, paid),
        _mistakes(table, probability, dealt, threshold),
        _doubts(table, probability, dealt, threshold, settings),
    )
    by_turns = (each for each in chain.from_iterable(zip_longest(*kinds)) if each is not None)
    return _thinned(by_turns, settings)


def _paid(
    table: FrameTable, probability: NDArray[np.float64], dealt: Dealt, paid: Sequence[int | None]
) -> Iterator[Suggestion]:
    """Where episodes of which nothing is said would be paid, the most probable first."""
    found = []
    for episode, at in enumerate(paid):
        here = table.rows(episode)
        if at is not None and not dealt.said[here].any():
            value = float(probability[here][at])
            told = f"nothing is said of this episode; probability {value:.2f}"
            found.append(Suggestion(episode, at, Why.PAID, value, told))
    yield from sorted(found, key=lambda each: -each.probability)


def _mistakes(
    table: FrameTable, probability: NDArray[np.float64], dealt: Dealt, threshold: float
) -> Iterator[Suggestion]:
    """Labelled frames that are on the wrong side of the threshold, the surest mistake first."""
    positive, negative = table.label == POSITIVE, table.label == NEGATIVE
    wrong = (positive & (probability < threshold)) | (negative & (probability >= threshold))
    surety = np.where(positive, 1 - probability, probability)
    rows = np.flatnonzero(wrong & ~dealt.settled)
    for row in rows[np.argsort(-surety[rows], kind="stable")]:
        label = "positive" if positive[row] else "negative"
        told = f"labelled {label}, but its probability is {probability[row]:.2f}"
        yield _of_row(table, probability, int(row), Why.MISTAKE, told)


def _doubts(
    table: FrameTable, probability: NDArray[np.float64], dealt: Dealt, threshold: float, settings: HardSettings
) -> Iterator[Suggestion]:
    """Frames of which nothing is said, the nearest to the threshold first."""
    away = np.abs(probability - threshold)
    rows = np.flatnonzero((table.label == UNLABELLED) & ~dealt.said & (away <= settings.doubt))
    for row in rows[np.argsort(away[rows], kind="stable")]:
        told = f"not labelled; probability {probability[row]:.2f}, the threshold is {threshold:.2f}"
        yield _of_row(table, probability, int(row), Why.DOUBT, told)


def _of_row(table: FrameTable, probability: NDArray[np.float64], row: int, why: Why, told: str) -> Suggestion:
    return Suggestion(int(table.episode[row]), int(table.step[row]), why, float(probability[row]), told)


def _thinned(suggestions: Iterator[Suggestion], settings: HardSettings) -> list[Suggestion]:
    """The first ones, without neighbours of those before them."""
    found: list[Suggestion] = []
    of_episode: Counter[int] = Counter()
    for each in suggestions:
        if len(found) == settings.most:
            break
        near = any(one.episode == each.episode and abs(one.step - each.step) < settings.apart for one in found)
        if not near and of_episode[each.episode] < settings.per_episode:
            of_episode[each.episode] += 1
            found.append(each)
    return found
