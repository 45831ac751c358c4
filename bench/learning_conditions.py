"""What is varied in `learning.py`: each condition is a preset and what differs from it, and has a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PLAIN = "plain"


@dataclass(frozen=True)
class Condition:
    """A way to learn.

    group, title: heading under which it stands in the table, and what its line says
    options: what differs from the preset, as `nudge demo` takes them
    preset: another one than the table's; empty: the same
    looks: further worlds in which the last policy is examined, each with what differs from the one it learned in
    imitates: learned from the plain run's demonstrations alone, `bc` or `act`; options are then those of `baselines.py`
    by_lerobot: LeRobot's learner teaches, for as long as the plain run was taught; it has no options
    """

    name: str
    group: str
    title: str
    options: tuple[str, ...] = ()
    preset: str = ""
    looks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    imitates: Literal["", "bc", "act"] = ""
    by_lerobot: bool = False

    @property
    def pays_itself(self) -> bool:
        """Its world is another one, so that it needs a reward classifier of its own."""
        return any(option.startswith("--arm.") for option in self.options)


def _steps(count: int) -> tuple[str, ...]:
    return ("--loop.max-env-steps", str(count))


def _demonstrations(count: int) -> tuple[str, ...]:
    return (*_steps(9_000), "--loop.demo-episodes", str(count), "--learner.trainer.demo-episodes", str(count))


LEARNS = "Does it learn?"
DEMONSTRATIONS = "How many demonstrations?"
HABITS = "What do habits of the operator cost?"
PARTS = "What does each part bring?"

_RANDOMISED = ("--arm.randomisation.enabled", "True")

CONDITIONS = (
    Condition(PLAIN, LEARNS, "as it comes, 9,000 steps", _steps(9_000)),
    Condition("6000", LEARNS, "as it comes, 6,000 steps", _steps(6_000)),
    Condition("27000", LEARNS, "three times the steps", _steps(27_000)),
    Condition(
        "randomised",
        LEARNS,
        "another look at each reset, 18,000 steps",
        (*_steps(18_000), *_RANDOMISED),
        looks=(("looks never seen", ("--seed", "1000")), ("the plain look", ("--arm.randomisation.enabled", "False"))),
    ),
    Condition("bc", LEARNS, "imitation of the demonstrations alone (BC)", imitates="bc"),
    Condition("act", LEARNS, "ACT through LeRobot, a quarter of an hour", ("--act-steps", "600"), imitates="act"),
    Condition("lerobot", LEARNS, "LeRobot's learner, the same wall clock", by_lerobot=True),
    Condition("paper", LEARNS, "HIL-SERL's published settings", _steps(6_000), preset="paper"),
    Condition("demos-10", DEMONSTRATIONS, "10", _demonstrations(10)),
    Condition("demos-5", DEMONSTRATIONS, "5", _demonstrations(5)),
    Condition("demos-1", DEMONSTRATIONS, "1", _demonstrations(1)),
    Condition("never", HABITS, "never helps (RLPD)", (*_steps(6_000), "--operator.interventions", "False")),
    Condition(
        "finishes",
        HABITS,
        "helps late and finishes the task",
        (*_steps(6_000), "--operator.explore-steps", "40", "60", "--operator.takeover-steps", "40", "60"),
    ),
    Condition(
        "sooner",
        HABITS,
        "helps before the policy has tried",
        (*_steps(6_000), "--operator.explore-steps", "12", "18", "--operator.patience-steps", "5"),
    ),
    Condition(
        "always",
        HABITS,
        "helps at once and all the time",
        (*_steps(6_000), "--operator.explore-steps", "0", "2", "--operator.patience-steps", "1"),
    ),
    Condition("entropy-2", PARTS, "more chance: entropy -2", (*_steps(6_000), "--learner.sac.target-entropy", "-2")),
    Condition("entropy-6", PARTS, "less chance: entropy -6", (*_steps(6_000), "--learner.sac.target-entropy", "-6")),
    Condition("raw-policy", PARTS, "who acts is no mean", (*_steps(6_000), "--learner.sac.policy-tau", "1")),
    Condition("no-bc", PARTS, "no BC term", (*_steps(6_000), "--learner.sac.bc-weight", "0")),
    Condition("one-step", PARTS, "1-step returns", (*_steps(6_000), "--learner.sac.n-step", "1")),
    Condition("utd-1", PARTS, "1 update a step", (*_steps(6_000), "--learner.trainer.utd", "1")),
    Condition("utd-2", PARTS, "2 updates a step", (*_steps(6_000), "--learner.trainer.utd", "2")),
    Condition("utd-8", PARTS, "8 updates a step", (*_steps(6_000), "--learner.trainer.utd", "8")),
    Condition("one-view", PARTS, "one stored view of each frame", (*_steps(6_000), "--learner.features.views", "1")),
    Condition(
        "random-encoder", PARTS, "an untrained encoder", (*_steps(6_000), "--learner.encoder.source", "random:0")
    ),
    Condition("spatial-head", PARTS, "spatial embeddings", (*_steps(6_000), "--learner.network.head", "spatial")),
    Condition("grasp-critic", PARTS, "a discrete gripper", (*_steps(6_000), "--learner.network.gripper", "discrete")),
    Condition(
        "redq",
        PARTS,
        "10 critics, 2 drawn for a target",
        (*_steps(6_000), "--learner.sac.critics", "10", "--learner.sac.target-subset", "2"),
    ),
    Condition("reward-1", PARTS, "rewards of 1", (*_steps(6_000), "--learner.sac.reward-scale", "1")),
)


def find(name: str) -> Condition:
    """By its name. Raises `SystemExit` with those that there are."""
    named = {each.name: each for each in CONDITIONS}
    if name not in named:
        raise SystemExit(f"condition {name!r}: there is none, expected one of {', '.join(named)}")
    return named[name]
