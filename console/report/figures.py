"""The figures of the report: learning curve and success map. `console.report.metric_figures` has the learner's metrics.

Blue is the policy, orange is the operator, in every figure. Lines carry their names; there are no legends. Wide screens
and phones get their own drawing where one would be unreadable on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np
from markupsafe import Markup

from console.report.data import CellResult, Grid
from console.web.svg import Axes, Values, drawing, nice_ticks, number, rectangle, spread, text


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """Running averages over the last `window` complete online episodes, at the end of each: all (N,).

    env_steps: steps so far, demonstrations included
    alone, helped: share of episodes that succeeded without, and with or without, a human step [1]
    human_share: share of steps that the operator chose [1]
    demo_spans: from and to which step each demonstration ran
    """

    env_steps: Values
    alone: Values
    helped: Values
    human_share: Values
    demo_spans: tuple[tuple[int, int], ...]
    total_steps: int
    window: int


@dataclass(frozen=True, slots=True)
class EvaluationMark:
    """Success rate and its 95 % interval [1]."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Size:
    """Measures of the learning curve [px]."""

    css: str
    width: int
    success_height: int
    human_height: int
    top: int
    left: int
    right: int
    ticks: int  # labels along the x axis
    names_beside: bool  # names of the lines stand at their right ends; else in a row above the plot


_WIDE = _Size("wide", 1040, 270, 120, top=48, left=52, right=170, ticks=7, names_beside=True)
_NARROW = _Size("narrow", 372, 230, 110, top=76, left=40, right=24, ticks=4, names_beside=False)


def training_figures(curve: TrainingCurve, mark: EvaluationMark | None) -> Markup:
    """Success and the operator's share against environment steps, drawn for wide screens and for phones."""
    return Markup("").join(_training_figure(curve, mark, size) for size in (_WIDE, _NARROW))


def _training_figure(curve: TrainingCurve, mark: EvaluationMark | None, size: _Size) -> Markup:
    plot_width, steps = size.width - size.left - size.right, float(max(curve.total_steps, 1))
    success = Axes(size.left, size.top, plot_width, size.success_height, 0, steps, 0, 1)
    human = Axes(size.left, size.top + size.success_height + 62, plot_width, size.human_height, 0, steps, 0, 1)
    x_ticks = [(value, number(value)) for value in nice_ticks(0, steps, size.ticks)]
    bottom = human.top + human.height
    y_ticks = [(0.0, "0"), (0.5, "50"), (1.0, "100")]
    body = [
        text(0, 14, f"Success [% of the last {curve.window} episodes]", "title"),
        *_demonstrations(curve, success, human),
        success.y_ticks(y_ticks),
        success.x_ticks(x_ticks, labels=False),
        success.band(curve.env_steps, curve.alone, curve.helped, "help-band"),
        *_lines(success, curve, curve.helped, "human"),
        *_lines(success, curve, curve.alone, "policy"),
        *_line_names(success, curve, mark, size),
        text(0, human.top - 18, f"Operator [% of steps, last {curve.window} episodes]", "title"),
        human.y_ticks(y_ticks),
        human.x_ticks(x_ticks),
        *_lines(human, curve, curve.human_share, "human"),
        _human_end(human, curve.human_share[-1], size),
        text(size.left, bottom + 38, "environment steps, demonstrations included", "tick"),
    ]
    label = (
        f"Learning curve. Over the last {curve.window} episodes {_percent(curve.alone[-1])} succeeded without help, "
        f"{_percent(curve.helped[-1])} with it; the operator drove {_percent(curve.human_share[-1])} of the steps."
    )
    return drawing(size.width, bottom + 46, "".join(body), label, size.css)


def _demonstrations(curve: TrainingCurve, success: Axes, human: Axes) -> list[str]:
    """Grey spans where demonstrations were recorded."""
    if not curve.demo_spans:
        return []
    joined = [list(curve.demo_spans[0])]
    for low, high in curve.demo_spans[1:]:
        if low == joined[-1][1]:
            joined[-1][1] = high
        else:
            joined.append([low, high])
    spans = [axes.span(low, high, "demo-span") for axes in (success, human) for low, high in joined]
    steps = sum(high - low for low, high in curve.demo_spans)
    words = f"{len(curve.demo_spans)} demonstrations, {number(steps)} steps"
    return [*spans, text(success.x(curve.demo_spans[0][0]), success.top - 9, words, "tick")]


def _lines(axes: Axes, curve: TrainingCurve, values: Values, css: str) -> list[str]:
    """A running average: faint while its window is not full yet."""
    full = curve.window - 1
    early = axes.line(curve.env_steps[: full + 1], values[: full + 1], f"{css}-line early")
    return [early, axes.line(curve.env_steps[full:], values[full:], f"{css}-line")]


def _line_names(axes: Axes, curve: TrainingCurve, mark: EvaluationMark | None, size: _Size) -> list[str]:
    """Names and last values of the lines, and the evaluation with its interval, right of the plot."""
    ends = [(float(curve.alone[-1]), "alone", "policy-label"), (float(curve.helped[-1]), "with help", "human-label")]
    shapes: list[str] = []
    x = axes.left + axes.width + 10
    if mark:
        shapes = [
            f'<path class="whisker" d="M{x - 4:.1f} {axes.y(mark.high):.1f}h8m-4 0V{axes.y(mark.low):.1f}m-4 0h8"/>',
            f'<circle class="mark" cx="{x:.1f}" cy="{axes.y(mark.rate):.1f}" r="4.5"/>',
        ]
        ends.append((mark.rate, "evaluated", "mark-label"))
    if size.names_beside:
        wanted = [axes.y(value) + 4 for value, _, _ in ends]
        heights = spread(wanted, 18, axes.top + 4, axes.top + axes.height + 4)
        places = [(x + 12, height) for height in heights]
    else:
        places = [(offset, 36.0) for offset in (0.0, 100.0, 232.0)[: len(ends)]]  # as wide as the names are
    names = [
        text(*place, f"{_percent(value)} {name}", css) for place, (value, name, css) in zip(places, ends, strict=True)
    ]
    return shapes + names


