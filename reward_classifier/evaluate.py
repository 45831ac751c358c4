"""How a classifier does on other experience, with the rule that it pays by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy.encoder import Encoder
from policy.experience_file import ExperienceFile
from policy.features import Featurizer
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.drift import drifted, mean_colours
from reward_classifier.errors import TrainingRefused
from reward_classifier.features import PAGE, Watch
from reward_classifier.figures import Figures, frame_figures, worst_mistakes
from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable, chosen_episodes, observations
from reward_classifier.gate import BoundGate
from reward_classifier.threshold import episode_figures, seen_episodes


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was found. drift: a sentence for each camera that sees another light than in training"""

    figures: Figures
    drift: list[str]


def evaluate_classifier(
    classifier: SuccessClassifier,
    experience: ExperienceFile,
    table: FrameTable,
    encoder: Encoder,
    watch: Watch = iter,
) -> Evaluated:
    """Figures on labelled experience that the classifier has not learned from.

    Raise `TrainingRefused` for an episode that it has, or where a class has no frames; `ContractMismatch` for another
    contract.
    """
    facts = classifier.facts
    experience.contract.require_equal(facts.contract, "this experience", "the classifier")
    _require_unseen(table, facts.data.episodes)
    for label, name in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
        if not table.count(label):
            raise TrainingRefused(f"{name} frames: got none, expected some; label episodes of either outcome")
    probability = probabilities(classifier, experience, table, encoder, watch)
    labelled = table.label >= 0
    seen = seen_episodes(table, probability, BoundGate(facts.rule.gate, facts.contract))
    figures = Figures(
        frames=frame_figures(probability[labelled], table.label[labelled], facts.rule.threshold),
        episodes=episode_figures(seen, facts.rule),
        mistakes=worst_mistakes(table, probability),
    )
    return Evaluated(figures, drifted(facts.data.colours, mean_colours(experience, table.outcomes)))


def unseen(table: FrameTable, classifier: SuccessClassifier) -> FrameTable:
    """Only the episodes that the classifier has not learned from."""
    learned = set(classifier.facts.data.episodes)
    return chosen_episodes(table, [index for index, digest in enumerate(table.digests) if digest not in learned])


def probabilities(
    classifier: SuccessClassifier, experience: ExperienceFile, table: FrameTable, encoder: Encoder, watch: Watch = iter
) -> NDArray[np.float64]:
    """Of all frames of a table: (N,). In memory are never more than those of an episode."""
    featurizer = Featurizer(encoder, None, experience.contract)
    found = np.empty(len(table))
    for episode in watch(range(len(table.outcomes))):
        here = table.rows(episode)
        frames = np.stack(
            [featurizer.stack(seen.frames) for seen in observations(experience, table.outcomes[episode])], 1
        )
        for start in range(0, frames.shape[1], PAGE):
            rows = slice(here.start + start, min(here.start + start + PAGE, here.stop))
            maps = featurizer.maps(frames[:, start : start + PAGE]).cpu()
            found[rows] = classifier.probability(maps, table.proprioception[rows])
    return found


def _require_unseen(table: FrameTable, learned: Collection[str]) -> None:
    known = set(learned)
    leaked = [it for it, digest in zip(table.outcomes, table.digests, strict=True) if digest in known]
    if leaked:
        names = ", ".join(f"{it.session[:8]}/{it.episode}" for it in leaked[:5])
        raise TrainingRefused(
            f"{len(leaked)} of {len(table.outcomes)} episodes: the classifier has learned from them ({names}"
            f"{', ...' if len(leaked) > 5 else ''}), so they say nothing of how good it is; take other experience, or "
            f"leave them out with --unseen"
        )
