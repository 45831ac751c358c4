"""The page of `nudge classifier label --page`: pictures, labels on a timeline, and which frames to label next.

Everything can be done with keys, and whatever they label is in the file at once. Served on this machine alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

from markupsafe import Markup, escape
from nicegui import events, ui

from console.label_desk import Film, LabelDesk
from console.label_drawing import episode_name
from console.label_hand import LabelHand, Told
from console.label_lists import EpisodeList, HardList
from console.label_view import LABEL_KEYS, LabelView
from console.local_page import serve
from console.page_parts import TEMPLATES, tagged, written
from policy.errors import NudgeError

REFRESH_S = 0.5  # how often a page looks what others have said, and how far the classifier has come
SPEEDS = {1.0: "1×", 0.5: "½×", 0.25: "¼×"}


class LabelPage:
    """One visitor's page."""

    def __init__(self, desk: LabelDesk, place: int, frame: int) -> None:
        self._desk, self._hand = desk, LabelHand(desk, place, frame)
        self._film: tuple[int, Film] | None = None
        self._playing, self._speed = False, 1.0
        self._keys = self._acts()
        for sheet in ("local.css", "label.css"):
            ui.add_css(TEMPLATES / sheet)
        ui.add_body_html(f"<script>{(TEMPLATES / 'label.js').read_text()}</script>")
        with tagged("div", "lp"):
            with tagged("div", "head"):
                self._facts, self._told = written("facts"), written("told")
            with tagged("div", "episodes"):
                self._episodes = EpisodeList(desk, self._open)
            with tagged("div", "main"):
                self._view = LabelView(desk, self._press, self._release, self._point)
            with tagged("div", "hard"):
                self._hard = HardList(desk, self._open)
        ui.on("label_key", self._on_key)
        ui.on("label_release", self._release)
        ui.context.client.on_disconnect(self._gone)
        self._clock = ui.timer(1.0 / desk.contract.control_hz, self._tick)
        ui.timer(REFRESH_S, self._refresh)
        self._do(lambda: None)

    def _acts(self) -> dict[str, Callable[[bool], object]]:
        """What each key does that labels nothing; it is told whether Shift is held."""
        hand = self._hand
        return {
            "ArrowLeft": lambda shift: self._step(-1, extend=shift),
            "ArrowRight": lambda shift: self._step(1, extend=shift),
            "Home": lambda shift: hand.go(0, extend=shift),
            "End": lambda shift: hand.go(hand.last, extend=shift),
            "PageUp": lambda _: self._show(hand.place - 1),
            "PageDown": lambda _: self._show(hand.place + 1),
            "Escape": lambda _: hand.go(hand.frame),
            "z": lambda _: hand.undo(),
            "h": lambda _: self._hop(),
            "s": lambda _: self._change_speed(),
            " ": lambda _: self._toggle(),
        }

    # --- what a person does -------------------------------------------------------------------------------------------

    def _on_key(self, event: events.GenericEventArguments) -> None:
        self._press(str(event.args["key"]), shift=bool(event.args["shift"]))

    def _press(self, key: str, *, shift: bool = False) -> None:
        if key in LABEL_KEYS:
            self._do(lambda: self._hand.press(LABEL_KEYS[key]))
        elif key in self._keys:
            self._do(lambda: self._keys[key](shift))

    def _release(self) -> None:
        self._do(self._hand.release)

    def _point(self, at: float, extend: bool) -> None:
        self._playing = False
        self._do(lambda: self._hand.go(int(at * (self._hand.last + 1)), extend=extend))

    def _open(self, place: int, frame: int) -> None:
        self._do(lambda: self._show(place, frame))

    def _step(self, by: int, *, extend: bool) -> None:
        self._playing = False
        self._hand.step(by, extend=extend)

    def _show(self, place: int, frame: int = 0) -> None:
        self._playing = False
        self._hand.show(place, frame)

    def _hop(self) -> None:
        self._playing = False
        self._hand.hop()

    def _toggle(self) -> None:
        self._playing = not self._playing
        if self._playing and self._hand.frame == self._hand.last:
            self._hand.go(0)

    def _change_speed(self) -> None:
        speeds = list(SPEEDS)
        self._speed = speeds[(speeds.index(self._speed) + 1) % len(speeds)]
        self._clock.interval = 1.0 / (self._speed * self._desk.contract.control_hz)

    # --- what passes by itself ----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._playing:
            self._playing = self._hand.frame + 1 < self._hand.last
            self._do(lambda: self._hand.step(1))

    def _refresh(self) -> None:
        """What others have said, and what the classifier thinks by now."""
        with self._explained():
            self._desk.refresh()
            others = self._hard.draw(self._hand.place, self._hand.frame)
            if others or self._hand.seen != self._desk.version:
                self._hand.seen = self._desk.version
                self._episodes.draw(self._hand.place)
        self._draw()

    def _gone(self) -> None:
        """The browser has closed the page, or lost it: nobody knows which keys are down."""
        self._playing = False
        self._hand.release()

    def _do(self, act: Callable[[], object]) -> None:
        """Do something, and show what has become of it."""
        before = self._desk.version
        with self._explained():
            act()
            place = self._hand.place
            if self._film is None:
                self._episodes.draw(place)
            elif self._desk.version != before:
                self._episodes.draw_row(place)
            if self._film is None or self._film[0] != place:
                self._film = place, self._desk.film(place)
                self._episodes.mark(place)
                self._remember()
        self._draw()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What cannot be done is told on the page."""
        try:
            yield
        except NudgeError as error:
            self._gone()
            self._hand.told = Told(str(error), trouble=True)

    def _remember(self) -> None:
        """In the address, so that a page that is loaded anew shows this episode."""
        name = episode_name(self._desk.outcomes[self._hand.place])
        ui.run_javascript(f"history.replaceState(null, '', {json.dumps('?episode=' + quote(name))})")

    def _draw(self) -> None:
        hand, desk = self._hand, self._desk
        facts = Markup('<b>Labels</b> <span class="soft">{}</span> · version <b>{}</b> · you are <b>{}</b>')
        self._facts.set_content(facts.format(desk.book.path, desk.version, desk.author))
        self._told.set_content(escape(hand.told.text))
        self._told.classes(replace="told trouble" if hand.told.trouble else "told")
        if self._film is not None and self._film[0] == hand.place:  # else it could not be read, and that is told
            self._view.draw(hand, self._film[1], playing=self._playing, speed=SPEEDS[self._speed])


def serve_labels(desk: LabelDesk, port: int) -> None:
    """Serve the page until Ctrl+C: for each visitor with the episode in the address, else one without labels."""

    def visit() -> None:
        named = ui.context.client.request.query_params.get("episode", "")
        places = range(len(desk.outcomes))
        desk.refresh()
        shown = next((place for place in places if episode_name(desk.outcomes[place]) == named), None)
        if shown is None:
            shown = next((place for place in places if not desk.said(place)), 0)
        LabelPage(desk, shown, 0)

    try:
        serve(visit, port, "Labels · Nudge")
    finally:
        desk.close()
