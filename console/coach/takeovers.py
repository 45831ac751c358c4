"""The coach's rules of how a person helps: when, for how long, and who ends the task.

In a run's first episodes that is another matter than later: led to their end, ever fewer of them, a policy learned
better (docs/results.md). So `lead_first` looks at these alone, and the others never do.
"""

from __future__ import annotations

from statistics import median

from console.coach.advice import Severity
from console.coach.evidence import RunEvidence, TakeoverEvidence
from console.coach.seen import Lacks, Outcome, Seen, histogram, thinned
from console.coach.settings import CoachSettings, OperatorThresholds
from console.statistics import running_average


def lead_first(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """In the first episodes a hand is to lead the arm to the end of the task, ever more rarely."""
    operator = settings.operator
    online = evidence.online_places()
    if len(online) >= operator.guided_episodes:
        return None
    if len(online) < operator.lead_window:
        return Lacks(f"{len(online)} training episodes so far, {operator.lead_window} are needed")
    recent = online[-operator.lead_window :]
    ended_by_hand = {it.episode for it in evidence.takeovers if _ends(it, evidence.episodes[it.episode].steps)}
    led = sum(episode in ended_by_hand for episode in recent)
    alone = sum(evidence.episodes[episode].alone for episode in recent) / len(recent)
    expected = sum(1 - place / operator.guided_episodes for place in range(len(online) - len(recent), len(online)))
    if led >= operator.lead_share * expected or alone > operator.lead_until:
        return None
    shares = running_average([episode in ended_by_hand for episode in online], operator.lead_window)
    return Seen(
        Severity.HINT,
        f"in {led} of the last {len(recent)} training episodes you drove to the end, a hand that leads at first would "
        f"have in {expected:.0f}; alone the policy succeeded in {alone:.0%}",
        {"led": float(led), "expected": expected, "alone_share": alone},
        thinned(
            f"Share of the last {operator.lead_window} episodes that a hand ended",
            "training episodes",
            [float(index) for index in range(1, len(online) + 1)],
            [float(value) for value in shares],
        ),
    )


def explore_first(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """The policy is to act alone for a while before it is helped."""
    operator = settings.operator
    first = list(_by_episode(_looked_at(evidence, operator)).values())
    if len(first) < operator.fewest:
        return _too_few(evidence, operator, len(first), "helped episodes")
    begun = [takeovers[0].first_step for takeovers in first]
    early = sum(step < operator.explore_steps for step in begun) / len(begun)
    if early <= operator.early_share:
        return None
    return Seen(
        Severity.IMPORTANT,
        f"in {early:.0%} of the last {len(begun)} helped episodes the first takeover came before step "
        f"{operator.explore_steps}, in half of them by step {median(begun):g}",
        {"early_share": early, "median_first_step": float(median(begun))},
        histogram(
            "First takeover of an episode", "step", begun, 5, evidence.max_episode_steps, float(operator.explore_steps)
        ),
    )


def brief_takeovers(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """Brief and frequent, not long and rare."""
    operator = settings.operator
    lengths = [takeover.steps for takeover in _looked_at(evidence, operator)]
    if len(lengths) < operator.fewest:
        return _too_few(evidence, operator, len(lengths), "takeovers")
    share = sum(steps > operator.long_steps for steps in lengths) / len(lengths)
    if share <= operator.long_share:
        return None
    return Seen(
        Severity.IMPORTANT,
        f"{share:.0%} of the last {len(lengths)} takeovers were longer than {operator.long_steps} steps "
        f"({operator.long_steps / evidence.control_hz:g} s); the median is {median(lengths):g}, the longest "
        f"{max(lengths)}",
        {"long_share": share, "median_steps": float(median(lengths)), "longest_steps": float(max(lengths))},
        histogram("Length of takeovers", "steps", lengths, 5, evidence.max_episode_steps, float(operator.long_steps)),
    )


def finished_by_hand(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """The policy is to end the task itself."""
    operator = settings.operator
    helped = {
        episode: takeovers[-1]
        for episode, takeovers in _by_episode(_looked_at(evidence, operator)).items()
        if evidence.episodes[episode].success
    }
    if len(helped) < operator.fewest:
        return _too_few(evidence, operator, len(helped), "helped successes")
    by_hand = [it.steps for episode, it in helped.items() if _ends(it, evidence.episodes[episode].steps)]
    share = len(by_hand) / len(helped)
    if share <= operator.by_hand_share:
        return None
    return Seen(
        Severity.IMPORTANT,
        f"{len(by_hand)} of the last {len(helped)} helped successes ended while you drove, after {median(by_hand):g} "
        f"steps by hand in the median",
        {"by_hand_share": share, "median_last_takeover_steps": float(median(by_hand))},
        histogram("Takeovers that ended the task", "steps", by_hand, 5, evidence.max_episode_steps),
    )


def _by_episode(takeovers: list[TakeoverEvidence]) -> dict[int, list[TakeoverEvidence]]:
    found: dict[int, list[TakeoverEvidence]] = {}
    for takeover in takeovers:
        found.setdefault(takeover.episode, []).append(takeover)
    return found


def _ends(takeover: TakeoverEvidence, steps: int) -> bool:
    return takeover.first_step + takeover.steps == steps


def _looked_at(evidence: RunEvidence, operator: OperatorThresholds) -> list[TakeoverEvidence]:
    return evidence.recent_takeovers(operator.episodes, after=operator.guided_episodes)


def _too_few(evidence: RunEvidence, operator: OperatorThresholds, there: int, of_what: str) -> Outcome:
    """Who does not help any more needs no advice on helping; who has hardly begun cannot be judged."""
    if len(evidence.online()) - operator.guided_episodes >= operator.fewest:
        return None
    after = f" after the first {operator.guided_episodes} training episodes" if operator.guided_episodes else ""
    return Lacks(f"{there} {of_what}{after} so far, {operator.fewest} are needed")
