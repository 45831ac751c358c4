"""Probabilities that mean what they say: one temperature for all logits (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policy.contract import Frozen
from reward_classifier.fit import balanced_loss

# Where all are right, the likelihood grows with certainty without end; frames to come will not all be so easy.
LOWEST, HIGHEST = 0.5, 10.0


class Bin(Frozen):
    """Frames whose probability lay in one span. said: its mean; true: how many of them were positive [1]"""

    said: float
    true: float
    frames: int


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature by which logits are to be divided, for classes that are equally likely. logits, labels: (N,)."""
    candidates = np.geomspace(LOWEST, HIGHEST, 200)  # 1.5 % apart
    losses = [balanced_loss(logits / candidate, labels) for candidate in candidates]
    return float(candidates[int(np.argmin(losses))])


def probability_of(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """(N,) -> (N,) of 0..1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits / temperature, -500, 500))))


def reliability(probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 10) -> tuple[Bin, ...]:
    """What was said beside what was true, with either class as heavy as the other, as probabilities are meant."""
    weight = np.where(labels == 1, 0.5 / max((labels == 1).sum(), 1), 0.5 / max((labels == 0).sum(), 1))
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    found = []
    for index in range(bins):
        here = place == index
        if here.any():
            total = weight[here].sum()
            said, true = ((weight * each)[here].sum() / total for each in (probabilities, labels))
            found.append(Bin(said=float(said), true=float(true), frames=int(here.sum())))
    return tuple(found)
