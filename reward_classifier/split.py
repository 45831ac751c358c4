"""Splits of episodes, never of frames: neighbours in time look alike, and would tell the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Episodes of one turn: all that is done with frames goes by these, so that no frame can be on two sides."""

    teaching: NDArray[np.int64]
    stopping: NDArray[np.int64]  # they say when to stop
    predicted: NDArray[np.int64]


def fold_of_episodes(kind: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each episode: kinds (E,) -> (E,) of 0..folds-1, each kind spread evenly.

    They are dealt like cards, kind after kind: neighbouring kinds together are spread evenly, too.
    """
    fold = np.empty(len(kind), np.int64)
    rng = np.random.default_rng([seed, folds])
    cards = np.concatenate([rng.permutation(np.flatnonzero(kind == each)) for each in np.unique(kind)])
    fold[cards] = np.arange(len(cards)) % folds
    return fold


def kind_of_episodes(table: FrameTable) -> NDArray[np.int64]:
    """Of each episode, by its labels: 0 positive only, 1 both, 2 negative only, 3 none. (E,)."""
    positive, negative = (_has(table, label) for label in (POSITIVE, NEGATIVE))
    return np.select([positive & ~negative, positive, negative], [0, 1, 2], 3)


def parts(table: FrameTable, folds: int, seed: int) -> list[Part]:
    """One turn for each fold, which is predicted in it; the next fold says when to stop."""
    fewest = min(int(_has(table, label).sum()) for label in (POSITIVE, NEGATIVE))
    folds = min(folds, fewest)  # so that each fold has both classes; `require_trainable` asks for three
    fold = fold_of_episodes(kind_of_episodes(table), folds, seed)
    turns = []
    for turn in range(folds):
        stop = (turn + 1) % folds
        teaching = np.flatnonzero((fold != turn) & (fold != stop))
        turns.append(Part(teaching, np.flatnonzero(fold == stop), np.flatnonzero(fold == turn)))
    return turns


def rows_of(table: FrameTable, episodes: NDArray[np.int64]) -> Rows:
    """The frames of some episodes."""
    return np.flatnonzero(np.isin(table.episode, episodes))


def _has(table: FrameTable, label: int) -> NDArray[np.bool_]:
    """Of each episode, whether it has frames of a class."""
    return np.isin(np.arange(len(table.outcomes)), table.episode[table.label == label])
