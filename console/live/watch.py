"""What a classifier and its judge say of what is seen, tick by tick: an iterator without page or clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np

from policy.encoder import Encoder
from policy.experience import Observation
from policy.features import Featurizer
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.gate import Limits
from reward_classifier.judge import Opinion


@dataclass(frozen=True, slots=True)
class Seen:
    """What the arm and its cameras showed at a tick.

    where: what it is, for a person; begins: whether it is the first of an episode
    """

    observation: Observation
    where: str
    begins: bool


@dataclass(frozen=True, slots=True)
class GateValue:
    """A dimension of which the gate says what it must be.

    share, low_share, high_share: where it and its limits lie in the contract's range of 0..1; no limit is infinite
    """

    limits: Limits
    value: float
    share: float
    low_share: float
    high_share: float

    @property
    def holds(self) -> bool:
        """Whether it is as it must be."""
        low, high = self.limits.low, self.limits.high
        return (low is None or self.value >= low) and (high is None or self.value <= high)


@dataclass(frozen=True, slots=True)
class Watched:
    """A tick with the judge's opinion.

    votes: whether each of the last n frames looks like success, the oldest first; fewer at the begin of an episode
    paid: the opinion that paid for this episode, now or before; None where none has
    """

    seen: Seen
    opinion: Opinion
    votes: tuple[bool, ...]
    gate: tuple[GateValue, ...]
    paid: Opinion | None


def watch(
    seen: Iterable[Seen], classifier: SuccessClassifier, encoder: Encoder, *, endless: bool = False
) -> Generator[Watched]:
    """The opinion on each tick.

    endless: nobody says where an episode ends, as while a person moves the arm: the judge begins anew once it has paid
        and none of the last n frames looks like success any more
    """
    rule, contract = classifier.facts.rule, classifier.facts.contract
    featurizer, judge = Featurizer(encoder, None, contract), classifier.judge()
    votes: deque[bool] = deque(maxlen=rule.n)
    paid: Opinion | None = None
    for each in seen:
        if each.begins or (endless and paid and not any(votes)):
            judge.begin()
            votes.clear()
            paid = None
        proprioception = each.observation.proprioception
        maps = featurizer.maps(featurizer.stack(each.observation.frames)[:, None]).cpu()  # (cameras, 1, channels, h, w)
        probability = float(classifier.probability(maps, proprioception[None])[0])
        opinion = judge.tick(probability, proprioception)
        votes.append(probability >= rule.threshold)
        paid = opinion if opinion.pays else paid
        yield Watched(each, opinion, tuple(votes), _gate(classifier, each.observation), paid)


def _gate(classifier: SuccessClassifier, observation: Observation) -> tuple[GateValue, ...]:
    dimensions = classifier.facts.contract.proprioception
    names = [dimension.name for dimension in dimensions]
    found = []
    for limits in classifier.facts.rule.gate.limits:
        column = names.index(limits.dimension)
        low, high = dimensions[column].low, dimensions[column].high
        value = float(observation.proprioception[column])
        ends = (-np.inf if limits.low is None else limits.low, np.inf if limits.high is None else limits.high)
        share, low_share, high_share = ((at - low) / (high - low) for at in (value, *ends))
        found.append(GateValue(limits, value, share, float(low_share), float(high_share)))
    return tuple(found)


def told_line(watched: Watched) -> str:
    """A tick as a line of text."""
    bar = "█" * round(20 * watched.opinion.probability)
    votes = "".join("●" if vote else "○" for vote in watched.votes)
    verdict = "PAYS: " if watched.opinion.pays else ""
    return (
        f"{watched.seen.where}  {watched.opinion.probability:.2f} {bar:<20} {votes:<5} {verdict}{watched.opinion.told}"
    )
