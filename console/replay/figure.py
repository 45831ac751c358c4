"""The figure of `nudge replay`: who was in control, rewards, and each axis of the action beside what a policy would do.

SVG with its colours in it, since it lies on a page that knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from console.replay.reel import WHO, Replayed
from policy.contract import ActionDimension
from policy.experience import Source

WIDTH, LEFT, RIGHT = 1160.0, 96.0, 12.0
STRIP_TOP, STRIP_HEIGHT = 18.0, 22.0
PANEL_TOP, PANEL_HEIGHT, PANEL_GAP = 62.0, 84.0, 14.0
BELOW = 24.0

COLOURS = {Source.POLICY: "#4c78a8", Source.HUMAN: "#e4572e", Source.DEMO: "#54a24b", Source.HOLD: "#a0a0a0"}
DONE, PROPOSED, INK, FAINT, CURSOR = "#1f2933", "#b5179e", "#374151", "#d7dbe0", "#f0a500"
_TEXT = 'font-family="system-ui, sans-serif" font-size="12"'


class ReplayFigure:
    """One episode of T steps, drawn. size: width and height [px]"""

    def __init__(self, replayed: Replayed) -> None:
        self._replayed = replayed
        self._steps = len(replayed.steps)
        axes = len(replayed.contract.action)
        self.size = (WIDTH, PANEL_TOP + axes * (PANEL_HEIGHT + PANEL_GAP) + BELOW)

    def place_at(self, x_px: float) -> int:
        """The step under a place of the figure; beyond the end of the axes the first or the last."""
        return int(np.clip((x_px - LEFT) // self._step_px, 0, self._steps - 1))

    def drawing(self) -> str:
        """All that stays while the cursor moves."""
        panels = "".join(self._panel(index, axis) for index, axis in enumerate(self._replayed.contract.action))
        return self._strip() + panels + self._times()

    def cursor(self, place: int) -> str:
        """Where the replay is; the observation after the last step lies at the end of the axes."""
        x = LEFT + (place + (0.5 if place < self._steps else 0.0)) * self._step_px
        line = f'<path d="M{x:.1f} {STRIP_TOP - 6:.1f}V{self.size[1] - BELOW:.1f}" stroke="{CURSOR}" stroke-width="2"/>'
        if place == self._steps:
            return line
        return line + "".join(self._dots(x, place))

    @property
    def _step_px(self) -> float:
        return (WIDTH - LEFT - RIGHT) / self._steps

    def _strip(self) -> str:
        """A block for each run of steps of one source, and a mark for each reward."""
        parts = [_text(LEFT - 10, STRIP_TOP + 15, "in control", "end")]
        begin = 0
        for source, run in groupby(step.source for step in self._replayed.steps):
            steps = len(list(run))
            x, width = LEFT + begin * self._step_px, steps * self._step_px
            parts.append(_block(x, STRIP_TOP, width, STRIP_HEIGHT, COLOURS[source]))
            if width > 8 * len(WHO[source]):
                parts.append(_text(x + 6, STRIP_TOP + 15, WHO[source], colour="#ffffff"))
            begin += steps
        for index, step in enumerate(self._replayed.steps):
            if step.reward:
                x = LEFT + (index + 0.5) * self._step_px
                parts.append(f'<circle cx="{x:.1f}" cy="{STRIP_TOP + 33:.1f}" r="5" fill="{COLOURS[Source.DEMO]}"/>')
                parts.append(_text(x - 9, STRIP_TOP + 37, f"reward {step.reward:g}", "end"))
        return "".join(parts)

    def _panel(self, index: int, axis: ActionDimension) -> str:
        top = self._top(index)
        middle, width = top + PANEL_HEIGHT / 2, WIDTH - LEFT - RIGHT
        parts = [
            _block(LEFT, top, width, PANEL_HEIGHT, "#fafbfc"),
            f'<path d="M{LEFT} {middle:.1f}h{width:.1f}" stroke="{FAINT}"/>',
            _text(LEFT - 10, top + 12, "+1", "end", "#9aa3ad"),
            _text(LEFT - 10, top + PANEL_HEIGHT, "−1", "end", "#9aa3ad"),
            _text(LEFT - 10, middle - 2, axis.name.removeprefix("delta."), "end", weight="600"),
            _text(LEFT - 10, middle + 12, f"1 = {axis.scale:g} {axis.unit}", "end", "#9aa3ad"),
        ]
        proposed = self._replayed.proposed
        if proposed is not None:
            parts.append(self._line(index, proposed[:, index], f'stroke="{PROPOSED}" stroke-dasharray="5 3"'))
        parts.append(self._line(index, self._replayed.actions[:, index], f'stroke="{DONE}"'))
        return "".join(parts)

    def _line(self, panel: int, values: NDArray[np.float32], look: str) -> str:
        points = " ".join(
            f"{LEFT + (index + 0.5) * self._step_px:.1f},{self._y(panel, value):.1f}"
            for index, value in enumerate(values)
        )
        return f'<polyline points="{points}" fill="none" stroke-width="1.8" {look}/>'

    def _dots(self, x: float, place: int) -> Iterator[str]:
        replayed = self._replayed
        rows = [(replayed.actions, DONE)] + ([] if replayed.proposed is None else [(replayed.proposed, PROPOSED)])
        for values, colour in rows:
            for index, value in enumerate(values[place]):
                yield f'<circle cx="{x:.1f}" cy="{self._y(index, value):.1f}" r="4" fill="{colour}"/>'

    def _times(self) -> str:
        """Seconds below, in steps that leave room for their numbers."""
        rate_hz = self._replayed.contract.control_hz
        last_s = self._steps / rate_hz
        every_s = next(each for each in (0.5, 1, 2, 5, 10, 30, 60, 300) if last_s / each <= 16 or each == 300)
        marks = np.arange(0.0, last_s + 1e-9, every_s).tolist()
        y = self.size[1] - BELOW + 12
        return "".join(
            _text(LEFT + mark * rate_hz * self._step_px, y, f"{mark:g} s", "middle", "#9aa3ad") for mark in marks
        )

    def _top(self, panel: int) -> float:
        return PANEL_TOP + panel * (PANEL_HEIGHT + PANEL_GAP)

    def _y(self, panel: int, value: float) -> float:
        return self._top(panel) + PANEL_HEIGHT / 2 * (1 - float(np.clip(value, -1, 1)))


def _text(x: float, y: float, content: str, anchor: str = "start", colour: str = INK, weight: str = "400") -> str:
    look = f'text-anchor="{anchor}" fill="{colour}" font-weight="{weight}" {_TEXT}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(content)}</text>'


def _block(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
