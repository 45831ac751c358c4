"""The coach's rules of the learner: values, randomness, ratio, and how old the weights are that act."""

from __future__ import annotations

from statistics import median

from console.coach.advice import Severity
from console.coach.evidence import RunEvidence
from console.coach.seen import Lacks, Outcome, Seen, flagged_share, metric_curve, thinned
from console.coach.settings import CoachSettings, LearnerThresholds


def value_above_bound(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """No return is larger than the reward."""
    share = flagged_share(evidence.metrics, "q_above_bound", settings.learner)
    if share is None or share < settings.learner.flagged_share:
        return _unless_judged(share, settings.learner)
    q_mean, q_max = _newest(evidence, "q_mean"), _newest(evidence, "q_max")
    return Seen(
        Severity.URGENT,
        f"Q is {q_mean:.3g} on average and {q_max:.3g} at most, in the newest reading; no return exceeds "
        f"{evidence.q_bound:g}",
        {"q_mean": q_mean, "q_max": q_max, "q_bound": evidence.q_bound, "flagged_share": share},
        metric_curve(evidence.metrics, "q_mean", "Q, mean [return]", evidence.q_bound),
    )


def entropy_collapse(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """The policy keeps some randomness while it learns."""
    share = flagged_share(evidence.metrics, "entropy_collapsed", settings.learner)
    if share is None or share < settings.learner.flagged_share:
        return _unless_judged(share, settings.learner)
    entropy, temperature = _newest(evidence, "entropy"), _newest(evidence, "temperature")
    return Seen(
        Severity.URGENT,
        f"entropy is {entropy:.3g} nat, expected at least {evidence.entropy_floor_nat:.3g}; the temperature is "
        f"{temperature:.2g}",
        {"entropy_nat": entropy, "temperature": temperature, "flagged_share": share},
        metric_curve(evidence.metrics, "entropy", "Policy entropy [nat]", evidence.entropy_floor_nat),
    )


def utd_starved(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """The learner keeps the configured ratio of updates to steps."""
    share = flagged_share(evidence.metrics, "utd_starved", settings.learner)
    if share is None or share < settings.learner.flagged_share:
        return _unless_judged(share, settings.learner)
    ratio, behind = _newest(evidence, "recent_utd"), _newest(evidence, "steps_behind")
    return Seen(
        Severity.IMPORTANT,
        f"{ratio:.2g} updates for each new step instead of {evidence.utd:g}; the updates of {behind:,.0f} steps are "
        "owed",
        {"recent_utd": ratio, "configured_utd": evidence.utd, "steps_behind": behind, "flagged_share": share},
        metric_curve(evidence.metrics, "recent_utd", "Updates for each new step", evidence.utd),
    )


def stale_weights(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """The arm acts with weights that are about as new as the learner publishes them."""
    learner = settings.learner
    ages = [float(age) for use in evidence.weights for age in range(use.steps)]
    if len(ages) < learner.weights_steps:
        return Lacks(f"{len(ages)} training steps so far, {learner.weights_steps} are needed")
    age = median(ages[-learner.weights_steps :])
    limit = max(learner.weights_age_steps, learner.weights_age_factor * evidence.steps_per_publication)
    if age <= limit:
        return None
    return Seen(
        Severity.IMPORTANT,
        f"half of the last {learner.weights_steps} steps were taken with weights that had been in use for "
        f"{age:.0f} steps or more; the settings publish new ones every {evidence.steps_per_publication:.0f} steps",
        {"median_age_steps": float(age), "steps_per_publication": evidence.steps_per_publication},
        thinned("Age of the acting weights [steps]", "training steps", _counted(len(ages)), ages, limit),
    )


def _unless_judged(share: float | None, learner: LearnerThresholds) -> Outcome:
    return Lacks(f"fewer than {learner.fewest} readings of the learner's health") if share is None else None


def _newest(evidence: RunEvidence, name: str) -> float:
    """The newest reading of a metric; not a number where there is none."""
    found = [record.metrics[name] for record in evidence.metrics if name in record.metrics]
    return found[-1] if found else float("nan")


def _counted(count: int) -> list[float]:
    return [float(number) for number in range(1, count + 1)]
