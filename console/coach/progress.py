"""The coach's rules of progress: is there reward, does help fall, does success hold."""

from __future__ import annotations

import numpy as np

from console.coach.advice import Severity
from console.coach.evidence import CheckpointResult, RunEvidence
from console.coach.seen import Lacks, Outcome, Seen, thinned
from console.coach.settings import CoachSettings, ProgressThresholds
from console.compare.statistics import newcombe_difference
from console.statistics import running_average, running_ratio

FEWEST_TRIALS = 20  # below, an evaluation proves no decline


def reward_too_rare(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """At least every third episode should be rewarded."""
    progress = settings.progress
    online = evidence.online()
    recent = online[-progress.reward_episodes :]
    if len(recent) < progress.reward_fewest:
        return Lacks(f"{len(recent)} training episodes so far, {progress.reward_fewest} are needed")
    rewarded = sum(episode.success for episode in recent)
    share = rewarded / len(recent)
    if share >= progress.reward_share:
        return None
    shares = running_average([episode.success for episode in online], progress.reward_episodes)
    return Seen(
        Severity.IMPORTANT,
        f"{rewarded} of the last {len(recent)} training episodes had reward ({share:.0%}), helped ones included; "
        f"expected at least {progress.reward_share:.0%}",
        {"reward_share": share},
        thinned(
            f"Share of the last {progress.reward_episodes} episodes with reward",
            "training episodes",
            [float(index) for index in range(1, len(online) + 1)],
            [float(value) for value in shares],
            progress.reward_share,
        ),
    )


def help_not_falling(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """The share of human steps should fall."""
    progress = settings.progress
    online, window = evidence.online(), progress.falling_episodes
    if len(online) < progress.falling_fewest:
        return Lacks(f"{len(online)} training episodes so far, {progress.falling_fewest} are needed")
    shares = running_ratio([it.human_steps for it in online], [it.steps for it in online], window)
    first, last = float(shares[window - 1]), float(shares[-1])
    if last < progress.falling_floor or last < progress.falling_share * first:
        return None
    return Seen(
        Severity.IMPORTANT,
        f"you drove {first:.0%} of the steps in the first {window} training episodes, and {last:.0%} in the last "
        f"{window} of {len(online)}",
        {"first_share": first, "last_share": last},
        thinned(
            f"Share of steps by the operator, last {window} episodes",
            "training episodes",
            [float(index) for index in range(window, len(online) + 1)],
            [float(value) for value in shares[window - 1 :]],
            progress.falling_floor,
        ),
    )


def collapse(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """Success that was reached should stay. Evaluations tell it best; where there are none, training does."""
    rated = [each for each in evidence.checkpoints if each.trials >= FEWEST_TRIALS]
    declined = _declined_evaluations(rated) if len(rated) > 1 else None
    if declined is not None:
        return declined
    progress, episodes = settings.progress, len(evidence.online())
    if episodes >= 2 * progress.collapse_episodes:
        return _declined_training(evidence, progress)
    if len(rated) > 1:
        return None
    return Lacks(
        f"{episodes} training episodes and {len(rated)} evaluated checkpoints so far; {2 * progress.collapse_episodes} "
        f"or 2 are needed (`nudge eval --evaluation.checkpoint all`)"
    )


def _declined_evaluations(rated: list[CheckpointResult]) -> Outcome:
    best, newest = max(rated, key=lambda each: (_rate(each), each.updates)), rated[-1]
    interval = newcombe_difference(newest.successes, newest.trials, best.successes, best.trials)
    if best is newest or interval.high >= 0:
        return None
    return Seen(
        Severity.URGENT,
        f"the checkpoint of {best.updates:,} updates came to {best.successes}/{best.trials}, the newest evaluated one "
        f"of {newest.updates:,} to {newest.successes}/{newest.trials}",
        {"best_updates": float(best.updates), "best_rate": _rate(best), "newest_rate": _rate(newest)},
        thinned(
            "Success on the fixed evaluation",
            "updates",
            [float(each.updates) for each in rated],
            [_rate(each) for each in rated],
            _rate(best),
        ),
    )


def _declined_training(evidence: RunEvidence, progress: ProgressThresholds) -> Outcome:
    online, window = evidence.online(), progress.collapse_episodes
    shares = running_average([episode.alone for episode in online], window)[window - 1 :]  # full windows only
    best_at = int(np.argmax(shares[: len(shares) - window]))  # windows that share no episode with the last
    best, last = float(shares[best_at]), float(shares[-1])
    interval = newcombe_difference(round(last * window), window, round(best * window), window)
    if best - last < progress.collapse_drop or interval.high >= 0:
        return None
    return Seen(
        Severity.URGENT,
        f"{best:.0%} of {window} training episodes up to episode {best_at + window} succeeded alone, and {last:.0%} of "
        f"the last {window} of {len(online)}",
        {"best_share": best, "last_share": last, "best_episode": float(best_at + window)},
        thinned(
            f"Success alone, last {window} episodes",
            "training episodes",
            [float(index) for index in range(window, len(online) + 1)],
            [float(value) for value in shares],
            best,
        ),
    )


def _rate(result: CheckpointResult) -> float:
    return result.successes / result.trials
