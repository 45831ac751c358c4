"""What a `RunState` means to a person: who is in control, key numbers with their moods, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from console.dashboard.run_state import RunState
from console.report.figures import TrainingCurve
from console.report.page import duration
from console.terminal.key_numbers import KeyNumber, Mood, ago, share, size
from console.web.svg import number
from learner.health import CHECKS, FLAG, find, q_bounds
from policy.experience import Source

SILENT_S = 3.0  # from then on nobody can say who is in control
LITTLE_ROOM_BYTES = 2e9

_WHO = {
    Source.POLICY: ("policy", "policy"),
    Source.HUMAN: ("you", "human"),
    Source.DEMO: ("you, demonstrating", "demo"),
    Source.HOLD: ("nobody", "nobody"),
}


@dataclass(frozen=True, slots=True)
class Band:
    """Who is in control, in words and as a colour (a class of the style sheet), and where the episode is."""

    words: str
    css: str
    detail: str


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that wants the operator's eye."""

    mood: Mood
    title: str
    detail: str


def band(state: RunState) -> Band:
    """Who is in control now."""
    newest, age_s = state.newest, state.step_age_s
    if newest is None or age_s is None:
        return Band("no step yet", "silent", "the actor has sent nothing")
    place = f"episode {newest.episode}, step {newest.step}"
    if age_s >= SILENT_S:
        return Band("no steps", "silent", f"the last one came {ago(age_s)} ago: {place}")
    words, css = _WHO[newest.source]
    return Band(words, css, place)


def actors(state: RunState) -> list[str]:
    """What holds the actors up, as each says of itself; empty where nothing does, or where nobody can say."""
    told = [] if state.learner is None else state.learner.actors
    return [
        f"{each.actor_id}: {what}"
        for each in told
        for what in (
            each.state.emergency and f"emergency stop, pressed by {each.state.emergency}",
            each.state.fault,
            each.state.paused and f"paused: {each.state.paused}",
            each.state.awaited and f"waits for the operator: {each.state.awaited}",
            "" if each.connected else "its link is broken",
        )
        if what
    ]


def phase(state: RunState) -> tuple[str, Mood]:
    """What the learner does, in words."""
    if state.learner is not None:
        phase = state.learner.phase
        if phase.split(",")[0] == "training":
            return phase, "good"
        return phase, "bad" if phase.startswith("disk full") else "warn"
    return ("learner does not answer", "bad") if state.learner_problem else ("no learner runs", "")


def key_numbers(state: RunState, curve: TrainingCurve) -> list[KeyNumber]:
    """The figures that stand on top, the most telling first."""
    return [*_learning(curve), *_actors(state), *_training(state), *_clipped(state), *_extent(state)]


def _learning(curve: TrainingCurve) -> list[KeyNumber]:
    rated = len(curve.env_steps)
    if not rated:
        return [KeyNumber("succeeds alone", "–", "no online episode has ended yet")]
    window = f"of the last {min(rated, curve.window)} episodes"
    return [
        KeyNumber("succeeds alone", share(curve.alone[-1]), window),
        KeyNumber("you drive", share(curve.human_share[-1]), f"of the steps {window}"),
    ]


def _actors(state: RunState) -> list[KeyNumber]:
    """Who may send steps: an actor holds the lease of its name, also for a while after its link has broken."""
    if state.learner is None:
        return []
    told = state.learner.actors
    there = [each.actor_id for each in told if each.connected]
    if len(there) == 1:
        return [KeyNumber("actor", there[0], "holds its lease")]
    if there:
        return [KeyNumber("actors", number(len(there)), f"hold their leases: {', '.join(there)}")]
    if not told:
        return [KeyNumber("actor", "none", "nobody holds a lease")]
    last = min(told, key=lambda each: each.age_s)
    left_s = state.settings.service.lease_s - last.age_s
    kept = f"keeps its lease for {ago(left_s)} more" if left_s > 0 else "may have lost its lease"
    return [KeyNumber("actor", "away", f"{last.actor_id} {kept}", "warn")]


