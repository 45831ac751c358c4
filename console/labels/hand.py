"""One person at one page of labels: where they are, which frames they have marked, which key they hold down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field

from console.labels.desk import LabelDesk
from policy.contract import Frozen
from reward_classifier.errors import LabelError
from reward_classifier.label_acts import EDIT, HOLD
from reward_classifier.labels import Label

Hopped = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A key that is down. label: None for the one that clears"""

    label: Label | None


@dataclass(frozen=True, slots=True)
class Told:
    """What came of the last key. trouble: it was not done"""

    text: str
    trouble: bool = False


class HandState(Frozen):
    """All that a hand is at between two keys. The page keeps it, so that a server may die and come back meanwhile."""

    row: int = Field(description="Of the episode, in the experience file.")
    frame: int = Field(default=0, ge=0)
    anchor: int | None = Field(default=None, ge=0, description="From where frames are marked; none: they are not.")
    held: Label | None = Field(default=None, description="What the key labels that is down; none clears.")
    holds: bool = Field(default=False, description="Whether a key is down.")
    seen: int = Field(default=0, ge=0, description="Version of the labels that the page shows.")
    hopped: Hopped = Field(default=(), max_length=1000, description="Rows and frames that were visited by hops.")


class LabelHand:
    """What keys do. Whatever they label is in the file at once.

    author: who says so; place: which episode, among those of the desk; frame: which of its T + 1 frames
    seen: version of the labels that the page shows
    """

    def __init__(self, desk: LabelDesk, author: str, place: int, frame: int = 0) -> None:
        self._desk, self._author = desk, author
        self._anchor: int | None = None
        self._hopped: set[tuple[int, int]] = set()
        self.held: Held | None = None
        self.told = Told("")
        self.place, self.frame = place, 0
        self.frame = min(max(frame, 0), self.last)
        self.seen = desk.version

    @classmethod
    def at(cls, desk: LabelDesk, author: str, state: HandState) -> Self:
        """As it was. Raise `LabelError` where its episode is no longer among those of the desk."""
        place = desk.place_of_row(state.row)
        if place is None:
            raise LabelError(
                f"{desk.path}: got row {state.row}, expected an episode that has an end; load the page anew"
            )
        hand = cls(desk, author, place, state.frame)
        hand._anchor = None if state.anchor is None else min(state.anchor, hand.last)
        hand.held = Held(state.held) if state.holds else None
        hand._hopped = set(state.hopped)
        hand.seen = state.seen
        return hand

    @property
    def state(self) -> HandState:
        """As it is."""
        held = None if self.held is None else self.held.label
        row, hopped = self._desk.outcomes[self.place].id, tuple(sorted(self._hopped))
        return HandState(
            row=row,
            frame=self.frame,
            anchor=self._anchor,
            held=held,
            holds=self.held is not None,
            seen=self.seen,
            hopped=hopped,
        )

    @property
    def last(self) -> int:
        """The last frame, seen after the last step."""
        return self._desk.outcomes[self.place].steps

    @property
    def interval(self) -> tuple[int, int]:
        """First and last frame that a key would label: what is marked, or the frame that is seen."""
        anchor = self.frame if self._anchor is None else self._anchor
        return min(anchor, self.frame), max(anchor, self.frame)

    @property
    def marked(self) -> bool:
        """Whether an interval is."""
        return self._anchor is not None

    def go(self, frame: int, *, extend: bool = False) -> None:
        """Look at a frame; nothing on the way there is labelled. extend: mark all from where one was"""
        if extend and self._anchor is None:
            self._anchor = self.frame
        elif not extend:
            self._anchor = None
        self.frame = min(max(frame, 0), self.last)

    def step(self, by: int, *, extend: bool = False) -> None:
        """So many frames on or back; a label whose key is held is given to all that pass."""
        before = self.frame
        self.go(before + by, extend=extend)
        if self.held is not None and self.frame != before:
            passed = (before + 1, self.frame) if self.frame > before else (self.frame, before - 1)
            self._say(*passed, self.held.label, HOLD)

    def press(self, label: Label | None) -> None:
        """Label what is marked, or the frame that is seen (None clears), and go on with it until `release`."""
        said = self._say(*self.interval, label, EDIT)
        self._anchor = None
        self.held = Held(label) if said else None

    def release(self) -> None:
        """The key is up, or nobody knows whether it is."""
        self.held = None

    def undo(self) -> None:
        """Take back the newest thing that this author did by hand, and look at it."""
        self.release()
        try:
            spans = self._desk.undo(self._author)
        except LabelError as error:
            self.told = Told(str(error), trouble=True)
            return
        self.seen = self._desk.version
        newest = spans[-1]
        place = self._desk.place_of(newest.key)
        if place is not None:
            self.show(place, min(span.first for span in spans if span.key == newest.key))
        self.told = Told(f"taken back – {newest}" + (f", and {len(spans) - 1} before it" if len(spans) > 1 else ""))

    def show(self, place: int, frame: int = 0) -> None:
        """Another episode; beyond the first or the last one nothing changes."""
        self.release()
        if 0 <= place < len(self._desk.outcomes):
            self.place = place
            self.go(frame)

    def hop(self) -> bool:
        """To the next frame that is suggested and was not visited yet; whether there is one."""
        rows = [each.id for each in self._desk.outcomes]
        suggested = [(rows[each.episode], each.step) for each in self._desk.suggestions()]
        self._hopped.intersection_update(suggested)
        if self._hopped.issuperset(suggested):
            self._hopped.clear()  # all were visited: once more from the first
        for row, frame in suggested:
            if (row, frame) not in self._hopped:
                self._hopped.add((row, frame))
                self.show(rows.index(row), frame)
                return True
        self.told = Told("no frame is suggested" + ("" if self._desk.thoughts else ": no classifier has judged these"))
        return False

    def _say(self, first: int, last: int, label: Label | None, source: str) -> bool:
        """Whether it was done."""
        try:
            span = self._desk.say(self.place, first, last, label, source, self._author, self.seen)
        except LabelError as error:
            self.release()
            self._desk.refresh()
            self.told = Told(str(error), trouble=True)
            self.seen = self._desk.version
            return False
        self.seen = self._desk.version
        self.told = Told(f"{span} – version {self.seen}, on the disk")
        return True
