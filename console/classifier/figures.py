"""The figures of a classifier's page: ROC, precision and recall, calibration, learning curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from console.web.svg import Axes, drawing, nice_ticks, number, text
from reward_classifier.figures import CurvePoint, FrameFigures, Point

_WIDTH, _HEIGHT = 340, 300
_PERCENT = [(0.0, "0"), (0.5, "50"), (1.0, "100")]


def roc(frames: FrameFigures) -> Markup:
    """Recall against false positive rate, for all thresholds."""
    axes = _unit_axes()
    chance = f'<path class="chance" d="M{axes.x(0)} {axes.y(0)}L{axes.x(1)} {axes.y(1)}"/>'
    label = f"ROC curve, area {frames.area:.4f}"
    names = ("Recall [%]", "false positive rate of frames [%]")
    return _drawn(axes, [chance, _line(axes, frames.roc)], names, label)


def precision_recall(frames: FrameFigures) -> Markup:
    """Precision against recall, for all thresholds."""
    axes = _unit_axes()
    return _drawn(
        axes, [_line(axes, frames.precision_recall)], ("Precision [%]", "recall [%]"), "Precision against recall"
    )


def calibration(frames: FrameFigures, threshold: float) -> Markup:
    """How often frames were positive against how probable that was said to be; the larger a dot, the more frames."""
    axes = _unit_axes()
    most, side = max(each.frames for each in frames.calibration), 5 if threshold < 0.5 else -5
    body = [
        f'<path class="chance" d="M{axes.x(0)} {axes.y(0)}L{axes.x(1)} {axes.y(1)}"/>',
        f'<path class="bound" d="M{axes.x(threshold):.1f} {axes.top}v{axes.height}"/>',
        *(
            f'<circle class="policy-fill" cx="{axes.x(each.said):.1f}" cy="{axes.y(each.true):.1f}" '
            f'r="{3 + 6 * (each.frames / most) ** 0.5:.1f}"/>'
            for each in frames.calibration
        ),
        text(axes.x(threshold) + side, axes.top + 34, "threshold", "tick", "start" if side > 0 else "end"),
    ]
    names = ("Positive [%], classes weighed alike", "probability [%]")
    return _drawn(axes, body, names, "Calibration of the probabilities")


def learning(points: Sequence[CurvePoint]) -> Markup:
    """Error on episodes that were not taught, against the number of those that were."""
    episodes, error, spread = (
        np.array([getattr(point, name) for point in points]) for name in ("episodes", "error", "spread")
    )
    high = max(float((error + spread).max()) * 1.1, 0.01)
    axes = Axes(48, 34, _WIDTH - 62, _HEIGHT - 84, 0, float(episodes.max()) * 1.04, 0, high)
    x_ticks = [(float(value), number(float(value))) for value in episodes.round()]
    y_ticks = [(value, number(round(100 * value, 3))) for value in nice_ticks(0, high, 4)]
    body = [
        text(0, 14, "Error [%]", "title"),
        axes.y_ticks(y_ticks),
        axes.x_ticks(x_ticks),
        axes.band(episodes, np.maximum(error - spread, 0), error + spread, "spread"),
        axes.line(episodes, error, "metric-line"),
        text(axes.left + axes.width, _HEIGHT - 8, "episodes learned from", "tick", "end"),
    ]
    return drawing(_WIDTH, _HEIGHT, "".join(body), "Error by the number of episodes learned from")


def _unit_axes() -> Axes:
    return Axes(48, 34, _WIDTH - 62, _HEIGHT - 84, 0, 1, 0, 1)


def _line(axes: Axes, points: Sequence[Point]) -> str:
    return axes.line(np.array([x for x, _ in points]), np.array([y for _, y in points]), "metric-line")


def _drawn(axes: Axes, body: Sequence[str], names: tuple[str, str], label: str) -> Markup:
    """The shapes over labelled axes. names: of the y and the x axis"""
    frame = [
        text(0, 14, names[0], "title"),
        axes.y_ticks(_PERCENT),
        axes.x_ticks(_PERCENT),
        *body,
        text(axes.left + axes.width, _HEIGHT - 8, names[1], "tick", "end"),
    ]
    return drawing(_WIDTH, _HEIGHT, "".join(frame), label)
