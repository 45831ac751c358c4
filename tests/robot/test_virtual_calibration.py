"""LeRobot's calibration procedure, with the virtual hand doing what it asks the operator to do."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lerobot.motors import MotorCalibration
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig

from calibrating import MIDDLE, SWING_S, Angles, perform, sweep, true
from robot.arm import JOINT_NAMES
from robot.virtual.commands import Arm, MoveHand
from robot.virtual.control import Remote

type Patiently = Callable[[Any, Callable[[], None]], None]


@pytest.fixture(params=["leader", "follower"])
def device(
    request: pytest.FixtureRequest, virtual: Remote, tmp_path: Path, patiently: Patiently
) -> Iterator[SO101Leader | SO101Follower]:
    """An arm of which LeRobot has no calibration; its servos get their old one back."""
    port, name = str(virtual.folder / request.param), request.param
    made: SO101Leader | SO101Follower
    if name == "leader":
        made = SO101Leader(SO101LeaderConfig(port=port, id=name, calibration_dir=tmp_path))
    else:
        made = SO101Follower(SO101FollowerConfig(port=port, id=name, calibration_dir=tmp_path))
    patiently(made.bus, lambda: made.connect(calibrate=False))
    yield made
    made.bus.disable_torque(num_retry=5)
    made.bus.write_calibration({it: MotorCalibration(**values) for it, values in true(virtual, name).items()})
    made.disconnect()


@pytest.mark.slow
def test_lerobots_procedure_finds_the_true_homing_and_ranges(
    device: SO101Leader | SO101Follower, virtual: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm: Arm = "leader" if isinstance(device, SO101Leader) else "follower"
    swing_s = SWING_S[arm]
    if arm == "leader":
        path = sweep(("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "gripper"), MIDDLE, 0.0, swing_s)
    else:
        # A real arm meets the table too: raised for the lift, folded back for the elbow.
        path = sweep(("shoulder_pan", "wrist_flex", "gripper"), MIDDLE, 0.0, swing_s)
        raised: Angles = {**MIDDLE, "elbow_flex": -1.5, "wrist_flex": -0.5}
        path += sweep(("shoulder_lift",), raised, path[-1][0] + swing_s, swing_s)
        path += sweep(("elbow_flex",), {**MIDDLE, "shoulder_lift": -1.0}, path[-1][0] + swing_s, swing_s)
    perform(virtual, arm, path, monkeypatch)
    device.calibrate()

    found = json.loads((tmp_path / f"{arm}.json").read_text())
    for name, truth in true(virtual, arm).items():
        # The follower's forearm touches its shoulder 0.07 rad = 45 ticks before the stop of the elbow.
        slack = 60 if (arm, name) == ("follower", "elbow_flex") else 4
        for key, value in truth.items():
            assert found[name][key] == pytest.approx(value, abs=slack), (name, key)
    # And so an angle is read as what it is: 0.5 rad = 28.65 degrees, beside the middle too.
    virtual.tell(MoveHand(arm=arm, joint_rad={**MIDDLE, "shoulder_pan": 0.5, "wrist_roll": -0.5}, speed_rad_s=10))
    time.sleep(0.5)
    seen = device.bus.sync_read("Present_Position", num_retry=5)
    turned = {name: round(math.degrees(rad), 2) for name, rad in (("shoulder_pan", 0.5), ("wrist_roll", -0.5))}
    assert {name: seen[name] for name in turned} == pytest.approx(turned, abs=0.5)
    assert set(seen) == set(JOINT_NAMES)
