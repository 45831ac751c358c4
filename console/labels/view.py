"""What the page of labels shows, as HTML: pictures, the frame's label and the timeline; and the lists beside them."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from console.labels import drawing
from console.labels.desk import LabelDesk
from console.labels.hand import LabelHand
from reward_classifier.hard_frames import Suggestion
from reward_classifier.labels import Label

LABEL_KEYS = {"p": Label.POSITIVE, "n": Label.NEGATIVE, "u": Label.UNSURE, "x": None}
SHOWN = 12  # suggested frames that are listed; the others move up as these are labelled


def parts(desk: LabelDesk, hand: LabelHand) -> dict[str, Markup]:
    """What changes from frame to frame, by the name of its place on the page."""
    frames, here = hand.last + 1, desk.said(hand.place).get(hand.frame)
    return {
        "title": _title(desk, hand.place),
        "now": drawing.frame_line(hand.frame, frames, desk.contract.control_hz, here),
        "opinion": _opinion(desk, hand),
        "shapes": _timeline(desk, hand.place, frames),
        "over": drawing.cursor(hand.frame, hand.interval if hand.marked else None, frames),
        "version": Markup(desk.version),
    }


def picture_url(desk: LabelDesk, place: int, frame: int, camera: str) -> str:
    """Where a picture is. The session stands in it, so that a browser never takes it for that of an earlier run."""
    outcome = desk.outcomes[place]
    return f"/label/frame/{outcome.id}/{frame}/{quote(camera, safe='')}?{outcome.session[:8]}"


def pictures(desk: LabelDesk, place: int, frame: int) -> dict[str, str]:
    """Of all cameras, by their names."""
    return {camera.name: picture_url(desk, place, frame, camera.name) for camera in desk.contract.cameras}


class Lists:
    """All episodes, and the frames to label next. What has not changed is not sent again.

    Each page says up to which mark it has seen them.
    """

    def __init__(self, desk: LabelDesk) -> None:
        self._desk = desk
        self._boot = secrets.token_hex(4)  # marks of another process, or of another desk, say nothing here
        self._number = 0
        self._rows: list[tuple[int, tuple[int, int], Markup]] = []  # number, what it was made of, HTML
        self._hard: tuple[int, Any, Markup] = (0, None, Markup(""))

    def since(self, mark: str) -> dict[str, Any]:
        """What has changed after that: rows of episodes as (row, HTML), the heading, the suggestions or None."""
        desk, counts = self._desk, Counter(each.episode for each in self._desk.suggestions())
        boot, _, digits = mark.partition(":")
        number = int(digits) if boot == self._boot and digits.isdecimal() else 0
        self._number += 1
        for place, outcome in enumerate(desk.outcomes):
            stands = desk.changed_at(place), counts[place]
            if place == len(self._rows):
                self._rows.append((0, (-1, -1), Markup("")))
            if self._rows[place][1] != stands:
                html = drawing.episode_row(outcome, desk.said(place), counts[place])
                self._rows[place] = self._number, stands, html
        told = "" if desk.thoughts is None else desk.thoughts.told
        if self._hard[1] != (desk.suggested, told):
            self._hard = self._number, (list(desk.suggested), told), self._suggested(told)
        labelled = sum(bool(desk.said(place)) for place in range(len(desk.outcomes)))
        return {
            "mark": f"{self._boot}:{self._number}",
            "rows": [(desk.outcomes[place].id, each[2]) for place, each in enumerate(self._rows) if each[0] > number],
            "heading": f"{labelled} of {len(desk.outcomes)} episodes have labels",
            "hard": self._hard[2] if self._hard[0] > number else None,
        }

    def _suggested(self, told: str) -> Markup:
        desk, suggested = self._desk, self._desk.suggested
        if desk.thoughts is None:
            told = (
                "No classifier has judged these episodes. `nudge classifier label --page --classifier FOLDER` asks one."
            )
        elif not told:
            told = "None: labels and classifier agree everywhere."
            if suggested:
                told = f"{SHOWN} of {len(suggested)}, the most useful first" if len(suggested) > SHOWN else ""
        rows = Markup("").join(self._suggestion(each) for each in suggested[:SHOWN])
        return Markup('<p class="soft">{}</p><div class="list">{}</div>').format(told, rows)

    def _suggestion(self, each: Suggestion) -> Markup:
        outcome = self._desk.outcomes[each.episode]
        urls = list(pictures(self._desk, each.episode, each.step).values())
        return Markup(
            '<button class="item" data-row="{}" data-frame="{}"><div class="content">{}</div></button>'
        ).format(outcome.id, each.step, drawing.suggestion_row(each, outcome, urls))


def _title(desk: LabelDesk, place: int) -> Markup:
    outcome = desk.outcomes[place]
    kind, result = ("success", "success") if outcome.success else ("failure", "no success")
    return Markup('<h1>Episode {}</h1><span class="chip {}">{}</span><span class="soft">{} of {}</span>').format(
        drawing.episode_name(outcome), kind, result, place + 1, len(desk.outcomes)
    )


def _opinion(desk: LabelDesk, hand: LabelHand) -> Markup:
    thoughts = desk.thoughts
    probability = None if thoughts is None else thoughts.of(hand.place)
    if thoughts is None or probability is None:
        return Markup("")
    of_frame = float(probability[hand.frame])
    return drawing.opinion_line(of_frame, thoughts.threshold, thoughts.origin(hand.place))


def _timeline(desk: LabelDesk, place: int, frames: int) -> Markup:
    shapes = [drawing.strip(desk.said(place), frames), drawing.seconds(frames, desk.contract.control_hz)]
    if desk.thoughts is not None:
        flags = drawing.flags([each for each in desk.suggested if each.episode == place], frames)
        shapes = [flags, drawing.curve(desk.thoughts.of(place), desk.thoughts.threshold, frames), *shapes]
    return Markup("").join(shapes)
