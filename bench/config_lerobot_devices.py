"""Settings of `bench.lerobot_devices`; LeRobot finds the class of a device by the name of its settings' module."""

from __future__ import annotations

from dataclasses import dataclass, field

from lerobot.robots import RobotConfig
from lerobot.robots.so_follower import SOFollowerRobotConfig
from lerobot.teleoperators import TeleoperatorConfig


@dataclass
class Journal:
    """Moments [s of time.perf_counter] in the order in which they came.

    entries: (what, when) with `tick`, `act`, `acted`, `observe`, `observed`
    """

    entries: list[tuple[str, float]] = field(default_factory=list)


@RobotConfig.register_subclass("nudge_timed_arm")
@dataclass
class TimedArmConfig(SOFollowerRobotConfig):  # type: ignore[misc]  # LeRobot has no types
    """LeRobot's own settings of a follower, and where its moments go."""

    journal: Journal = field(default_factory=Journal)


@TeleoperatorConfig.register_subclass("nudge_steady_hand")
@dataclass
class SteadyHandConfig(TeleoperatorConfig):  # type: ignore[misc]  # LeRobot has no types
    """How the hand moves.

    pose: around this pose [degrees; the gripper 0..100]
    sway: so far to either side
    period_s: to and fro in this time
    """

    pose: tuple[float, ...] = (0.0, -20.0, 30.0, 60.0, 0.0, 40.0)
    sway: float = 3.0
    period_s: float = 4.0
