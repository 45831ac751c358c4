"""What the pages of labels share: episodes, their labels, and what a classifier thinks of them.

All calls from one thread, that of the pages.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from console.errors import ConsoleError
from console.labels.thoughts import Thoughts, remembered
from policy.experience_file import EpisodeSelection, ExperienceFile
from reward_classifier.hard_frames import Suggestion
from reward_classifier.label_acts import Act
from reward_classifier.labels import NOTHING_SAID, EpisodeKey, Label, LabelBook, Said, Sayings, Span, take_in


class LabelDesk:
    """Episodes and labels. Whatever is said is in the file when a call returns.

    outcomes: the episodes that had an end when this was made
    version: of the labels that are known here; another process may have added to them
    thoughts: what a classifier thinks; None where none does
    suggested: frames to label next, as they were found last
    """

    def __init__(self, path: Path, label_path: Path, selection: EpisodeSelection) -> None:
        self.path, self._selection = path, selection
        with closing(ExperienceFile(path)) as experience:
            self.contract = experience.contract
            self.outcomes = experience.outcomes(selection)
        if not self.outcomes:
            raise ConsoleError(f"{path}: got no episode that has an end, expected one to label; record some first")
        self._inode = path.stat().st_ino
        self._place_of = {self.key(place): place for place in range(len(self.outcomes))}
        self._place_of_row = {each.id: place for place, each in enumerate(self.outcomes)}
        self.version = NOTHING_SAID
        self.book = LabelBook(label_path)
        self._sayings: Sayings = {}
        self._changed_at: dict[int, int] = {}
        self.thoughts: Thoughts | None = None
        self.suggested: list[Suggestion] = []
        self._suggested_at = -1, -1
        self.refresh()

    def is_old(self) -> bool:
        """Whether the file has other episodes by now: some have ended since, or another run has its name."""
        if self.path.stat().st_ino != self._inode:
            return True
        with closing(ExperienceFile(self.path)) as experience:
            return experience.find(self._selection).ids != tuple(self._place_of_row)

    def refresh(self) -> bool:
        """Read what others have said; whether there was anything."""
        newest = self.book.version
        if newest == self.version:
            return False
        before, self._sayings, self.version = self._sayings, self.book.sayings(newest), newest
        for key, place in self._place_of.items():
            if before.get(key) != self._sayings.get(key):
                self._changed_at[place] = newest
        return True

    def key(self, place: int) -> EpisodeKey:
        """Which episode it is. place: among `outcomes`"""
        return EpisodeKey(self.outcomes[place].session, self.outcomes[place].episode)

    def place_of(self, key: EpisodeKey) -> int | None:
        """Where an episode stands; None where it is none of these."""
        return self._place_of.get(key)

    def place_of_row(self, row: int) -> int | None:
        """The same of the number of its row in the file."""
        return self._place_of_row.get(row)

    def said(self, place: int) -> Mapping[int, Said]:
        """What is said of an episode's frames."""
        return self._sayings.get(self.key(place), {})

    def changed_at(self, place: int) -> int:
        """The version at which that has changed last."""
        return self._changed_at.get(place, NOTHING_SAID)

    def picture(self, place: int, frame: int, camera: str) -> bytes | None:
        """What a camera saw, as PNG, as it was stored; None where there is no such frame."""
        with closing(ExperienceFile(self.path)) as experience:
            return experience.picture(self.outcomes[place].id, frame, camera)

    def say(self, place: int, first: int, last: int, label: Label | None, source: str, author: str, seen: int) -> Span:
        """Label frames, or clear them (None).

        seen: version of the labels that the author saw. Raise `LabelConflict` where somebody has changed them since.
        """
        span = Span(self.key(place), first, last, label)
        now_ns = time.time_ns()
        version = self.book.add([span], source, author, now_ns, seen)
        if version == self.version + 1:  # nobody else has said anything: the whole book need not be read again
            take_in(self._sayings, Act(version, source, author, now_ns, None), [span])
            self.version = self._changed_at[place] = version
        else:
            self.refresh()
        return span

    def undo(self, author: str) -> list[Span]:
        """Take back the newest thing that the author did by hand, and say what. Raise `LabelError` for none."""
        spans = self.book.undo_stroke(author, time.time_ns())
        self.refresh()
        return spans

    def suggestions(self) -> list[Suggestion]:
        """Which frames to label next, by what is known now; `suggested` has what was found last."""
        if self.thoughts is None:
            return []
        stands = self.version, self.thoughts.known
        if self._suggested_at != stands:
            self._suggested_at, self.suggested = stands, self.thoughts.suggestions(self._sayings)
        return self.suggested

    def close(self) -> None:
        """Close the file of labels, and wait until the classifier looks away."""
        if self.thoughts is not None:
            self.thoughts.stop()
        self.book.close()


def desk_as_recorded(path: Path, label_path: Path, selection: EpisodeSelection) -> LabelDesk:
    """A desk with the thoughts that the experience itself remembers, where a classifier has judged it."""
    desk = LabelDesk(path, label_path, selection)
    desk.thoughts = remembered(path, desk.outcomes)
    return desk
