"""What the page of labels shows in its middle: pictures, the frame's label, the timeline and its buttons."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup
from nicegui import events, ui

from console import label_drawing as drawing
from console.label_desk import Film, LabelDesk
from console.label_hand import LabelHand
from console.page_parts import camera_picture, png_url, tagged, written
from reward_classifier.labels import Label

LABEL_KEYS = {"p": Label.POSITIVE, "n": Label.NEGATIVE, "u": Label.UNSURE, "x": None}
_MORE_KEYS = (
    "<kbd>←</kbd> <kbd>→</kbd> a frame back, on · with <kbd>Shift</kbd> they mark an interval · hold <kbd>P</kbd>, "
    "<kbd>N</kbd>, <kbd>U</kbd> or <kbd>X</kbd> while frames pass, and these get it · <kbd>Home</kbd> <kbd>End</kbd> "
    "· <kbd>Page up</kbd> <kbd>Page down</kbd> the episode before, after · <kbd>Esc</kbd> unmarks"
)
# Where on the timeline the pointer is, as a share of its width; only while a button or a finger is down.
_POINTED = (
    "(event) => { const box = event.currentTarget.getBoundingClientRect(), down = event.type === 'pointerdown'; "
    "if (down || event.buttons) emit({at: (event.clientX - box.left) / box.width, extend: !down || event.shiftKey}); }"
)

type Do = Callable[[str], None]  # what a key does, by its name


class LabelView:
    """The middle of the page. What has not changed is not sent again.

    press: is told the key whose button was pressed; release: that it is up again
    point: where on the timeline somebody points, 0..1, and whether that marks what lies between
    """

    def __init__(
        self, desk: LabelDesk, press: Do, release: Callable[[], None], point: Callable[[float, bool], None]
    ) -> None:
        self._desk, self._press, self._release = desk, press, release
        self._title = written("title")
        self._cameras = tagged("div", "cameras")
        with self._cameras:
            self._pictures = {camera.name: camera_picture(camera.name) for camera in desk.contract.cameras}
        self._now, self._opinion = written("now"), written("now")
        with tagged("div", "timeline") as timeline:
            self._shapes, self._cursor = written("shapes"), written("over")
        for pointer in ("pointerdown", "pointermove"):
            timeline.on(pointer, lambda event: point(*_pointed(event)), js_handler=_POINTED)
        with tagged("div", "tools"):
            self._label_tools = {key: self._label_tool(key) for key in LABEL_KEYS}
            self._tool("z", "undo")
            self._tool("h", "next hard")
            self._play = self._tool(" ", "play")
            self._speed = self._tool("s", "1×")
        written("hint").set_content(_MORE_KEYS)

    def draw(self, hand: LabelHand, film: Film, *, playing: bool, speed: str) -> None:
        """Everything as it is now."""
        desk, frames = self._desk, hand.last + 1
        here = desk.said(hand.place).get(hand.frame)
        for name, png in film.frames[hand.frame].items():
            _source(self._pictures[name], png_url(png))
        self._cameras.classes(replace=f"cameras {here.label if here else ''}")
        self._title.set_content(_heading(desk, hand.place))
        self._now.set_content(drawing.frame_line(hand.frame, frames, desk.contract.control_hz, here))
        self._opinion.set_content(self._thought(hand))
        self._shapes.set_content(self._timeline(hand.place, frames))
        self._cursor.set_content(drawing.cursor(hand.frame, hand.interval if hand.marked else None, frames))
        for key, label in LABEL_KEYS.items():
            held = hand.held is not None and hand.held.label is label
            self._label_tools[key].classes(add="held") if held else self._label_tools[key].classes(remove="held")
        self._play.set_content("stop" if playing else "play")
        self._speed.set_content(speed)

    def _thought(self, hand: LabelHand) -> Markup:
        opinions = self._desk.opinions
        probability = None if opinions is None else opinions.of(hand.place)
        if opinions is None or probability is None:
            return Markup("")
        of_frame = float(probability[hand.frame])
        return drawing.opinion_line(of_frame, opinions.rule.threshold, opinions.origin(hand.place))

    def _timeline(self, place: int, frames: int) -> Markup:
        desk, parts = self._desk, [Markup("")]
        if desk.opinions is not None:
            parts = [
                drawing.flags([each for each in desk.suggested if each.episode == place], frames),
                drawing.curve(desk.opinions.of(place), desk.opinions.rule.threshold, frames),
            ]
        parts += [drawing.strip(desk.said(place), frames), drawing.seconds(frames, desk.contract.control_hz)]
        return Markup("").join(parts)

    def _tool(self, key: str, name: str) -> ui.html:
        """A button that does what its key does; returns where its name stands."""
        with tagged("button", "tool").on("click", lambda: self._press(key)):
            written("", "kbd").set_content("space" if key == " " else key.upper())
            shown = written("", "span")
        shown.set_content(name)
        return shown

    def _label_tool(self, key: str) -> ui.element:
        """A button that labels as long as it is held, as its key does."""
        label = LABEL_KEYS[key]
        name = "clear" if label is None else label.value
        button = tagged("button", f"tool {name}").on("pointerdown", lambda: self._press(key))
        for end in ("pointerup", "pointerleave", "pointercancel"):
            button.on(end, self._release)
        with button:
            written("", "kbd").set_content(key.upper())
            written("", "span").set_content(name)
        return button


def _source(picture: ui.element, url: str) -> None:
    if picture.props.get("src") != url:
        picture.props["src"] = url


def _heading(desk: LabelDesk, place: int) -> Markup:
    outcome = desk.outcomes[place]
    kind, result = ("success", "success") if outcome.success else ("failure", "no success")
    return Markup('<h1>Episode {}</h1><span class="chip {}">{}</span><span class="soft">{} of {}</span>').format(
        drawing.episode_name(outcome), kind, result, place + 1, len(desk.outcomes)
    )


def _pointed(event: events.GenericEventArguments) -> tuple[float, bool]:
    return float(event.args["at"]), bool(event.args["extend"])
