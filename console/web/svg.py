"""The little SVG that the report's figures need: axes, lines, bands, ticks, and numbers as people write them.

A page that follows the reader's font and light or dark setting needs shapes with CSS classes, which plotting
libraries do not write. No colour stands here; all of them are in the page's style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Axes:
    """A rectangle of the drawing [px, y down] and the ranges of data that it shows (y up)."""

    left: float
    top: float
    width: float
    height: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Data to drawing [px]."""
        return self.left + self.width * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        """Data to drawing [px]."""
        return self.top + self.height * (self.y_high - value) / (self.y_high - self.y_low)

    def points(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        """Finite points of a line, as SVG writes them."""
        pairs = ((x, y) for x, y in zip(xs, ys, strict=True) if isfinite(y))
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in pairs)

    def line(self, xs: Values, ys: Values, css: str) -> str:
        """A line through (N,) points."""
        return f'<polyline class="{css}" points="{self.points(xs, ys)}"/>'

    def band(self, xs: Values, lows: Values, highs: Values, css: str) -> str:
        """The area between two lines of (N,) points."""
        there, back = self.points(xs, highs), self.points(xs[::-1], lows[::-1])
        return f'<polygon class="{css}" points="{there} {back}"/>'

    def span(self, x_low: float, x_high: float, css: str) -> str:
        """The full height between two values of x."""
        left, right = self.x(x_low), self.x(x_high)
        return rectangle(left, self.top, right - left, self.height, css)

    def y_ticks(self, ticks: Sequence[tuple[float, str]]) -> str:
        """Horizontal hairlines with a label on the left."""
        return "".join(
            f'<path class="grid" d="M{self.left:.1f} {self.y(value):.1f}h{self.width:.1f}"/>'
            + text(self.left - 7, self.y(value) + 4, label, "tick", "end")
            for value, label in ticks
        )

    def x_ticks(self, ticks: Sequence[tuple[float, str]], labels: bool = True) -> str:
        """The base line with short ticks, labelled below."""
        bottom = self.top + self.height
        marks = "".join(f'<path class="base" d="M{self.x(value):.1f} {bottom:.1f}v4"/>' for value, _ in ticks)
        names = "".join(text(self.x(value), bottom + 19, label, "tick", "middle") for value, label in ticks if labels)
        return f'<path class="base" d="M{self.left:.1f} {bottom:.1f}h{self.width:.1f}"/>{marks}{names}'


def drawing(width: float, height: float, body: str, label: str, css: str = "") -> Markup:
    """An inline SVG that scales with the page; `label` says what it shows to those who do not see it."""
    opening = f'<svg class="{css}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}">'
    return Markup(opening + body + "</svg>")  # every text in `body` went through `text`, which escapes


def text(x: float, y: float, content: str, css: str, anchor: str = "start") -> str:
    """A line of text, escaped."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def rectangle(x: float, y: float, width: float, height: float, css: str, extra: str = "") -> str:
    """A rectangle [px]; `extra` are further attributes."""
    return f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {extra}/>'


def spread(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, at least `distance` apart, within low..high where they fit: for labels."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [0.0] * len(wanted)
    floor_at = low
    for index in order:  # push down …
        placed[index] = max(wanted[index], floor_at)
        floor_at = placed[index] + distance
    ceiling = high
    for index in reversed(order):  # … and back up from the lower edge
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - distance
    return placed


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Round values within low..high, some `about` of them, in steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / max(about, 1)
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def number(value: float | None) -> str:
    """A number as people write it: 12345.6 -> '12,346', 0.01234 -> '0.0123', None -> '–'."""
    if value is None:
        return "–"
    if not isfinite(value):
        return str(value)
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) < 1e-3:
        return f"{value:.1e}".replace("-", "−")
    decimals = max(0, 2 - floor(log10(abs(value))))
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".").replace("-", "−")
