"""The frames of labelled episodes, as a table without pictures: those stay in the experience until they are encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nudge.v1 import learner_pb2 as pb
from policy.experience import Observation
from policy.experience_file import EpisodeOutcome, EpisodeSelection, ExperienceFile
from policy.step_schema import StoreDamaged
from reward_classifier.errors import TrainingRefused
from reward_classifier.labels import EpisodeKey, Label, Labels

UNLABELLED, NEGATIVE, POSITIVE = -1, 0, 1
_CLASSES = {Label.NEGATIVE: NEGATIVE, Label.POSITIVE: POSITIVE, Label.UNSURE: UNLABELLED}
EVERY_EPISODE = EpisodeSelection()
FEWEST_EPISODES = 3  # with frames of a class: to learn from, to say when to stop, and to be tried


@dataclass(frozen=True, slots=True, eq=False)
class FrameTable:
    """N frames of E episodes, by episode and then by step.

    outcomes: (E,); digests: (E,), of each one's pictures and proprioception, whatever it is called
    episode: (N,), 0..E-1; step: (N,); label: (N,), 1, 0 or -1 for none; proprioception: (N, P), not normalised
    """

    outcomes: tuple[EpisodeOutcome, ...]
    digests: tuple[str, ...]
    episode: NDArray[np.int64]
    step: NDArray[np.int64]
    label: NDArray[np.int64]
    proprioception: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.step)

    @property
    def success(self) -> NDArray[np.bool_]:
        """Of each episode: (E,)."""
        return np.array([outcome.success for outcome in self.outcomes])

    def rows(self, episode: int) -> slice:
        """Where an episode's frames stand."""
        first, end = np.searchsorted(self.episode, [episode, episode + 1])
        return slice(int(first), int(end))

    def count(self, label: int) -> int:
        """Frames of a class."""
        return int((self.label == label).sum())


def read_frames(experience: ExperienceFile, labels: Labels, selection: EpisodeSelection = EVERY_EPISODE) -> FrameTable:
    """The table of the episodes that are meant and have labels. Raise `TrainingRefused` where none has."""
    outcomes = experience.outcomes(selection)
    labelled = [each for each in outcomes if EpisodeKey(each.session, each.episode) in labels]
    if not labelled:
        raise TrainingRefused(
            f"labels: none of {len(outcomes)} episodes has any, expected some of either class; label them first, "
            f"`nudge classifier label --from-key` takes what the operator's key said"
        )
    return every_frame(experience, labels, labelled)


def every_frame(experience: ExperienceFile, labels: Labels, outcomes: Sequence[EpisodeOutcome]) -> FrameTable:
    """The table of these episodes, whether anything is said of them or not; there must be one."""
    width = 4 * len(experience.contract.proprioception)
    digests, steps, rows = [], [], []
    for outcome in outcomes:
        digest = hashlib.sha256()
        seen = list(_observations(experience.messages(outcome.id)))
        for message in seen:
            if len(message.proprioception) != width:
                raise StoreDamaged(f"episode {outcome.session[:8]}/{outcome.episode}: got proprioception of "
                                   f"{len(message.proprioception)} bytes, expected {width}")  # fmt: skip
            rows.append(np.frombuffer(message.proprioception, "<f4"))
            digest.update(message.proprioception)
            for frame in sorted(message.frames, key=lambda frame: frame.camera):
                digest.update(frame.png)
        digests.append(digest.hexdigest())
        steps.append(np.arange(len(seen)))
    return FrameTable(
        outcomes=tuple(outcomes),
        digests=tuple(digests),
        episode=np.repeat(np.arange(len(outcomes)), [len(each) for each in steps]),
        step=np.concatenate(steps),
        label=_classes(labels, outcomes, [len(each) for each in steps]),
        proprioception=np.array(rows, np.float32),
    )


def unseen_table(outcomes: Sequence[EpisodeOutcome]) -> FrameTable:
    """The table of these episodes without a look at them: no digest, no proprioception, and no label yet."""
    lengths = [outcome.steps + 1 for outcome in outcomes]
    return FrameTable(
        outcomes=tuple(outcomes),
        digests=tuple("" for _ in outcomes),
        episode=np.repeat(np.arange(len(outcomes)), lengths),
        step=np.concatenate([np.arange(length) for length in lengths]),
        label=np.full(sum(lengths), UNLABELLED, np.int64),
        proprioception=np.empty((sum(lengths), 0), np.float32),
    )


def relabelled(table: FrameTable, labels: Labels) -> FrameTable:
    """The same frames with other labels."""
    lengths = np.bincount(table.episode, minlength=len(table.outcomes)).tolist()
    return replace(table, label=_classes(labels, table.outcomes, lengths))


def chosen_episodes(table: FrameTable, episodes: Sequence[int]) -> FrameTable:
    """A table of some of its episodes, given in ascending order. Raise `TrainingRefused` where there are none."""
    if not len(episodes):
        raise TrainingRefused(
            f"episodes: none of {len(table.outcomes)} is left, expected at least one; label other experience"
        )
    rows = np.flatnonzero(np.isin(table.episode, episodes))
    return FrameTable(
        outcomes=tuple(table.outcomes[episode] for episode in episodes),
        digests=tuple(table.digests[episode] for episode in episodes),
        episode=np.searchsorted(episodes, table.episode[rows]),
        step=table.step[rows],
        label=table.label[rows],
        proprioception=table.proprioception[rows],
    )


def require_trainable(table: FrameTable) -> None:
    """Raise `TrainingRefused` unless both classes can be learned from some episodes and tried on others."""
    for label, name, cure in ((POSITIVE, "positive", "that succeed"), (NEGATIVE, "negative", "that fail")):
        episodes = len(np.unique(table.episode[table.label == label]))
        if episodes == 0:
            raise TrainingRefused(
                f"{name} frames: got none in {len(table.outcomes)} labelled episodes, expected some 200 positive and "
                f"1,000 negative ones; record and label episodes {cure}"
            )
        if episodes < FEWEST_EPISODES:
            raise TrainingRefused(
                f"{name} frames: got them in {episodes} of {len(table.outcomes)} episodes, expected at least "
                f"{FEWEST_EPISODES}: a classifier is tried, and its training is stopped, on episodes that it does not "
                f"learn from; record and label more {cure}"
            )


def observations(experience: ExperienceFile, outcome: EpisodeOutcome) -> list[Observation]:
    """All that was seen in an episode, pictures included: one more than its steps."""
    steps = experience.episode(outcome.id)
    last = steps[-1].final
    return [*(step.observation for step in steps), *([last] if last is not None else [])]


def _observations(messages: Sequence[pb.Step]) -> Iterator[pb.Observation]:
    for message in messages:
        yield message.observation
        if message.HasField("final_observation"):
            yield message.final_observation


def _classes(labels: Labels, outcomes: Sequence[EpisodeOutcome], lengths: Sequence[int]) -> NDArray[np.int64]:
    """What is learned from each frame of these episodes: (N,) of 1, 0 and -1."""
    told = (labels.get(EpisodeKey(outcome.session, outcome.episode), {}) for outcome in outcomes)
    classes = [
        _CLASSES[known.get(step, Label.UNSURE)]
        for known, length in zip(told, lengths, strict=True)
        for step in range(length)
    ]
    return np.array(classes, np.int64)
