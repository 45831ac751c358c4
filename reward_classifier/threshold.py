"""The rule is chosen on episodes that the networks never saw, for a stated share of false positives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy.contract import Frozen
from policy.statistics import wilson_interval
from reward_classifier.calibration import probability_of
from reward_classifier.frames import NEGATIVE, FrameTable
from reward_classifier.gate import BoundGate, Gate
from reward_classifier.judge import Rule
from reward_classifier.settings import RuleSettings

# Logits of the thresholds that are tried: probabilities 0.7 % to 99.3 %.
CANDIDATES = np.linspace(-5, 5, 81, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One episode as the judge sees it, (n,) each. negative: known to show no success, paid there it is paid wrongly"""

    probability: NDArray[np.float64]
    gate: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    success: bool


class EpisodeFigures(Frozen):
    """How a rule does on whole episodes, with 95 % intervals (Wilson)."""

    episodes: int
    successes: int
    false_positives: int
    false_positive_low: float
    false_positive_high: float
    found: int
    found_low: float
    found_high: float
    early_steps: float | None


def seen_episodes(table: FrameTable, probability: NDArray[np.float64], gate: BoundGate) -> list[Seen]:
    """All episodes of a table. probability: (N,)."""
    passes = gate.passes(table.proprioception)
    rows = [table.rows(index) for index in range(len(table.outcomes))]
    return [
        Seen(probability[here], passes[here], table.label[here] == NEGATIVE, outcome.success)
        for here, outcome in zip(rows, table.outcomes, strict=True)
    ]


def paid_at(seen: Seen, rule: Rule) -> int | None:
    """The frame at which the judge pays; None where it never does. The same as `Judge`, frame by frame, but faster."""
    votes = np.concatenate([[0], np.cumsum(seen.probability >= rule.threshold)])
    end = np.arange(1, len(votes))
    enough = votes[end] - votes[np.maximum(end - rule.n, 0)] >= rule.k
    pays = np.flatnonzero(enough & seen.gate & (end > rule.minimum_step))
    return int(pays[0]) if len(pays) else None


def episode_figures(episodes: Sequence[Seen], rule: Rule) -> EpisodeFigures:
    """What a rule comes to."""
    paid = [(each, paid_at(each, rule)) for each in episodes]
    false = sum(at is not None and bool(each.negative[at]) for each, at in paid)
    successes = sum(each.success for each in episodes)
    right = [(each, at) for each, at in paid if each.success and at is not None and not each.negative[at]]
    false_low, false_high = wilson_interval(false, len(episodes))
    found_low, found_high = wilson_interval(len(right), successes) if successes else (0.0, 1.0)
    return EpisodeFigures(
        episodes=len(episodes),
        successes=successes,
        false_positives=false,
        false_positive_low=false_low,
        false_positive_high=false_high,
        found=len(right),
        found_low=found_low,
        found_high=found_high,
        early_steps=float(np.median([len(each.probability) - 1 - at for each, at in right])) if right else None,
    )


def choose_rule(episodes: Sequence[Seen], gate: Gate, settings: RuleSettings) -> Rule:
    """A rule with at most the stated share of false positives that misses hardly a success that another one finds.

    Of windows that have such thresholds the one with the most of them, then the shortest; of its thresholds the middle
    one, in logits: the one that is farthest from doing worse. Where no rule keeps the stated share, of those with the
    fewest false positives.
    """
    tried = [
        [
            Rule(threshold=float(probability), k=k, n=n, minimum_step=settings.minimum_step, gate=gate)
            for probability in probability_of(CANDIDATES, 1.0)
        ]
        for k, n in settings.windows
    ]
    figures = [[episode_figures(episodes, rule) for rule in rules] for rules in tried]
    every = [each for row in figures for each in row]
    asked = settings.false_positives_per_episode * len(episodes)
    most_false = max(asked, min(each.false_positives for each in every))
    most_found = max(each.found for each in every if each.false_positives <= most_false)
    least_found = most_found - settings.missed_successes * sum(each.success for each in episodes)
    good = [
        [rule for rule, each in zip(rules, row, strict=True)
         if each.false_positives <= most_false and each.found >= least_found]
        for rules, row in zip(tried, figures, strict=True)
    ]  # fmt: skip
    best = max((rules for rules in good if rules), key=lambda rules: (len(rules), -rules[0].n))
    return best[len(best) // 2]
