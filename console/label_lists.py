"""The two lists beside the pictures of the page of labels: all episodes, and the frames to label next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from markupsafe import Markup
from nicegui import ui

from console.label_desk import LabelDesk
from console.label_drawing import episode_row, suggestion_row
from console.page_parts import png_url, tagged, written
from reward_classifier.hard_frames import Suggestion

SHOWN = 12  # suggested frames that are listed; the others move up as these are labelled

type Open = Callable[[int, int], None]  # episode and frame


class EpisodeList:
    """All episodes, and how far each is labelled."""

    def __init__(self, desk: LabelDesk, opened: Open) -> None:
        self._desk, self._here = desk, -1
        self._heading = written("heading")
        self._buttons: list[ui.element] = []
        self._rows: list[ui.html] = []
        for place in range(len(desk.outcomes)):
            button = tagged("button", "item").on("click", lambda place=place: opened(place, 0))
            with button:
                self._rows.append(written("content"))
            self._buttons.append(button)

    def draw(self, here: int) -> None:
        """All of them."""
        for place in range(len(self._rows)):
            self.draw_row(place)
        self.mark(here)

    def draw_row(self, place: int) -> None:
        """One of them, and the count of all."""
        desk = self._desk
        suggested = Counter(each.episode for each in desk.suggested)[place]
        self._rows[place].set_content(episode_row(desk.outcomes[place], desk.said(place), suggested))
        labelled = sum(bool(desk.said(place)) for place in range(len(desk.outcomes)))
        heading = Markup("<h2>{} of {} episodes have labels</h2>").format(labelled, len(desk.outcomes))
        self._heading.set_content(heading)

    def mark(self, here: int) -> None:
        """The one that is seen, and roll the list so that it is in view."""
        if here == self._here:
            return
        if self._here >= 0:
            self._buttons[self._here].classes(remove="here")
        self._here = here
        button = self._buttons[here].classes(add="here")
        # Only this list rolls: on a narrow screen it lies below the pictures, and the page must stay where it is.
        ui.run_javascript(
            f"const it = getHtmlElement({button.id}), list = it?.parentElement; "
            f"if (list && list.scrollHeight > list.clientHeight) list.scrollTop = it.offsetTop - list.clientHeight / 2"
        )


class HardList:
    """The frames that are suggested, with pictures and reasons."""

    def __init__(self, desk: LabelDesk, opened: Open) -> None:
        self._desk, self._opened = desk, opened
        self._shown: list[Suggestion] = []
        self._buttons: list[ui.element] = []
        self._heading, self._list = written("heading"), tagged("div", "list")
        self._pictures: dict[tuple[int, int], list[str]] = {}

    def draw(self, place: int, frame: int) -> bool:
        """Those of now; the one that is seen is marked. Whether there are others than before."""
        before, suggested = self._desk.suggested, self._desk.suggestions()
        if suggested[:SHOWN] != self._shown:
            self._shown = suggested[:SHOWN]
            self._fill()
        self._heading.set_content(self._said(len(suggested)))
        for each, button in zip(self._shown, self._buttons, strict=True):
            here = (each.episode, each.step) == (place, frame)
            button.classes(add="here") if here else button.classes(remove="here")
        return suggested is not before

    def _fill(self) -> None:
        self._list.clear()
        self._buttons = []
        with self._list:
            for each in self._shown:
                at = each.episode, each.step
                if at not in self._pictures:
                    frame = self._desk.film(each.episode).frames[each.step]
                    self._pictures[at] = [png_url(png) for png in frame.values()]
                button = tagged("button", "item").on("click", lambda at=at: self._opened(*at))
                with button:
                    row = suggestion_row(each, self._desk.outcomes[each.episode], self._pictures[at])
                    written("content").set_content(row)
                self._buttons.append(button)

    def _said(self, count: int) -> Markup:
        looking = self._desk.looking
        if looking is None:
            text = "Start with --classifier FOLDER to see what a classifier thinks, and which frames it doubts."
        elif looking.told:
            text = looking.told
        elif not count:
            text = "None: labels and classifier agree everywhere."
        else:
            text = f"{min(count, SHOWN)} of {count}, the most useful first" if count > SHOWN else ""
        return Markup('<h2>Label these next</h2><p class="soft">{}</p>').format(text)
