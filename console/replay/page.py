"""The page of `nudge replay`: all cameras at one step, what was done and what the policy would have done, and the way
through the episodes. Served on this machine alone.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from nicegui import events, run, ui
from nicegui.elements.interactive_image import InteractiveImageLayer
from numpy.typing import NDArray

from console.replay.figure import COLOURS, ReplayFigure
from console.replay.numbers import numbers
from console.replay.reel import WHO, Reel, Replayed, describe
from console.web.local_page import serve
from policy.errors import NudgeError
from policy.wire import encode_png

SPEEDS = {0.25: "¼ speed", 0.5: "½ speed", 1.0: "as recorded", 2.0: "twice as fast"}
SHOWN_PX = 320  # a camera's picture, enlarged
KEYS = (
    "space: play · ← →: a step · Home, End: begin, end · Page up, down: episode before, after · click into the curves"
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """The episode that is on the page."""

    replayed: Replayed
    figure: ReplayFigure
    cursor: InteractiveImageLayer


class ReplayPage:
    """One visitor's page."""

    def __init__(self, reel: Reel, place: int) -> None:
        self._reel, self._episode = reel, place
        self._shown: _Shown | None = None
        self._step = 0
        self._playing = False
        self._busy = False
        ui.query("body").style("background: #f3f4f6")
        with ui.column().classes("w-full items-center"), ui.column().style("width: 1200px; max-width: 100%"):
            self._build_controls()
            with ui.card().classes("w-full"), ui.row().classes("w-full no-wrap items-start"):
                self._pictures = {camera.name: self._picture(camera.name) for camera in reel.contract.cameras}
                self._numbers = ui.html(sanitize=False).classes("grow")
            self._curves = ui.card().classes("w-full")
            with ui.row().classes("w-full items-center text-sm text-gray-500"):
                for source, name in WHO.items():
                    ui.badge(name).style(f"background: {COLOURS[source]} !important")
                ui.label(KEYS)
        ui.keyboard(self._on_key, ignore=["input", "textarea"])
        self._clock = ui.timer(1.0 / reel.contract.control_hz, self._tick)
        ui.timer(0.0, lambda: self.show(place), once=True)

    def _build_controls(self) -> None:
        with ui.row().classes("w-full items-center"):
            self._chooser = (
                ui.select(
                    {place: describe(outcome) for place, outcome in enumerate(self._reel.outcomes)},
                    value=self._episode,
                    on_change=lambda event: self._choose(event.value),
                )
                .props("dense outlined")
                .style("min-width: 30em")
            )
            self._play = self._button("play_arrow", self._toggle, "play or stop (space)")
            self._button("skip_previous", lambda: self.go(0), "begin (Home)")
            self._button("chevron_left", lambda: self.go(self._step - 1), "a step back (←)")
            self._button("chevron_right", lambda: self.go(self._step + 1), "a step on (→)")
            self._button("skip_next", lambda: self.go(self._last), "end (End)")
            ui.select(SPEEDS, value=1.0, on_change=lambda event: self._pace(event.value)).props("dense borderless")
            self._waiting = ui.spinner(size="sm")
            ui.space()
            ui.label(str(self._reel.path)).classes("text-sm text-gray-500")

    @staticmethod
    def _button(icon: str, act: events.Handler[events.ClickEventArguments], hint: str) -> ui.button:
        button = ui.button(icon=icon, on_click=act).props("flat dense round").tooltip(hint)
        # The focus goes with it: space would press this button once more.
        return button.on("click", js_handler="(event) => event.currentTarget.blur()")

    @staticmethod
    def _picture(camera: str) -> ui.interactive_image:
        with ui.column().classes("gap-1"):
            ui.label(camera).classes("text-sm text-gray-500")
            size = f"width: {SHOWN_PX}px; height: {SHOWN_PX}px; image-rendering: pixelated"
            return ui.interactive_image(size=(SHOWN_PX, SHOWN_PX)).style(size)

    @property
    def _last(self) -> int:
        """The place after the last step."""
        return 0 if self._shown is None else len(self._shown.replayed.steps)

    async def show(self, place: int) -> None:
        """Another episode, from its beginning."""
        if self._busy:
            return
        self._busy, self._playing = True, False
        self._waiting.set_visibility(True)
        try:
            replayed = await run.io_bound(self._reel.look, place)
        except NudgeError as error:
            ui.notify(str(error), type="negative", multi_line=True)
        else:
            if replayed is not None:  # the program does not end just now
                self._episode, self._shown = place, self._draw(replayed)
                self.go(0)
        finally:
            self._busy = False
            self._waiting.set_visibility(False)
            self._chooser.set_value(self._episode)

    async def _choose(self, place: int) -> None:
        if place != self._episode:
            await self.show(place)

    def _draw(self, replayed: Replayed) -> _Shown:
        figure = ReplayFigure(replayed)
        self._curves.clear()
        with self._curves:
            drawn = ui.interactive_image(
                size=figure.size,
                content=figure.drawing(),
                on_mouse=self._on_mouse,
                events=["mousedown", "mousemove"],
            ).classes("w-full")
        return _Shown(replayed, figure, drawn.add_layer())

    def go(self, step: int) -> None:
        """Show one step; the observation after the last one at the end."""
        if self._shown is None:
            return
        replayed = self._shown.replayed
        self._step = min(max(0, step), self._last)
        self._playing = self._playing and self._step < self._last
        self._play.props(f"icon={'pause' if self._playing else 'play_arrow'}")
        for name, frame in replayed.seen(self._step).frames.items():
            self._pictures[name].set_source(_as_url(frame))
        self._shown.cursor.content = self._shown.figure.cursor(self._step)
        self._numbers.content = numbers(replayed, self._step, self._reel.policy_name)

    def _toggle(self) -> None:
        self._playing = not self._playing
        self.go(0 if self._playing and self._step == self._last else self._step)

    def _tick(self) -> None:
        if self._playing:
            self.go(self._step + 1)

    def _pace(self, speed: float) -> None:
        self._clock.interval = 1.0 / (speed * self._reel.contract.control_hz)

    def _on_mouse(self, event: events.MouseEventArguments) -> None:
        if self._shown is not None and (event.type == "mousedown" or event.buttons):
            self._playing = False
            self.go(self._shown.figure.place_at(event.image_x))

    async def _on_key(self, event: events.KeyEventArguments) -> None:
        if not event.action.keydown:
            return
        key = event.key
        if key.space and not event.action.repeat:
            self._toggle()
        elif key.arrow_left or key.arrow_right:
            self._playing = False
            self.go(self._step + (1 if key.arrow_right else -1))
        elif key.home or key.end:
            self.go(0 if key.home else self._last)
        elif key.page_up or key.page_down:
            await self.show(min(max(0, self._episode + (1 if key.page_down else -1)), len(self._reel.outcomes) - 1))


def serve_replay(reel: Reel, place: int, port: int) -> None:
    """Serve the page until Ctrl+C, at first with the episode at a place of the reel."""
    serve(lambda: ReplayPage(reel, place), port, "nudge replay")


def _as_url(frame: NDArray[np.uint8]) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_png(frame)).decode()}"
