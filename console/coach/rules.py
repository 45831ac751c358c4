"""The coach: from the evidence of a run to advice. A pure function of frozen data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from console.coach import desk, learner, places, progress, takeovers
from console.coach.advice import Advice, Coaching, NotJudged
from console.coach.catalogue import RULES
from console.coach.evidence import RunEvidence
from console.coach.seen import Lacks, Outcome, Seen
from console.coach.settings import CoachSettings

JUDGES: Mapping[str, Callable[[RunEvidence, CoachSettings], Outcome]] = {
    "collapse": progress.collapse,
    "value_above_bound": learner.value_above_bound,
    "entropy_collapse": learner.entropy_collapse,
    "camera_drift": desk.camera_drift,
    "judge_disagrees": desk.judge_disagrees,
    "reward_too_rare": progress.reward_too_rare,
    "lead_first": takeovers.lead_first,
    "brief_takeovers": takeovers.brief_takeovers,
    "finished_by_hand": takeovers.finished_by_hand,
    "explore_first": takeovers.explore_first,
    "help_not_falling": progress.help_not_falling,
    "stale_weights": learner.stale_weights,
    "utd_starved": learner.utd_starved,
    "clipped_actions": desk.clipped_actions,
    "weak_cells": places.weak_cells,
    "few_demos": desk.few_demos,
    "slow_demos": desk.slow_demos,
}


def advise(evidence: RunEvidence, settings: CoachSettings | None = None) -> Coaching:
    """All that there is to say of a run, what matters most first; of a good one nothing."""
    chosen = settings or CoachSettings()
    outcomes = {name: judge(evidence, chosen) for name, judge in JUDGES.items()}
    advice = [_advice(name, outcome) for name, outcome in outcomes.items() if isinstance(outcome, Seen)]
    return Coaching(
        run=evidence.run,
        advice=tuple(sorted(advice, key=lambda each: each.severity.rank)),
        not_judged=tuple(NotJudged(rule=name, lacks=it.what) for name, it in outcomes.items() if isinstance(it, Lacks)),
        content=tuple(name for name, outcome in outcomes.items() if outcome is None),
    )


def _advice(name: str, seen: Seen) -> Advice:
    rule = RULES[name]
    return Advice(
        rule=name,
        severity=seen.severity,
        title=rule.title,
        seen=seen.text,
        figures=seen.figures,
        evidence=seen.evidence,
        why=rule.why,
        sources=rule.sources,
        do=rule.do,
    )
