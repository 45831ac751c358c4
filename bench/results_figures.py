"""The figures of docs/results.md: success of each condition, and how each came to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from bench.learning_conditions import PARTS
from bench.learning_row import Row
from bench.results_lines import Line, lines
from console.web.svg import Axes, drawing, nice_ticks, number, text

_STYLE = (
    "<style>text{font:14px sans-serif;fill:#57606a}.name{fill:#24292f}.group{fill:#24292f;font-weight:600}"
    ".grid{stroke:#d0d7de}.base{stroke:#8c959f}.interval{stroke:#0969da;stroke-width:3}.mean{fill:#0969da}"
    ".seed{fill:none;stroke:#0969da}.alone,.human{fill:none;stroke:#0969da;stroke-width:1.5}"
    ".human{stroke:#bc4c00;stroke-width:1}.of-alone{fill:#0969da}.of-human{fill:#bc4c00}"
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}.name,.group{fill:#e6edf3}.grid{stroke:#3d444d}}</style>"
)
_PER_ROW, _LEFT_PX, _PANEL_PX, _GAP_PX, _ROW_PX = 3, 54, (250, 96), 62, 164


def successes(rows: Sequence[Row]) -> str:
    """A line for each condition as it is now, under the heading of its group: interval, mean, its seeds as rings."""
    shown = [line for line in lines(rows) if not line.besides]
    groups = [(name, list(of)) for name, of in groupby(shown, lambda line: line.condition.group)]
    left, step = 420, 26
    count = sum(1 + len(of) for _, of in groups)
    axes = Axes(left, 8, 520, max(1, count) * step, 0, 1, 0, 1)
    body, at = [axes.x_ticks([(value / 4, f"{25 * value} %") for value in range(5)])], 0
    for name, of in groups:
        body.append(text(left - 14, axes.top + (at + 0.75) * step, name, "group", "end"))
        for place, line in enumerate(of, at + 1):
            body.extend(_success(line, axes, axes.top + (place + 0.5) * step))
        at += 1 + len(of)
    return _drawn(left + axes.width + 40, axes.top + axes.height + 34, body, "Success of each condition")


def _success(line: Line, axes: Axes, y: float) -> Iterator[str]:
    low, high = line.interval
    yield text(axes.left - 14, y + 5, line.title, "name", "end")
    yield f'<path class="grid" d="M{axes.left:.0f} {y:.1f}h{axes.width:.0f}"/>'
    yield f'<path class="interval" d="M{axes.x(low):.1f} {y:.1f}H{axes.x(high):.1f}"/>'
    yield f'<circle class="mean" cx="{axes.x(line.rate):.1f}" cy="{y:.1f}" r="5"/>'
    for exam in line.exams:
        at = axes.x(exam.successes / exam.trials)
        yield f'<circle class="seed" cx="{at:.1f}" cy="{y:.1f}" r="7"/>'


def curves(rows: Sequence[Row]) -> str:
    """A panel for each condition as it is now, parts left out: success alone and the operator's share, by seed."""
    shown = [line for line in lines(rows) if _has_curves(line)]
    width, height = _PANEL_PX
    body = [
        text(_LEFT_PX, 20, "succeeded alone, of 20 episodes", "of-alone"),
        text(_LEFT_PX + 260, 20, "steps by the operator", "of-human"),
    ]
    for place, line in enumerate(shown):
        left = _LEFT_PX + place % _PER_ROW * (width + _GAP_PX)
        top = 68 + place // _PER_ROW * _ROW_PX
        last = max(row.env_steps for row in line.rows)
        axes = Axes(left, top, width, height, 0, last, 0, 1)
        body.append(text(left, top - 12, line.title, "name"))
        body.append(axes.y_ticks([(value / 2, f"{50 * value} %") for value in range(3)]))
        body.append(axes.x_ticks([(at, number(at)) for at in nice_ticks(0, last, 3)]))
        for row in line.rows:
            steps, alone, human = np.array(row.curve).T
            body += [axes.line(steps, human, "human"), axes.line(steps, alone, "alone")]
    across = _LEFT_PX + _PER_ROW * (width + _GAP_PX)
    down = 40 + max(1, -(-len(shown) // _PER_ROW)) * _ROW_PX
    return _drawn(across, down, body, "Success and help while learning, by condition and seed")


def _has_curves(line: Line) -> bool:
    is_first = line.look == line.exams_of_training and not line.besides
    return is_first and line.condition.group != PARTS and all(row.curve for row in line.rows)


def _drawn(width: float, height: float, body: Sequence[str], label: str) -> str:
    """As a file of its own."""
    drawn = str(drawing(width, height, _STYLE + "".join(body), label))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"
