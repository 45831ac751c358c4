"""Would more data help, and of which kind? Networks that learn from a part of the episodes say it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reward_classifier.figures import CurvePoint, FrameFigures
from reward_classifier.fit import Teacher
from reward_classifier.frames import POSITIVE, FrameTable
from reward_classifier.split import Part, rows_of

TURNS = 2  # of the cross-validation that are measured


def learning_curve(
    teacher: Teacher, turns: Sequence[Part], shares: Sequence[float], updates: int, seed: int
) -> tuple[CurvePoint, ...]:
    """Balanced error on predicted episodes by how many were taught: those shares of them, and all."""
    points = []
    for share in (*shares, 1.0):
        errors, taught = [], []
        for number, turn in enumerate(turns[:TURNS]):
            some = _some(teacher.table, turn.teaching, share, seed + number)
            fitted = teacher.fit(rows_of(teacher.table, some), None, updates, (seed, number, len(some)))
            rows = rows_of(teacher.table, turn.predicted)
            rows = rows[teacher.table.label[rows] >= 0]
            errors.append(balanced_error(teacher.logits(fitted.network, rows), teacher.table.label[rows]))
            taught.append(len(some))
        points.append(CurvePoint(episodes=float(np.mean(taught)), error=float(np.mean(errors)), spread=_std(errors)))
    return tuple(points)


def balanced_error(logits: NDArray[np.float64], label: NDArray[np.int64]) -> float:
    """Mean over the classes of the share that is taken for the other one at probability 0.5. (N,), (N,)."""
    wrong = (logits > 0) != (label == POSITIVE)
    return float(np.mean([wrong[label == each].mean() for each in (0, 1) if (label == each).any()]))


def advice(curve: Sequence[CurvePoint], frames: FrameFigures) -> str:
    """One sentence for the operator."""
    if len(curve) < 2:
        return "The learning curve was not measured."
    before, now = curve[-2], curve[-1]
    gained = before.error - now.error
    if now.error < 0.01:
        return (
            f"More of the same would hardly help: the error on held-out episodes is {now.error:.1%}; what would are "
            f"failures of a kind that is not among the episodes yet."
        )
    if gained <= max(before.spread, now.spread, 0.005):
        return (
            f"More of the same would hardly help: from {before.episodes:.0f} to {now.episodes:.0f} episodes the error "
            f"went from {before.error:.1%} to {now.error:.1%}; look at the worst mistakes for wrong labels."
        )
    missed = 1 - frames.recall
    kind = "failures that look like success" if frames.false_positive_rate >= missed else "successes, in other places"
    return (
        f"More data would help: from {before.episodes:.0f} to {now.episodes:.0f} episodes the error went from "
        f"{before.error:.1%} to {now.error:.1%}; record {kind}."
    )


def _some(table: FrameTable, episodes: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """A share of the episodes, of successes and failures alike, at least one of each."""
    rng = np.random.default_rng([seed, len(episodes)])
    chosen = []
    for outcome in (True, False):
        members = rng.permutation(episodes[table.success[episodes] == outcome])
        chosen.append(members[: max(1, round(share * len(members)))])
    return np.sort(np.concatenate(chosen))


def _std(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
