"""How well single frames are told apart: as numbers and as the points of curves. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from policy.contract import Frozen
from policy.statistics import wilson_interval
from reward_classifier.calibration import Bin, reliability
from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable
from reward_classifier.threshold import EpisodeFigures

CURVE_POINTS = 200
PER_EPISODE = 2  # neighbours in time make the same mistake

Point = tuple[float, float]


class Mistake(Frozen):
    """A frame of which the opposite was thought. episode: row of the experience; name: for a person"""

    episode: int
    name: str
    step: int
    positive: bool
    probability: float


class FrameFigures(Frozen):
    """Labelled frames. Shares are of 0..1; curves are for all thresholds."""

    positives: int
    negatives: int
    accuracy: float
    precision: float | None = Field(description="None where no frame looks like success.")
    recall: float
    false_positive_rate: float
    false_positive_low: float = Field(description="95 % interval, Wilson.")
    false_positive_high: float
    area: float = Field(description="Under the ROC curve.")
    roc: tuple[Point, ...] = Field(description="False positive rate and recall.")
    precision_recall: tuple[Point, ...] = Field(description="Recall and precision.")
    calibration: tuple[Bin, ...]


class CurvePoint(Frozen):
    """Of networks that learned from so many episodes. spread: standard deviation of the error over turns"""

    episodes: float
    error: float
    spread: float


class Figures(Frozen):
    """Everything that is known of how good a classifier is. learning: empty where it was not measured"""

    frames: FrameFigures
    episodes: EpisodeFigures
    mistakes: tuple[Mistake, ...]
    learning: tuple[CurvePoint, ...] = ()
    advice: str = ""


def frame_figures(probability: NDArray[np.float64], label: NDArray[np.int64], threshold: float) -> FrameFigures:
    """Of labelled frames, both classes among them. probability: (N,); label: (N,) of 0 or 1."""
    positive, said = label == POSITIVE, probability >= threshold
    positives, negatives = int(positive.sum()), int((~positive).sum())
    hits, false = int((said & positive).sum()), int((said & ~positive).sum())
    low, high = wilson_interval(false, negatives)
    # One point for each distinct probability: frames of equal ones cannot be told apart by a threshold.
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    hit = np.cumsum(positive[order])[ends]
    wrong = ends + 1 - hit
    recall, rate = np.append(0, hit / positives), np.append(0, wrong / negatives)
    return FrameFigures(
        positives=positives,
        negatives=negatives,
        accuracy=float((said == positive).mean()),
        precision=hits / (hits + false) if hits + false else None,
        recall=hits / positives,
        false_positive_rate=false / negatives,
        false_positive_low=low,
        false_positive_high=high,
        area=float(np.trapezoid(recall, rate)),
        roc=_thinned(rate, recall),
        precision_recall=_thinned(recall[1:], hit / (ends + 1)),
        calibration=reliability(probability, label),
    )


def worst_mistakes(table: FrameTable, probability: NDArray[np.float64], most: int = 12) -> tuple[Mistake, ...]:
    """The labelled frames that were taken for the other class with most conviction, few of each episode."""
    wrong = np.where(table.label == POSITIVE, 1 - probability, probability)
    wrong[(table.label != POSITIVE) & (table.label != NEGATIVE)] = 0
    found: list[Mistake] = []
    taken = np.zeros(len(table.outcomes), int)
    for row in np.argsort(-wrong, kind="stable"):
        if wrong[row] <= 0.5 or len(found) == most:
            break
        episode = int(table.episode[row])
        if taken[episode] < PER_EPISODE:
            taken[episode] += 1
            outcome = table.outcomes[episode]
            found.append(
                Mistake(
                    episode=outcome.id,
                    name=f"{outcome.session[:8]}/{outcome.episode}",
                    step=int(table.step[row]),
                    positive=bool(table.label[row] == POSITIVE),
                    probability=float(probability[row]),
                )
            )
    return tuple(found)


def _thinned(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> tuple[Point, ...]:
    places = np.unique(np.linspace(0, len(xs) - 1, min(CURVE_POINTS, len(xs))).round().astype(int))
    return tuple((float(xs[place]), float(ys[place])) for place in places)
