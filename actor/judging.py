"""The reward classifier as the judge of a run: its opinion on each observation, as the control loop asks for it."""

from __future__ import annotations

from actor.errors import ActorError
from actor.shared_maps import SharedMaps
from policy.experience import Observation
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.judge import Opinion


class ClassifierJudge:
    """Says whether an episode succeeds with what is seen now. A `RewardJudge`; one thread.

    maps: of the encoder that the classifier was trained on
    newest: its opinion of what was seen last, for whoever watches; None before the first
    """

    def __init__(self, classifier: SuccessClassifier, maps: SharedMaps) -> None:
        rule = classifier.facts.rule
        if rule.k == 1 and rule.minimum_step == 0:
            raise ActorError(
                f"classifier {classifier.facts.name[:12]}: its rule may pay for the frame before the first "
                f"step, and no step could get that reward; train it again with --rule.minimum-step 1 or more"
            )
        self._classifier, self._maps, self._judge = classifier, maps, classifier.judge()
        self.newest: Opinion | None = None

    def begin(self, first: Observation) -> None:
        """A new episode. first: what is seen before its first step"""
        self._judge.begin()
        self.opinion(first)

    def opinion(self, seen: Observation) -> Opinion:
        """What it thinks of the next observation of the episode."""
        maps = self._maps(seen).cpu()  # (cameras, 1, channels, h, w)
        probability = float(self._classifier.probability(maps, seen.proprioception[None])[0])
        self.newest = opinion = self._judge.tick(probability, seen.proprioception)
        return opinion
