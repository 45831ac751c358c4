"""Is training healthy? Findings from the metrics of a reading and the settings; nothing here computes on tensors.

Q has a bound that follows from the reward alone: it is paid once, at the end, 0 or 1 times `reward_scale`, so no
discounted sum of it, over n steps or all, leaves 0..reward_scale. What breaks a bound is named with a cure.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from learner.settings import HealthSettings, LearnerSettings, SacSettings

FLAG = "health/"  # before the name of a check: a metric that is 1 while there is a finding, else 0
NORMS = ("critic_gradient_norm", "actor_gradient_norm")
_READINGS = 50  # of a gradient norm, whose median is what is usual
_FEWEST_READINGS = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One question. title: the finding in words; cure: what to do about it."""

    title: str
    cure: str


CHECKS: Mapping[str, Check] = {
    "q_above_bound": Check(
        "Q above what the reward allows",
        "the critics overestimate: more members (learner.sac.critics 10, target_subset 2), a lower critic_lr or tau; "
        "is the reward paid once, at the end?",
    ),
    "q_below_bound": Check(
        "Q below what the reward allows", "lower learner.sac.critic_lr; with backup_entropy on, switch it off"
    ),
    "entropy_collapsed": Check(
        "the policy has hardly any randomness left",
        "raise learner.sac.temperature_min or temperature_lr; roll back to a checkpoint of before",
    ),
    "temperature_low": Check(
        "the temperature is vanishing", "set learner.sac.temperature_min, so that it can come back in time"
    ),
    "temperature_high": Check(
        "entropy outweighs the reward",
        "lower learner.sac.temperature_init; is learner.sac.target_entropy within reach of the policy?",
    ),
    "gradient_not_finite": Check("a gradient is not finite", "lower the learning rates or learner.sac.reward_scale"),
    "gradient_exploding": Check(
        "a gradient is far above what it was", "lower the learning rates; roll back to a checkpoint of before"
    ),
    "utd_starved": Check(
        "fewer updates for each step than configured",
        "lower learner.trainer.utd or sac.batch_size, give the learner a faster machine, or let the actor wait for it "
        "(loop.pace)",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """name: a key of `CHECKS`; seen, bound: what was read and where the line is, with its name and number."""

    name: str
    seen: str
    bound: str

    def __str__(self) -> str:
        check = CHECKS[self.name]
        return f"{check.title}: {self.seen}, {self.bound}; {check.cure}"


def find(
    metrics: Mapping[str, float],
    settings: LearnerSettings,
    actions: int,
    usual_norms: Mapping[str, float] | None = None,
) -> list[Finding]:
    """The findings of one reading; a metric that is not in it is not judged.

    actions: continuous action dimensions, from which the default of the target entropy follows
    usual_norms: median of each gradient norm so far, by its name in `NORMS`
    """
    health, sac = settings.health, settings.sac
    return [
        *_q(metrics, sac, health),
        *_first("entropy_collapsed", metrics, {"entropy": entropy_floor(settings, actions)}, below=True),
        *_temperature(metrics, sac, health),
        *_gradients(metrics, health, usual_norms or {}),
        *_ratio(metrics, settings),
    ]


def q_bounds(sac: SacSettings, metrics: Mapping[str, float]) -> tuple[float, float]:
    """Smallest and largest return of the critics: 0 and reward_scale, and what the entropy in the backup may add."""
    low, high = 0.0, sac.reward_scale
    if sac.backup_entropy:
        bonus = metrics.get("temperature", 0.0) * metrics.get("entropy", 0.0) * sac.discount / (1 - sac.discount)
        low, high = low + min(bonus, 0.0), high + max(bonus, 0.0)
    return low, high


def grasp_q_bounds(sac: SacSettings) -> tuple[float, float]:
    """The same of the grasp critic, which may pay a penalty in every step: -penalty * scale / (1 - discount)."""
    return -sac.gripper_penalty * sac.reward_scale / (1 - sac.discount), sac.reward_scale


def entropy_floor(settings: LearnerSettings, actions: int) -> float:
    """Entropy [nat] below which the policy has collapsed. actions: continuous action dimensions."""
    target = -actions / 2 if settings.sac.target_entropy is None else settings.sac.target_entropy
    return target - settings.health.entropy_margin_nat


class HealthWatch:
    """Judges reading after reading, and says once when a finding begins and once when it ends."""

    def __init__(self, settings: LearnerSettings, actions: int) -> None:
        self._settings = settings
        self._actions = actions
        self._norms = {name: deque[float](maxlen=_READINGS) for name in NORMS}
        self._before: dict[str, Finding] = {}

    def judge(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """A flag for each check, to be logged with the metrics."""
        usual = {name: median(norms) for name, norms in self._norms.items() if len(norms) >= _FEWEST_READINGS}
        found = {each.name: each for each in find(metrics, self._settings, self._actions, usual)}
        for name, norms in self._norms.items():
            if math.isfinite(value := metrics.get(name, math.nan)):
                norms.append(value)
        for name in found.keys() - self._before.keys():
            log.warning("health: %s", found[name])
        for name in self._before.keys() - found.keys():
            log.warning("health: over: %s", CHECKS[name].title)
        self._before = found
        return {FLAG + name: float(name in found) for name in CHECKS}


def _q(metrics: Mapping[str, float], sac: SacSettings, health: HealthSettings) -> Iterator[Finding]:
    margin, low_margin = health.q_margin * sac.reward_scale, health.q_low_margin * sac.reward_scale
    (low, high), grasp = q_bounds(sac, metrics), grasp_q_bounds(sac)
    # Single values err a little around a bound that is reached, and so does a mean around 0 while nothing succeeds.
    yield from _first("q_above_bound", metrics, {"q_mean": high, "q_max": high + margin, "grasp_q": grasp[1]})
    lowest = {"q_mean": low - margin, "q_min": low - low_margin, "grasp_q": grasp[0]}
    yield from _first("q_below_bound", metrics, lowest, below=True)


def _temperature(metrics: Mapping[str, float], sac: SacSettings, health: HealthSettings) -> Iterator[Finding]:
    low, high = health.temperature_low * sac.reward_scale, health.temperature_high * sac.reward_scale
    yield from _first("temperature_low", metrics, {"temperature": low}, below=True)
    yield from _first("temperature_high", metrics, {"temperature": high})


def _gradients(metrics: Mapping[str, float], health: HealthSettings, usual: Mapping[str, float]) -> Iterator[Finding]:
    wrong = [name for name in NORMS if not math.isfinite(metrics.get(name, 0.0))]
    if wrong:
        yield Finding("gradient_not_finite", f"{wrong[0]} {metrics[wrong[0]]}", "expected a number")
    bounds = {name: health.gradient_factor * norm for name, norm in usual.items()}
    yield from _first("gradient_exploding", metrics, bounds)


def _ratio(metrics: Mapping[str, float], settings: LearnerSettings) -> Iterator[Finding]:
    """Only steps that came since the last reading tell: at the start, demonstrations are owed all at once."""
    wanted = settings.health.utd_share * settings.trainer.utd
    if metrics.get("steps_behind", 0.0) > settings.health.utd_steps_behind:
        yield from _first("utd_starved", metrics, {"recent_utd": wanted}, below=True)


def _first(
    name: str, metrics: Mapping[str, float], bounds: Mapping[str, float], *, below: bool = False
) -> Iterator[Finding]:
    """A finding for the first metric beyond its bound."""
    for metric, bound in bounds.items():
        value = metrics.get(metric, math.nan)
        if value < bound if below else value > bound:
            side = "at least" if below else "at most"
            yield Finding(name, f"{metric} {value:.4g}", f"expected {side} {bound:.4g}")
            return
