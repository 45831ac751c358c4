"""The operator of LeRobot's calibration: a virtual hand that does what the procedure asks for."""

from __future__ import annotations

import json
import time

import pytest

from robot.virtual.commands import Arm, FollowPath, Joint, MoveHand, State
from robot.virtual.control import Remote

Angles = dict[Joint, float]
Points = tuple[tuple[float, Angles], ...]

# The model's ranges [rad], facts of the Menagerie MJCF; beyond them a hand meets the stops.
STOPS_RAD: dict[Joint, tuple[float, float]] = {
    "shoulder_pan": (-1.91986, 1.91986),
    "shoulder_lift": (-1.74533, 1.74533),
    "elbow_flex": (-1.69, 1.69),
    "wrist_flex": (-1.65806, 1.65806),
    "wrist_roll": (-2.74385, 2.74385),
    "gripper": (-0.17453, 1.74533),
}
MIDDLE: Angles = {name: (low + high) / 2 for name, (low, high) in STOPS_RAD.items()}
# The follower has mass: thrown against a stop it goes beyond.
SWING_S: dict[Arm, float] = {"leader": 0.3, "follower": 1.2}
DWELL_S = 0.25


def sweep(joints: tuple[Joint, ...], around: Angles, begin_s: float, swing_s: float) -> Points:
    """From a pose through both ends of some joints and back; LeRobot looks some 40 times a second."""
    low = {name: STOPS_RAD[name][0] for name in joints}
    high = {name: STOPS_RAD[name][1] for name in joints}
    steps = [(0.0, {}), (swing_s, {}), (swing_s, low), (DWELL_S, low), (swing_s, high), (DWELL_S, high), (swing_s, {})]
    points, at_s = [], begin_s
    for lasts_s, ends in steps:
        at_s += lasts_s
        points.append((at_s, {**around, **ends}))
    return tuple(points)


def perform(virtual: Remote, arm: Arm, path: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer LeRobot's prompts: go to the middle, press Enter, follow the path, press Enter."""
    ends_s: list[float] = []

    def answer(prompt: str) -> str:
        assert "middle" in prompt
        virtual.tell(MoveHand(arm=arm, joint_rad=MIDDLE, speed_rad_s=4))
        deadline_s = time.monotonic() + 30
        while virtual.tell(State())["arms"][arm]["joint_rad"] != pytest.approx(MIDDLE, abs=1e-3):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        return ""

    def enter_pressed() -> bool:
        if not ends_s:
            virtual.tell(FollowPath(arm=arm, points=path))
            ends_s.append(time.monotonic() + path[-1][0])
        return time.monotonic() > ends_s[0]

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("lerobot.motors.motors_bus.enter_pressed", enter_pressed)


def true(virtual: Remote, arm: str) -> dict[str, dict[str, int]]:
    """What the procedure should find: the calibration with which the arm came."""
    found: dict[str, dict[str, int]] = json.loads((virtual.folder / "calibration" / f"{arm}.json").read_text())
    return found
