"""What a classifier thinks of every frame of some experience, and which frames it would have labelled next."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from policy.encoder import Encoder
from policy.experience_file import ExperienceFile
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.evaluate import probabilities
from reward_classifier.frames import FrameTable, chosen_episodes, relabelled
from reward_classifier.hard_frames import DEFAULT, HardSettings, Suggestion, dealt_with, hard_frames
from reward_classifier.judge import Rule
from reward_classifier.labels import Sayings


class Origin(StrEnum):
    """Whose opinion it is: the values are for people."""

    HELD_OUT = "by networks that had not learned from this episode"
    UNSEEN = "the classifier has not learned from this episode"
    TAUGHT = "the classifier has learned from this episode, which hides its mistakes there"


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
    def rule(self) -> Rule:
        """When an episode is paid for."""
        return self._classifier.facts.rule

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
        labels = {key: {frame: said.label for frame, said in frames.items()} for key, frames in sayings.items()}
        table = relabelled(chosen_episodes(self.table, known), labels)
        facts = self._classifier.facts
        dealt = dealt_with(table, sayings, round(facts.created.timestamp() * 1e9))
        probability = np.concatenate([self._probability[self.table.rows(episode)] for episode in known])
        found = hard_frames(table, probability, dealt, facts.rule, facts.contract, settings)
        return [_of_all(each, known) for each in found]


def _of_all(suggestion: Suggestion, known: list[int]) -> Suggestion:
    """The same, its episode counted among all."""
    return Suggestion(
        known[suggestion.episode], suggestion.step, suggestion.why, suggestion.probability, suggestion.told
    )
