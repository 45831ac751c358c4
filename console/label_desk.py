"""What the pages of `nudge classifier label --page` share: episodes, their labels, and a classifier's opinions.

All calls from one thread, that of the pages; the classifier looks at the episodes in another one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from console.errors import ConsoleError
from console.label_opinions import Opinions
from policy.encoder import Encoder
from policy.errors import NudgeError
from policy.experience_file import EpisodeOutcome, EpisodeSelection, ExperienceFile
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.frames import every_frame
from reward_classifier.hard_frames import DEFAULT, HardSettings, Suggestion
from reward_classifier.label_acts import Act
from reward_classifier.labels import NOTHING_SAID, EpisodeKey, Label, LabelBook, Said, Sayings, Span, take_in


@dataclass(frozen=True, slots=True)
class Film:
    """The frames of an episode of T steps: T + 1 times camera -> PNG, in the contract's order of cameras."""

    outcome: EpisodeOutcome
    frames: Sequence[Mapping[str, bytes]]


class LabelDesk:
    """Episodes and labels. Whatever is said is in the file when a call returns.

    version: of the labels that are known here; another process may have added to them
    suggested: frames to label next, as they were found last
    """

    def __init__(self, path: Path, label_path: Path, selection: EpisodeSelection, author: str) -> None:
        self.path, self.author = path, author
        with closing(ExperienceFile(path)) as experience:
            self.contract = experience.contract
            self.outcomes = experience.outcomes(selection)
        if not self.outcomes:
            raise ConsoleError(f"{path}: got no episode that has an end, expected one to label; record some first")
        self.version = NOTHING_SAID
        self.book = LabelBook(label_path)
        self._sayings: Sayings = {}
        self._looking: Looking | None = None
        self._hard = DEFAULT
        self.suggested: list[Suggestion] = []
        self._suggested_at = -1, -1
        self.refresh()

    def refresh(self) -> bool:
        """Read what others have said; whether there was anything."""
        newest = self.book.version
        if newest == self.version:
            return False
        self._sayings, self.version = self.book.sayings(newest), newest
        return True

    def key(self, place: int) -> EpisodeKey:
        """Which episode it is. place: among `outcomes`"""
        return EpisodeKey(self.outcomes[place].session, self.outcomes[place].episode)

    def place_of(self, key: EpisodeKey) -> int | None:
        """Where an episode stands; None where it is none of these."""
        return next((place for place in range(len(self.outcomes)) if self.key(place) == key), None)

    def said(self, place: int) -> Mapping[int, Said]:
        """What is said of an episode's frames."""
        return self._sayings.get(self.key(place), {})

    def film(self, place: int) -> Film:
        """Its pictures, as they were stored."""
        outcome = self.outcomes[place]
        with closing(ExperienceFile(self.path)) as experience:
            messages = experience.messages(outcome.id)
        seen = [*(message.observation for message in messages), messages[-1].final_observation]
        names = [camera.name for camera in self.contract.cameras]
        pictures = [{frame.camera: frame.png for frame in each.frames} for each in seen]
        return Film(outcome, [{name: each[name] for name in names} for each in pictures])

    def say(self, place: int, first: int, last: int, label: Label | None, source: str, seen: int) -> Span:
        """Label frames, or clear them (None).

        seen: version of the labels that the author saw. Raise `LabelConflict` where somebody has changed them since.
        """
        span = Span(self.key(place), first, last, label)
        now_ns = time.time_ns()
        version = self.book.add([span], source, self.author, now_ns, seen)
        if version == self.version + 1:  # nobody else has said anything: the whole book need not be read again
            take_in(self._sayings, Act(version, source, self.author, now_ns, None), [span])
            self.version = version
        else:
            self.refresh()
        return span

    def undo(self) -> list[Span]:
        """Take back the newest thing that the author did by hand, and say what. Raise `LabelError` for none."""
        spans = self.book.undo_stroke(self.author, time.time_ns())
        self.refresh()
        return spans

    def look(self, classifier: SuccessClassifier, encoder: Encoder, hard: HardSettings = DEFAULT) -> None:
        """Have a classifier look at all episodes, in another thread. hard: which frames it suggests"""
        self._hard = hard
        self._looking = Looking(classifier, encoder, self.path, self.outcomes)
        self._looking.start()

    @property
    def looking(self) -> Looking | None:
        """How far the classifier has come; None where there is none."""
        return self._looking

    @property
    def opinions(self) -> Opinions | None:
        """What it thinks; None while it has not begun, or where there is none."""
        return None if self._looking is None else self._looking.opinions

    def suggestions(self) -> list[Suggestion]:
        """Which frames to label next, by what is known now; `suggested` has what was found last."""
        opinions = self.opinions
        if opinions is None:
            return []
        stands = self.version, opinions.known
        if self._suggested_at != stands:
            self._suggested_at, self.suggested = stands, opinions.suggestions(self._sayings, self._hard)
        return self.suggested

    def close(self) -> None:
        """Close the file of labels, and wait until the classifier looks away."""
        if self._looking is not None:
            self._looking.stop()
        self.book.close()


class Looking(threading.Thread):
    """A classifier that looks at one episode after the other.

    opinions: what is known so far; None at first. trouble: why it has ended early, empty otherwise
    """

    def __init__(
        self, classifier: SuccessClassifier, encoder: Encoder, path: Path, outcomes: Sequence[EpisodeOutcome]
    ) -> None:
        super().__init__(name="classifier", daemon=True)
        self.opinions: Opinions | None = None
        self.trouble = ""
        self._classifier, self._encoder = classifier, encoder
        self._path, self._outcomes = path, outcomes
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look until all is known."""
        try:
            with closing(ExperienceFile(self._path)) as experience:
                opinions = Opinions(self._classifier, every_frame(experience, {}, self._outcomes))
                self.opinions = opinions
                for _ in opinions.look(experience, self._encoder):
                    if self._stopping.is_set():
                        return
        except NudgeError as error:
            self.trouble = str(error)

    def stop(self) -> None:
        """End after the episode that it looks at."""
        self._stopping.set()
        self.join()

    @property
    def told(self) -> str:
        """How far it has come, for a person; empty once all is known."""
        if self.trouble:
            return self.trouble
        if self.opinions is None:
            return "the classifier reads the episodes …"
        known, all_of_them = self.opinions.known, len(self._outcomes)
        return "" if known == all_of_them else f"the classifier has looked at {known} of {all_of_them} episodes …"
