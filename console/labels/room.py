"""Labels for whoever visits: one desk for all, a hand for each request, as the page says where it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from console.labels.desk import LabelDesk
from console.labels.hand import HandState, LabelHand, Told
from console.labels.view import LABEL_KEYS, Lists, parts, pictures
from policy.contract import Frozen

Author = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")
]


class Act(Frozen):
    """One thing that a person does, or that time does while the film plays.

    do: a key by its name, or `release`, `pass` (a frame passes), `point` and `open`
    """

    do: str = Field(max_length=16)
    shift: bool = Field(default=False, description="Marks all frames from where one was.")
    at: float = Field(default=0.0, ge=0, le=1, description="Where somebody points, as a share of the timeline.")
    row: int = Field(default=0, description="Of the episode that is opened.")
    frame: int = Field(default=0, ge=0, description="The frame that it is opened at.")


class Asked(Frozen):
    """What a page sends. mark: up to which it has the lists"""

    hand: HandState
    author: Author
    mark: str = Field(max_length=64)
    acts: tuple[Act, ...] = Field(max_length=1000)


class LabelRoom:
    """All calls from one thread. It opens its desk when somebody comes.

    author: who labels, as long as a page does not say otherwise
    follows: whether the desk is opened anew where other episodes are there by the next visit
    """

    def __init__(self, open_desk: Callable[[], LabelDesk], author: str, *, follows: bool) -> None:
        self.author = author
        self._open_desk, self._follows = open_desk, follows
        self._opened: tuple[LabelDesk, Lists] | None = None

    def open(self) -> None:
        """Open the desk before anybody comes; raise `NudgeError` where that cannot be."""
        self._here()

    def visit(self, row: int | None) -> dict[str, Any] | None:
        """What the page shows at first: this episode, or the first one without labels. None where there is no such."""
        if self._follows and self._opened is not None and self._opened[0].is_old():
            self.close()
        desk, lists = self._here()
        desk.refresh()
        if row is None:
            places = range(len(desk.outcomes))
            row = desk.outcomes[next((place for place in places if not desk.said(place)), 0)].id
        place = desk.place_of_row(row)
        if place is None:
            return None
        return {
            "path": str(desk.book.path),
            "author": self.author,
            "cameras": [camera.name for camera in desk.contract.cameras],
            "hz": desk.contract.control_hz,
            "shown": self._shown(desk, lists, LabelHand(desk, self.author, place), ""),
        }

    def act(self, asked: Asked) -> dict[str, Any]:
        """Do it in this order, and what the page shows then."""
        desk, lists = self._here()
        desk.refresh()
        hand = LabelHand.at(desk, asked.author, asked.hand)
        for act in asked.acts:
            _do(hand, desk, act)
        return self._shown(desk, lists, hand, asked.mark)

    def picture(self, row: int, frame: int, camera: str) -> bytes | None:
        """What a camera saw; None where there is no such frame."""
        desk, _ = self._here()
        place = desk.place_of_row(row)
        return None if place is None else desk.picture(place, frame, camera)

    def close(self) -> None:
        """Close the desk, if one was opened. May be called twice."""
        if self._opened is not None:
            self._opened[0].close()
        self._opened = None

    def _here(self) -> tuple[LabelDesk, Lists]:
        if self._opened is None:
            desk = self._open_desk()
            self._opened = desk, Lists(desk)
        return self._opened

    @staticmethod
    def _shown(desk: LabelDesk, lists: Lists, hand: LabelHand, mark: str) -> dict[str, Any]:
        listed = lists.since(mark)
        hand.seen = desk.version  # what is sent now
        here = desk.said(hand.place).get(hand.frame)
        ahead = min(hand.frame + 1, hand.last)
        return {
            "hand": hand.state.model_dump(mode="json"),
            "last": hand.last,
            "told": {"text": hand.told.text, "trouble": hand.told.trouble},
            "label": "" if here is None else here.label.value,
            "parts": parts(desk, hand),
            "pictures": pictures(desk, hand.place, hand.frame),
            "ahead": list(pictures(desk, hand.place, ahead).values()),
            "lists": listed,
        }


def _do(hand: LabelHand, desk: LabelDesk, act: Act) -> None:
    if act.do in LABEL_KEYS:
        hand.press(LABEL_KEYS[act.do])
    elif act.do == "point":
        hand.go(int(act.at * (hand.last + 1)), extend=act.shift)
    elif act.do == "open":
        place = desk.place_of_row(act.row)
        if place is None:
            hand.told = Told("this episode is no longer there; load the page anew", trouble=True)
        else:
            hand.show(place, act.frame)
    else:
        _press(hand, act)


def _press(hand: LabelHand, act: Act) -> None:
    """A key that labels nothing by itself; others do nothing."""
    match act.do:
        case "ArrowLeft" | "ArrowRight":
            hand.step(-1 if act.do == "ArrowLeft" else 1, extend=act.shift)
        case "pass":
            hand.step(1)
        case "Home" | "End":
            hand.go(0 if act.do == "Home" else hand.last, extend=act.shift)
        case "PageUp" | "PageDown":
            hand.show(hand.place + (-1 if act.do == "PageUp" else 1))
        case "Escape":
            hand.go(hand.frame)
        case "z":
            hand.undo()
        case "h":
            hand.hop()
        case "release":
            hand.release()
