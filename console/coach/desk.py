"""The coach's rules of what a run was given: demonstrations, pictures, a judge, an arm that does what it is told."""

from __future__ import annotations

from statistics import median

from console.coach.advice import Severity
from console.coach.evidence import RunEvidence
from console.coach.seen import Lacks, Outcome, Seen, histogram
from console.coach.settings import CoachSettings

_FEWEST_ALONE = 10  # successes of the policy alone, before its cycle is compared


def few_demos(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """Twenty to thirty demonstrations."""
    wanted, there = settings.desk.demos, len(evidence.demos())
    if there >= wanted:
        return None
    if not evidence.online():  # they are still being recorded
        return Lacks(f"{there} demonstrations so far, and training has not begun")
    return Seen(
        Severity.HINT,
        f"{there} successful demonstrations, expected at least {wanted}",
        {"demos": float(there), "expected": float(wanted)},
    )


def slow_demos(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """A demonstration should not take much longer than the task does."""
    desk, lengths = settings.desk, [episode.steps for episode in evidence.demos()]
    if not lengths:
        return Lacks("no successful demonstration")
    typical, own = median(lengths), _own_cycle(evidence)
    left = evidence.discount**typical
    against = "" if own is None else f"; the policy itself needs {own:g}"
    if left >= desk.demo_value and (own is None or typical <= desk.demo_slower * own):
        return None
    return Seen(
        Severity.HINT,
        f"a median demonstration takes {typical:g} steps ({typical / evidence.control_hz:.1f} s), after which "
        f"{left:.0%} of the reward reaches its first step{against}",
        {"demo_steps": float(typical), "value_left": left} | ({} if own is None else {"policy_steps": own}),
        histogram("Length of demonstrations", "steps", lengths, 10, max(lengths) + 1, own),
    )


def camera_drift(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """Pictures look as they did in the demonstrations."""
    if evidence.cameras is None:
        return Lacks(
            "no reference of the demonstrations' pictures in the run folder, or fewer than "
            f"{settings.desk.camera_frames} newer frames"
        )
    if not evidence.cameras:
        return None
    severe = any(finding.severe for finding in evidence.cameras)
    return Seen(
        Severity.URGENT if severe else Severity.IMPORTANT,
        "; ".join(f"{finding.what}: {finding.cure}" for finding in evidence.cameras),
        {"findings": float(len(evidence.cameras))},
    )


def clipped_actions(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """What the policy chooses is what the arm does."""
    if evidence.clipped is None:
        return Lacks("no step says what was clipped: their actor is one of before protocol 1.4")
    joints, tool = evidence.clipped.joints, evidence.clipped.tool
    most, most_tool = settings.desk.joint_clip_share, settings.desk.tool_clip_share
    if joints <= most and tool <= most_tool:
        return None
    return Seen(
        Severity.IMPORTANT,
        f"a joint came to its limit or its largest step at {joints:.0%} of the newest steps, expected at most "
        f"{most:.0%}, and box or leash confined the tool at {tool:.0%}, expected at most {most_tool:.0%}",
        {"clipped_joints": joints, "clipped_tool": tool},
    )


def judge_disagrees(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """The classifier says what the operator says."""
    desk, judge = settings.desk, evidence.judge
    if judge is None or judge.episodes < desk.judge_episodes:
        there = 0 if judge is None else judge.episodes
        return Lacks(
            f"{there} episodes with both the operator's verdict and a classifier's, {desk.judge_episodes} needed"
        )
    share = (judge.false_alarms + judge.misses) / judge.episodes
    if share <= desk.judge_share:
        return None
    return Seen(
        Severity.URGENT if judge.false_alarms > judge.misses else Severity.IMPORTANT,
        f"of {judge.episodes} episodes it called {judge.false_alarms} a success that you did not, and missed "
        f"{judge.misses} that you did",
        {"disagreement": share, "false_alarms": float(judge.false_alarms), "misses": float(judge.misses)},
    )


def _own_cycle(evidence: RunEvidence) -> float | None:
    """Median steps of the policy's successes: evaluated ones, else the newest in training; None for too few."""
    evaluation = evidence.evaluation
    evaluated = [trial.steps for trial in evaluation.trials if trial.success] if evaluation else []
    alone = [episode.steps for episode in evidence.online() if episode.alone][-50:]
    lengths = evaluated or alone
    return float(median(lengths)) if len(lengths) >= _FEWEST_ALONE else None
