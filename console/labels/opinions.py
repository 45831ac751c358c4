"""What a classifier thinks of every frame of some experience, and which frames it would have labelled next."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from console.labels.thoughts import Origin
from policy.encoder import Encoder
from policy.errors import NudgeError
from policy.experience_file import EpisodeOutcome, ExperienceFile
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.evaluate import probabilities
from reward_classifier.frames import FrameTable, chosen_episodes, every_frame, relabelled
from reward_classifier.gate import BoundGate
from reward_classifier.hard_frames import DEFAULT, HardSettings, Suggestion, dealt_with, hard_frames
from reward_classifier.labels import Sayings, labels_of
from reward_classifier.threshold import paid_at, seen_episodes


class Opinions:
    """Probabilities of all frames of a table, episode by episode. One thread looks, others may read what is known.

    table: with every episode, whatever is said of it
    """

    def __init__(self, classifier: SuccessClassifier, table: FrameTable) -> None:
        self.table = table
        self._classifier = classifier
        self._probability = np.full(len(table), np.nan)
        data = classifier.facts.data
        held_out = dict(zip(data.episodes, data.out_of_fold, strict=False))  # older classifiers have none
        self._origins: list[Origin] = []
        self._known: list[int] = []
        for episode, digest in enumerate(table.digests):
            told = held_out.get(digest)
            if told is not None:
                self._probability[table.rows(episode)] = told
                self._known.append(episode)
            unknown = Origin.TAUGHT if digest in data.episodes else Origin.UNSEEN
            self._origins.append(unknown if told is None else Origin.HELD_OUT)

    @property
    def known(self) -> int:
        """Of how many episodes all is known."""
        return len(self._known)

    def look(self, experience: ExperienceFile, encoder: Encoder) -> Iterator[int]:
        """Look at the episodes of which nothing is known yet; gives each once it is. The experience of the table."""
        for episode in sorted(set(range(len(self.table.outcomes))) - set(self._known)):
            one = chosen_episodes(self.table, [episode])
            found = probabilities(self._classifier, experience, one, encoder)
            self._probability[self.table.rows(episode)] = found
            self._known.append(episode)
            yield episode

    def of(self, episode: int) -> NDArray[np.float64] | None:
        """Probabilities of an episode's frames (n,); None while they are not known."""
        return self._probability[self.table.rows(episode)] if episode in self._known else None

    def origin(self, episode: int) -> Origin:
        """Whose opinion of an episode it is."""
        return self._origins[episode]

    def suggestions(self, sayings: Sayings, settings: HardSettings = DEFAULT) -> list[Suggestion]:
        """Which frames of the known episodes to label next. sayings: what is said of them now"""
        known = sorted(self._known)
        if not known:
            return []
        table = relabelled(chosen_episodes(self.table, known), labels_of(sayings))
        facts = self._classifier.facts
        dealt = dealt_with(table, sayings, round(facts.created.timestamp() * 1e9))
        probability = np.concatenate([self._probability[self.table.rows(episode)] for episode in known])
        gate = BoundGate(facts.rule.gate, facts.contract)
        paid = [paid_at(seen, facts.rule) for seen in seen_episodes(table, probability, gate)]
        found = hard_frames(table, probability, dealt, facts.rule.threshold, paid, settings)
        return [_of_all(each, known) for each in found]


class Looking(threading.Thread):
    """A classifier that looks at one episode after the other: `label_thoughts.Thoughts` that come while one waits.

    hard: which frames it suggests
    """

    def __init__(
        self,
        classifier: SuccessClassifier,
        encoder: Encoder,
        path: Path,
        outcomes: Sequence[EpisodeOutcome],
        hard: HardSettings = DEFAULT,
    ) -> None:
        super().__init__(name="classifier", daemon=True)
        self.threshold = classifier.facts.rule.threshold
        self._classifier, self._encoder, self._hard = classifier, encoder, hard
        self._path, self._outcomes = path, outcomes
        self._opinions: Opinions | None = None  # at first, while the episodes are read
        self._trouble = ""
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look until all is known."""
        try:
            with closing(ExperienceFile(self._path)) as experience:
                opinions = self._opinions = Opinions(self._classifier, every_frame(experience, {}, self._outcomes))
                for _ in opinions.look(experience, self._encoder):
                    if self._stopping.is_set():
                        return
        except NudgeError as error:
            self._trouble = str(error)

    def stop(self) -> None:
        """End after the episode that it looks at."""
        self._stopping.set()
        self.join()

    @property
    def known(self) -> int:
        """Of how many episodes all is known."""
        return 0 if self._opinions is None else self._opinions.known

    @property
    def told(self) -> str:
        """How far it has come, for a person; why it has ended early; empty once all is known."""
        if self._trouble:
            return self._trouble
        if self._opinions is None:
            return "the classifier reads the episodes …"
        all_of_them = len(self._outcomes)
        known = self.known
        return "" if known == all_of_them else f"the classifier has looked at {known} of {all_of_them} episodes …"

    def of(self, place: int) -> NDArray[np.float64] | None:
        """Probabilities of an episode's frames; None while they are not known."""
        return None if self._opinions is None else self._opinions.of(place)

    def origin(self, place: int) -> Origin:
        """Whose opinion it is, of an episode that it has looked at."""
        assert self._opinions is not None
        return self._opinions.origin(place)

    def suggestions(self, sayings: Sayings) -> list[Suggestion]:
        """Which frames to label next, by what is known now."""
        return [] if self._opinions is None else self._opinions.suggestions(sayings, self._hard)


def _of_all(suggestion: Suggestion, known: list[int]) -> Suggestion:
    """The same, its episode counted among all."""
    return Suggestion(
        known[suggestion.episode], suggestion.step, suggestion.why, suggestion.probability, suggestion.told
    )
