"""The figures of a comparison: both learning curves in one drawing, and the difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from console.compare.comparison import Comparison
from console.report.figures import TrainingCurve
from console.web.svg import Axes, drawing, nice_ticks, number, spread, text

_CSS = ("first", "second")


@dataclass(frozen=True, slots=True)
class NamedCurve:
    """The learning curve of one run."""

    name: str
    curve: TrainingCurve


def learning_curves(curves: Sequence[NamedCurve]) -> Markup:
    """Success alone (thick) and the operator's share (thin) of each run against environment steps."""
    steps = float(max(1, *(each.curve.total_steps for each in curves)))
    success, human = Axes(52, 34, 800, 270, 0, steps, 0, 1), Axes(52, 362, 800, 110, 0, steps, 0, 1)
    y_ticks, x_ticks = [(0.0, "0"), (0.5, "50"), (1.0, "100")], [(x, number(x)) for x in nice_ticks(0, steps, 7)]
    window = curves[0].curve.window
    body = [
        text(0, 14, f"Success alone [% of the last {window} episodes]", "title"),
        success.y_ticks(y_ticks),
        success.x_ticks(x_ticks, labels=False),
        text(0, human.top - 16, f"Operator [% of steps, last {window} episodes]", "title"),
        human.y_ticks(y_ticks),
        human.x_ticks(x_ticks),
        text(human.left, human.top + human.height + 38, "environment steps, demonstrations included", "tick"),
    ]
    for each, css in zip(curves, _CSS, strict=False):
        body.append(success.line(each.curve.env_steps, each.curve.alone, f"{css}-line"))
        body.append(human.line(each.curve.env_steps, each.curve.human_share, f"{css}-line"))
    body += _names(success, curves)
    return drawing(1040, 520, "".join(body), "Learning curves of " + " and ".join(each.name for each in curves))


def _names(axes: Axes, curves: Sequence[NamedCurve]) -> list[str]:
    """Each line's name at its right end, apart from the other's."""
    wanted = [axes.y(float(each.curve.alone[-1])) + 4 for each in curves]
    heights = spread(wanted, 18, axes.top + 4, axes.top + axes.height + 4)
    x = axes.left + axes.width + 10
    return [
        text(x, height, each.name, f"{css}-label") for each, css, height in zip(curves, _CSS, heights, strict=False)
    ]


def difference_bar(found: Comparison) -> Markup:
    """The difference of success on -100..100 points, with its interval; 0 is no difference."""
    axes = Axes(8, 6, 524, 16, 0, 1, 0, 1)
    middle = axes.top + axes.height / 2
    low, value, high = ((each + 1) / 2 for each in (found.difference_low, found.difference, found.difference_high))
    body = [
        f'<path class="rail" d="M{axes.left} {middle}h{axes.width}"/>',
        f'<path class="base" d="M{axes.x(0.5):.1f} {middle - 12}v24"/>',
        f'<path class="interval" d="M{axes.x(low):.1f} {middle}H{axes.x(high):.1f}"/>',
        f'<circle class="mark" cx="{axes.x(value):.1f}" cy="{middle}" r="7"/>',
        text(axes.left, 44, f"{found.first.name} better", "tick"),
        text(axes.x(0.5), 44, "0", "tick", "middle"),
        text(axes.left + axes.width, 44, f"{found.second.name} better", "tick", "end"),
    ]
    label = f"difference {100 * found.difference:+.0f} points"
    return drawing(540, 50, "".join(body), label, "difference-bar")
