"""What is varied in `learning.py`: each condition is a preset and what differs from it, and has a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from teleop.settings import OperatorSettings

PLAIN = "plain"
LEARNS = "Does it learn?"
DEMONSTRATIONS = "How many demonstrations?"
HABITS = "What do habits of the operator cost?"
PARTS = "What does each part bring?"
_STRIDE_M = 0.02  # what a full action of the preset moves


@dataclass(frozen=True)
class Condition:
    """A way to learn.

    group, title: heading under which it stands in the table, and what its line says
    options: what differs from the preset, as `nudge demo` takes them
    preset: another one than the table's; empty: the same
    looks: further worlds in which the last policy is examined, each with what differs from the one it learned in
    imitates: learned from the plain run's demonstrations alone, `bc` or `act`; options are then those of `baselines.py`
    by_lerobot: LeRobot's learner teaches, for as long as the plain run was taught; it has no options
    goes_on: the condition whose finished run of the seed is taught further; empty: it begins with nothing
    """

    name: str
    group: str
    title: str
    options: tuple[str, ...] = ()
    preset: str = ""
    looks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    imitates: Literal["", "bc", "act"] = ""
    by_lerobot: bool = False
    goes_on: str = ""

    @property
    def pays_itself(self) -> bool:
        """Its world, its contract or its encoder is another one: it needs a reward classifier of its own."""
        return any(option.startswith(("--arm.", "--contract.", "--learner.encoder.")) for option in self.options)

    @property
    def yaws(self) -> int:
        """Trials in each cell; parts, of which there are many, make do with half as many."""
        return 4 if self.group == PARTS else 8


def _steps(count: int) -> tuple[str, ...]:
    return ("--loop.max-env-steps", str(count))


def _demonstrations(count: int) -> tuple[str, ...]:
    return (*_steps(6_000), "--loop.demo-episodes", str(count), "--learner.trainer.demo-episodes", str(count))


def _habit(name: str, title: str, options: str = "", steps: int = 3_000) -> Condition:
    return Condition(name, HABITS, title, (*_steps(steps), *options.split()))


def _part(name: str, title: str, *option: str) -> Condition:
    """Within two thousand steps, where most succeed and none always: there a difference is seen soonest."""
    return Condition(name, PARTS, title, (*_steps(2_000), *_learner(*option)))


def _learner(name: str = "", *words: str) -> tuple[str, ...]:
    return (f"--learner.{name}", *words) if name else ()


def _contract(name: str, title: str, *options: str) -> Condition:
    """A part that both ends must agree on."""
    return Condition(name, PARTS, title, (*_steps(2_000), *options))


def _frames(size_px: int) -> tuple[str, ...]:
    """Both cameras, uncropped."""
    sizes = ("native-height-px", "native-width-px", "crop.height", "crop.width", "size-px")
    named = (f"--contract.cameras.{camera}.{size}" for camera in (0, 1) for size in sizes)
    return tuple(word for name in named for word in (name, str(size_px)))


def _strides(scale_m: float) -> tuple[str, ...]:
    """Along each axis of the tool, by a hand that shakes by as many millimetres as with the strides of 2 cm."""
    scales = (word for axis in range(3) for word in (f"--contract.action.{axis}.scale", str(scale_m)))
    return (*scales, "--operator.demo-noise", f"{OperatorSettings().demo_noise * _STRIDE_M / scale_m:g}")


_NEVER_LEADS = "--operator.guided-episodes 0"
_RANDOMISED = ("--arm.randomisation.enabled", "True")

CONDITIONS = (
    Condition(PLAIN, LEARNS, "as it comes, 9,000 steps", _steps(9_000)),
    Condition("6000", LEARNS, "as it comes, 6,000 steps", _steps(6_000)),
    Condition("18000", LEARNS, "the same, taught on to twice the steps", _steps(18_000), goes_on=PLAIN),
    Condition("27000", LEARNS, "the same, taught on to three times the steps", _steps(27_000), goes_on="18000"),
    Condition(
        "randomised",
        LEARNS,
        "another look at each reset, 18,000 steps",
        (*_steps(18_000), *_RANDOMISED),
        looks=(("looks never seen", ("--seed", "1000")), ("the plain look", ("--arm.randomisation.enabled", "False"))),
    ),
    Condition("bc", LEARNS, "imitation of the demonstrations alone (BC)", imitates="bc"),
    Condition("act", LEARNS, "ACT through LeRobot, a quarter of an hour", ("--act-steps", "600"), imitates="act"),
    Condition(
        "rlpd", LEARNS, "never helped (RLPD), 6,000 steps", (*_steps(6_000), "--operator.interventions", "False")
    ),
    Condition("paper", LEARNS, "HIL-SERL's published settings, 6,000 steps", _steps(6_000), preset="paper"),
    Condition("lerobot", LEARNS, "LeRobot's learner, the same wall clock", by_lerobot=True),
    Condition("demos-10", DEMONSTRATIONS, "10 demonstrations, 6,000 steps", _demonstrations(10)),
    Condition("demos-5", DEMONSTRATIONS, "5 demonstrations", _demonstrations(5)),
    Condition("demos-1", DEMONSTRATIONS, "1 demonstration", _demonstrations(1)),
    _habit("3000", "as it comes: leads first, ever less"),
    _habit("never", "never helps", "--operator.interventions False"),
    _habit("helps", "leads never, helps late, briefly and often", _NEVER_LEADS),
    _habit("helps-9000", "leads never, helps late; 9,000 steps", _NEVER_LEADS, 9_000),
    _habit(
        "finishes",
        "leads never, helps later and finishes the task",
        f"{_NEVER_LEADS} --operator.explore-steps 40 60 --operator.takeover-steps 40 60",
    ),
    _habit(
        "sooner",
        "leads never, helps before the policy has tried",
        f"{_NEVER_LEADS} --operator.explore-steps 12 18 --operator.patience-steps 5",
    ),
    _habit(
        "always",
        "leads never, helps at once and all the time",
        f"{_NEVER_LEADS} --operator.explore-steps 0 2 --operator.patience-steps 1",
    ),
    _habit("leads-on", "leads every episode to its end", "--operator.guided-episodes 1000000"),
    _habit("never-over", "goes on where the cube is out of reach", "--operator.gives-up False"),
    _part("2000", "as it comes"),
    _part("random-encoder", "an untrained encoder", "encoder.source", "random:0"),
    _part("maps-128", "128 channels of the maps, not 64", "features.reduced-channels", "128"),
    _contract("maps-6x6", "frames of 192 px, whose maps have 6x6 cells, not 4x4", *_frames(192)),
    _part("one-view", "one stored view of each frame, not 4", "features.views", "1"),
    _part("spatial-head", "spatial embeddings", "network.head", "spatial"),
    _part("blind-body", "cameras alone, no proprioception", "network.proprioception-width", "0"),
    _contract("strides-1cm", "a full action moves the tool by 1 cm, not 2", *_strides(0.01)),
    _contract("strides-3cm", "by 3 cm", *_strides(0.03)),
    _part("grasp-critic", "a discrete gripper", "network.gripper", "discrete"),
    _part("no-bc", "no BC term", "sac.bc-weight", "0"),
    _part("bc-stays", "a BC term that never fades", "sac.bc-half-life-updates", "1e9"),
    _part("demo-share-25", "a quarter of a batch from demonstrations and help", "sac.demo-fraction", "0.25"),
    _part("demo-share-75", "three quarters", "sac.demo-fraction", "0.75"),
    _part("one-step", "1-step returns, not 3", "sac.n-step", "1"),
    _part("five-step", "5-step returns", "sac.n-step", "5"),
    _part("utd-1", "1 update a step, not 4", "trainer.utd", "1"),
    _part("utd-2", "2 updates a step", "trainer.utd", "2"),
    _part("utd-8", "8 updates a step", "trainer.utd", "8"),
    Condition("half-noise", PARTS, "who acts draws half the noise", (*_steps(2_000), "--loop.exploration", "0.5")),
    _part("raw-policy", "no running mean: what is trained acts", "sac.policy-tau", "1"),
    _part("entropy-2", "more chance: entropy -2, not -3", "sac.target-entropy", "-2"),
    _part("entropy-6", "less chance: entropy -6", "sac.target-entropy", "-6"),
    _part("discount-97", "a discount of 0.97, not 0.985", "sac.discount", "0.97"),
    _part("discount-99", "a discount of 0.99", "sac.discount", "0.99"),
    _part("reward-1", "rewards of 1, not 10", "sac.reward-scale", "1"),
    _part("redq", "10 critics, 2 drawn for a target", "sac.critics", "10", "--learner.sac.target-subset", "2"),
)


def find(name: str) -> Condition:
    """By its name. Raises `SystemExit` with those that there are."""
    named = {each.name: each for each in CONDITIONS}
    if name not in named:
        raise SystemExit(f"condition {name!r}: there is none, expected one of {', '.join(named)}")
    return named[name]