def _training(state: RunState) -> list[KeyNumber]:
    """What the metrics say; the learner itself is newer where it answers."""
    metrics, settings, learner = state.metrics.last, state.settings.learner, state.learner
    if learner is not None:
        metrics = {**metrics, **learner.metrics}
    if not metrics:
        return []
    found = {name.removeprefix(FLAG) for name, value in metrics.items() if name.startswith(FLAG) and value > 0}
    per_s = metrics.get("updates_per_s") if learner is None else learner.updates_per_s
    updates = state.metrics.updates if learner is None else learner.updates
    behind = int(metrics.get("steps_behind", 0)) if learner is None else learner.steps_behind
    utd, bound = metrics.get("effective_utd"), q_bounds(settings.sac, metrics)[1]
    target = settings.sac.target_entropy
    target = -len(state.settings.contract.action) / 2 if target is None else target
    late = f", {number(behind)} steps behind" if behind else ""
    return [
        KeyNumber("updates / s", number(_rounded(per_s)), f"{number(updates)} updates"),
        KeyNumber(
            "updates / step",
            number(_rounded(utd)),
            f"{number(settings.trainer.utd)} wanted{late}",
            "warn" if "utd_starved" in found else "",
        ),
        *_weights(state),
        KeyNumber(
            "Q",
            number(_rounded(metrics.get("q_mean"))),
            f"at most {number(bound)} is possible",
            "bad" if found & {"q_above_bound", "q_below_bound"} else "",
        ),
        KeyNumber(
            "entropy",
            number(_rounded(metrics.get("entropy"))),
            f"{number(target)} nat wanted, temperature {number(_rounded(metrics.get('temperature')))}",
            "bad"
            if "entropy_collapsed" in found
            else "warn"
            if found & {"temperature_low", "temperature_high"}
            else "",
        ),
    ]


def _weights(state: RunState) -> list[KeyNumber]:
    """How old the policy is that acts, reckoned from how fast new ones come."""
    if state.learner is None or state.newest is None or not state.newest.policy_version:
        return []
    behind = max(0, state.learner.policy_version - state.newest.policy_version)
    every, per_s = state.settings.learner.trainer.publish_every_updates, state.learner.updates_per_s
    age = f", some {duration(behind * every / per_s)}" if behind and per_s > 0 else ""
    value = "newest" if not behind else f"{behind} behind"
    return [
        KeyNumber("policy in use", value, f"version {state.newest.policy_version}{age}", "warn" if behind > 5 else "")
    ]


def _clipped(state: RunState) -> list[KeyNumber]:
    """How often the arm did less than was asked for. Who presses the tool onto the table means to be confined."""
    if state.clipped is None:
        return []
    safety = state.settings.arm.safety
    much = state.clipped.joints > safety.joint_clip_warning or state.clipped.tool > safety.tool_clip_warning
    detail = f"of the latest steps a joint at its limit; the tool confined at {share(state.clipped.tool)}"
    return [KeyNumber("clipped", share(state.clipped.joints), detail, "warn" if much else "")]


def _extent(state: RunState) -> list[KeyNumber]:
    episodes = list(state.episodes.values())
    demos = sum(each.kind == "demo" and each.complete for each in episodes)
    complete, steps = sum(each.complete for each in episodes), sum(each.steps for each in episodes)
    hz, sizes = state.settings.contract.control_hz, state.sizes
    spool = "" if sizes.spool is None else f", spool {size(sizes.spool)}"
    return [
        KeyNumber("episodes", number(complete), f"{number(demos)} of them demonstrations"),
        KeyNumber("steps", number(steps), f"{duration(steps / hz)} of robot time"),
        KeyNumber(
            "experience",
            size(sizes.store),
            f"{size(sizes.free)} free on the disk{spool}",
            "bad" if sizes.free < LITTLE_ROOM_BYTES else "",
        ),
    ]


def alerts(state: RunState) -> list[Alert]:
    """What is wrong, the worst first."""
    found = [Alert("bad", "The experience store cannot be read", state.store_problem)] if state.store_problem else []
    if not state.episodes and state.store_problem.startswith("there is no"):
        found = [Alert("warn", "Nothing is recorded yet", state.store_problem)]
    if state.learner_problem:
        found.append(Alert("bad", "The learner does not answer", state.learner_problem))
    elif state.learner is None:
        words = "this is what the run folder holds; to go on with the run, start nudge learner"
        found.append(Alert("", "No learner runs", words))
    elif state.learner.phase.startswith("disk full"):
        found.append(Alert("bad", "The disk is full", state.learner.phase))
    if state.sizes.free < LITTLE_ROOM_BYTES:
        found.append(Alert("bad", "Little room on the disk", f"{size(state.sizes.free)} free at {state.folder}"))
    if state.metrics.problem:
        found.append(Alert("warn", "A line of the metrics cannot be read", state.metrics.problem))
    return [*found, *_health(state)]


def _health(state: RunState) -> list[Alert]:
    """What the learner's own checks found in its last reading, with the numbers where they can be had again."""
    metrics, settings = state.metrics.last, state.settings
    seen = {each.name: each for each in find(metrics, settings.learner, len(settings.contract.action))}
    found = []
    for name, check in CHECKS.items():
        if metrics.get(FLAG + name, 0.0) > 0:
            numbers = f"{seen[name].seen}, {seen[name].bound}; " if name in seen else ""
            title = check.title[0].upper() + check.title[1:]
            found.append(Alert("warn" if name == "utd_starved" else "bad", title, numbers + check.cure))
    return found


def _rounded(value: float | None) -> float | None:
    """Three digits: the fourth changes with every look."""
    return None if value is None else float(f"{value:.3g}")