def _human_end(axes: Axes, share: float, size: _Size) -> str:
    """The last value of the operator's share, right of its line or above it."""
    right, y = axes.left + axes.width, axes.y(share)
    if size.names_beside:
        return text(right + 8, y + 4, _percent(share), "human-label")
    return text(right, max(y - 9, axes.top + 12), _percent(share), "human-label", "end")


def interval_bar(mark: EvaluationMark) -> Markup:
    """The success rate on 0..100 %, with its interval."""
    axes = Axes(8, 6, 344, 16, 0, 1, 0, 1)
    middle = axes.top + axes.height / 2
    body = [
        f'<path class="rail" d="M{axes.left} {middle}h{axes.width}"/>',
        f'<path class="interval" d="M{axes.x(mark.low):.1f} {middle}H{axes.x(mark.high):.1f}"/>',
        f'<circle class="mark policy-fill" cx="{axes.x(mark.rate):.1f}" cy="{middle}" r="7"/>',
        text(axes.left, 42, "0 %", "tick"),
        text(axes.x(0.5), 42, "50 %", "tick", "middle"),
        text(axes.left + axes.width, 42, "100 %", "tick", "end"),
    ]
    label = f"{_percent(mark.rate)} success, 95 % interval {_percent(mark.low)} to {_percent(mark.high)}"
    return drawing(360, 46, "".join(body), label, "interval-bar")


def success_map(grid: Grid, cells: Mapping[tuple[int, int], CellResult]) -> Markup:
    """Success by cell, seen from above behind the arm: x away from its base (up), y to its left. Cells are to scale."""
    width, left, top = 460.0, 50.0, 12.0
    field_width = width - left - 12
    field_height = field_width * (grid.x_high_m - grid.x_low_m) / (grid.y_high_m - grid.y_low_m)
    # y grows to the left of the arm, so its axis runs from high to low across the drawing.
    field = Axes(left, top, field_width, field_height, grid.y_high_m, grid.y_low_m, grid.x_low_m, grid.x_high_m)
    bottom = top + field_height
    x_ticks, y_ticks = nice_ticks(grid.x_low_m, grid.x_high_m, 5), nice_ticks(grid.y_low_m, grid.y_high_m, 4)
    body = [
        *(
            _cell(field, grid, row, column, cells.get((row, column)))
            for row, column in np.ndindex(grid.rows, grid.columns)
        ),
        *(text(left - 8, field.y(x_m) + 4, number(round(100 * x_m, 1)), "tick", "end") for x_m in x_ticks),
        *(text(field.x(y_m), bottom + 18, number(round(100 * y_m, 1)), "tick", "middle") for y_m in y_ticks),
        text(left, bottom + 36, "y [cm], positive to the arm's left", "tick"),
        text(14, top + field_height / 2, "x [cm]", "tick turned", "middle"),
        *_arm_base(field, bottom),
    ]
    tried = sum(cell.n for cell in cells.values())
    label = f"Success by cell of a grid of {grid.rows} by {grid.columns} cells, {tried} trials"
    return drawing(width, bottom + 116, "".join(body), label, "map")


def _cell(field: Axes, grid: Grid, row: int, column: int, result: CellResult | None) -> str:
    """One cell: the bluer, the more often the policy succeeded there."""
    width, height = field.width / grid.columns, field.height / grid.rows
    x = field.left + field.width - (column + 1) * width
    y = field.top + field.height - (row + 1) * height
    middle_x, middle_y = x + width / 2, y + height / 2
    outline = rectangle(x + 1.5, y + 1.5, width - 3, height - 3, "cell", 'rx="3"')
    if result is None:
        return outline + text(middle_x, middle_y + 4, "–", "tick", "middle")
    fill = rectangle(
        x + 1.5, y + 1.5, width - 3, height - 3, "cell-fill", f'rx="3" fill-opacity="{0.6 * result.rate:.2f}"'
    )
    count = f"{result.successes}/{result.n}"
    if height < 36 or width < 44:  # too small for two lines
        return outline + fill + text(middle_x, middle_y + 4, count, "cell-n", "middle")
    rate = text(middle_x, middle_y + 1, _percent(result.rate), "cell-rate", "middle")
    return outline + fill + rate + text(middle_x, middle_y + 16, count, "cell-n", "middle")


def _arm_base(field: Axes, bottom: float) -> list[str]:
    """Where the arm stands: below the field at y = 0, with the distance that is not drawn to scale."""
    x = min(max(field.x(0.0), field.left + 90), field.left + field.width - 90)
    top = bottom + 82
    distance = f"{number(round(100 * field.y_low, 1))} cm to the field"
    return [
        f'<path class="break" d="M{x:.1f} {bottom + 48:.1f}V{top:.1f}"/>',
        rectangle(x - 26, top, 52, 22, "arm", 'rx="5"'),
        f'<circle class="arm-axis" cx="{x:.1f}" cy="{top:.1f}" r="7"/>',
        text(x - 36, top + 16, "arm base", "tick", "end"),
        text(x + 36, top + 16, distance, "tick"),
    ]


def _percent(value: float) -> str:
    return "–" if isnan(value) else f"{100 * value:.0f} %"
