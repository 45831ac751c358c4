"""The data behind an advice, drawn for a page: `figures.css.j2` has the classes."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from console.coach.advice import Chart, Curve, Histogram
from console.report.figures import success_map
from console.web.svg import Axes, drawing, nice_ticks, number, rectangle, text


def chart_drawing(chart: Chart) -> Markup:
    """Any of them, as an inline SVG."""
    if isinstance(chart, Histogram):
        return histogram_drawing(chart)
    return curve_drawing(chart) if isinstance(chart, Curve) else success_map(chart.grid, chart.by_cell())


def histogram_drawing(chart: Histogram) -> Markup:
    """A bar for each bin, its count above it; a dashed line at the limit."""
    most = max(*chart.counts, 1)
    axes = Axes(34, 40, 470, 150, chart.edges[0], chart.edges[-1], 0, most)
    body = [text(0, 14, f"{chart.title} [{chart.x_name}]", "title")]
    for count, low, high in zip(chart.counts, chart.edges[:-1], chart.edges[1:], strict=True):
        if count:
            left, top = axes.x(low) + 1, axes.y(count)
            body.append(rectangle(left, top, axes.x(high) - left - 1, axes.y(0) - top, "policy-fill"))
            body.append(text((axes.x(low) + axes.x(high)) / 2, top - 4, number(count), "tick", "middle"))
    body.append(axes.x_ticks([(value, number(value)) for value in nice_ticks(axes.x_low, axes.x_high, 8)]))
    if chart.limit is not None and axes.x_low <= chart.limit <= axes.x_high:
        x = axes.x(chart.limit)
        body.append(f'<path class="bound" d="M{x:.1f} {axes.top:.1f}v{axes.height:.1f}"/>')
    return drawing(520, 222, "".join(body), f"{chart.title}: {sum(chart.counts)} in all")


def curve_drawing(chart: Curve) -> Markup:
    """A line, and a dashed one at the limit."""
    xs, ys = np.array(chart.x, np.float64), np.array(chart.y, np.float64)
    shown = ys if chart.limit is None else np.append(ys, chart.limit)
    margin = 0.08 * float(shown.max() - shown.min()) or 0.1
    low, high = float(shown.min()) - margin, float(shown.max()) + margin
    axes = Axes(50, 34, 454, 150, float(xs[0]), float(max(xs[-1], xs[0] + 1)), low, high)
    body = [
        text(0, 14, chart.title, "title"),
        axes.y_ticks([(value, number(value)) for value in nice_ticks(low, high, 4)]),
        axes.x_ticks([(value, number(value)) for value in nice_ticks(axes.x_low, axes.x_high, 5)]),
        axes.line(xs, ys, "metric-line"),
        text(axes.left + axes.width, axes.top + axes.height + 36, chart.x_name, "tick", "end"),
        *_limit(axes, chart.limit),
    ]
    return drawing(520, 226, "".join(body), f"{chart.title}: {number(float(ys[-1]))} in the end")


def _limit(axes: Axes, limit: float | None) -> list[str]:
    if limit is None:
        return []
    y = axes.y(limit)
    return [
        f'<path class="bound" d="M{axes.left:.1f} {y:.1f}h{axes.width:.1f}"/>',
        text(axes.left + 4, y - 5, number(limit), "tick"),
    ]
