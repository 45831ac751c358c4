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
    return (*_steps(6_000), "--loop.demo-episodes", str(count), "--learner.trainer.demo-episodes", str(count))


def _part(name: str, title: str, option: str, value: str, section: str = "sac") -> Condition:
    return Condition(name, PARTS, title, (*_steps(4_000), f"--learner.{section}.{option}", value))


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
    Condition("4000", HABITS, "as it comes: late, briefly, often", _steps(4_000)),
    Condition("never", HABITS, "never helps (RLPD)", (*_steps(4_000), "--operator.interventions", "False")),
    Condition(
        "finishes",
        HABITS,
        "helps later and finishes the task",
        (*_steps(4_000), "--operator.explore-steps", "40", "60", "--operator.takeover-steps", "40", "60"),
    ),
    Condition(
        "sooner",
        HABITS,
        "helps before the policy has tried",
        (*_steps(4_000), "--operator.explore-steps", "12", "18", "--operator.patience-steps", "5"),
    ),
    Condition(
        "always",
        HABITS,
        "helps at once and all the time",
        (*_steps(4_000), "--operator.explore-steps", "0", "2", "--operator.patience-steps", "1"),
    ),
    Condition(
        "never-over",
        HABITS,
        "goes on where the cube is out of reach",
        (*_steps(4_000), "--operator.gives-up", "False"),
    ),
    _part("no-bc", "no BC term", "bc-weight", "0"),
    _part("bc-stays", "a BC term that never fades", "bc-half-life-updates", "1e9"),
    _part("demo-share-25", "a quarter of a batch from demonstrations and help", "demo-fraction", "0.25"),
    _part("demo-share-75", "three quarters", "demo-fraction", "0.75"),
    _part("one-step", "1-step returns", "n-step", "1"),
    _part("five-step", "5-step returns", "n-step", "5"),
    _part("utd-1", "1 update a step", "utd", "1", section="trainer"),
    _part("utd-2", "2 updates a step", "utd", "2", section="trainer"),
    _part("utd-8", "8 updates a step", "utd", "8", section="trainer"),
    _part("raw-policy", "no running mean: what is trained acts", "policy-tau", "1"),
    _part("entropy-2", "more chance: entropy -2", "target-entropy", "-2"),
    _part("entropy-6", "less chance: entropy -6", "target-entropy", "-6"),
    _part("discount-97", "a discount of 0.97", "discount", "0.97"),
    _part("discount-99", "a discount of 0.99", "discount", "0.99"),
    _part("reward-1", "rewards of 1", "reward-scale", "1"),
    _part("one-view", "one stored view of each frame", "views", "1", section="features"),
    _part("maps-128", "128 channels of the maps instead of 64", "reduced-channels", "128", section="features"),
    _part("random-encoder", "an untrained encoder", "source", "random:0", section="encoder"),
    _part("spatial-head", "spatial embeddings", "head", "spatial", section="network"),
    _part("grasp-critic", "a discrete gripper", "gripper", "discrete", section="network"),
    Condition(
        "redq",
        PARTS,
        "10 critics, 2 drawn for a target",
        (*_steps(4_000), "--learner.sac.critics", "10", "--learner.sac.target-subset", "2"),
    ),
)


def find(name: str) -> Condition:
    """By its name. Raises `SystemExit` with those that there are."""
    named = {each.name: each for each in CONDITIONS}
    if name not in named:
        raise SystemExit(f"condition {name!r}: there is none, expected one of {', '.join(named)}")
    return named[name]
