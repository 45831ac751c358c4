"""One person at one page of labels: where they are, which frames they have marked, which key they hold down."""

from __future__ import annotations

from dataclasses import dataclass

from console.label_desk import LabelDesk
from reward_classifier.errors import LabelError
from reward_classifier.label_acts import EDIT, HOLD
from reward_classifier.labels import Label


@dataclass(frozen=True, slots=True)
class Held:
    """A key that is down. label: None for the one that clears"""

    label: Label | None


@dataclass(frozen=True, slots=True)
class Told:
    """What came of the last key. trouble: it was not done"""

    text: str
    trouble: bool = False


class LabelHand:
    """What keys do. Whatever they label is in the file at once.

    place: which episode, among those of the desk; frame: which of its T + 1 frames
    seen: version of the labels that the page shows
    """

    def __init__(self, desk: LabelDesk, place: int, frame: int = 0) -> None:
        self._desk = desk
        self._anchor: int | None = None
        self._hopped: set[tuple[int, int]] = set()
        self.held: Held | None = None
        self.told = Told("")
        self.place, self.frame = place, 0
        self.frame = min(max(frame, 0), self.last)
        self.seen = desk.version

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
            spans = self._desk.undo()
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
        suggested = [(each.episode, each.step) for each in self._desk.suggestions()]
        if suggested and self._hopped.issuperset(suggested):
            self._hopped.clear()  # all were visited: once more from the first
        for place, frame in suggested:
            if (place, frame) not in self._hopped:
                self._hopped.add((place, frame))
                self.show(place, frame)
                return True
        self.told = Told("no frame is suggested" + ("" if self._desk.looking else "; start with --classifier FOLDER"))
        return False

    def _say(self, first: int, last: int, label: Label | None, source: str) -> bool:
        """Whether it was done."""
        try:
            span = self._desk.say(self.place, first, last, label, source, self.seen)
        except LabelError as error:
            self.release()
            self._desk.refresh()
            self.told = Told(str(error), trouble=True)
            self.seen = self._desk.version
            return False
        self.seen = self._desk.version
        self.told = Told(f"{span} – version {self.seen}, on the disk")
        return True
