"""LeRobot's own drivers against the virtual arm: they cannot tell it from a real one."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from lerobot.motors import Motor, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig

import waiting
from robot.arm import JOINT_NAMES
from robot.virtual.commands import FollowPath, MoveHand, PlaceCube, Power, State
from robot.virtual.control import Remote

PATIENCE_S = 30.0
eventually = partial(waiting.eventually, within_s=PATIENCE_S)
type Patiently = Callable[[Any, Callable[[], None]], None]


@pytest.fixture
def bus(virtual: Remote, patiently: Patiently) -> Iterator[FeetechMotorsBus]:
    """LeRobot's bus on the follower's port."""
    motors = {name: Motor(index + 1, "sts3215", MotorNormMode.DEGREES) for index, name in enumerate(JOINT_NAMES)}
    made = FeetechMotorsBus(str(virtual.folder / "follower"), motors)
    patiently(made, made.connect)
    yield made
    made.disconnect()


@pytest.fixture
def follower(virtual: Remote, patiently: Patiently) -> Iterator[SO101Follower]:
    folder = virtual.folder
    made = SO101Follower(
        SO101FollowerConfig(port=str(folder / "follower"), id="follower", calibration_dir=folder / "calibration")
    )
    patiently(made.bus, lambda: made.connect(calibrate=False))
    yield made
    made.disconnect()


@pytest.fixture
def leader(virtual: Remote, patiently: Patiently) -> Iterator[SO101Leader]:
    folder = virtual.folder
    made = SO101Leader(
        SO101LeaderConfig(port=str(folder / "leader"), id="leader", calibration_dir=folder / "calibration")
    )
    patiently(made.bus, lambda: made.connect(calibrate=False))
    yield made
    made.disconnect()


def true_deg(virtual: Remote, arm: str) -> dict[str, float]:
    """Joint angles as MuJoCo has them, in LeRobot's units: degrees, and per cent of the gripper's -10..100 degrees."""
    angles = {name: math.degrees(rad) for name, rad in virtual.tell(State())["arms"][arm]["joint_rad"].items()}
    angles["gripper"] = (angles["gripper"] + 10) / 110 * 100
    return angles


def test_the_handshake_finds_six_servos_with_the_calibration_of_the_file(
    virtual: Remote, bus: FeetechMotorsBus
) -> None:
    assert bus.broadcast_ping() == dict.fromkeys(range(1, 7), 777)
    stored = json.loads((virtual.folder / "calibration" / "follower.json").read_text())
    assert {name: vars(it) for name, it in bus.read_calibration().items()} == stored


def test_servos_at_another_baud_rate_are_not_heard(bus: FeetechMotorsBus) -> None:
    bus.set_baudrate(250_000)
    assert bus.ping("elbow_flex") is None
    bus.set_baudrate(1_000_000)
    assert bus.ping("elbow_flex") == 777


def test_the_follower_is_calibrated_and_configured(follower: SO101Follower) -> None:
    assert follower.is_calibrated
    assert follower.bus.sync_read("P_Coefficient", num_retry=5) == dict.fromkeys(JOINT_NAMES, 16)
    assert follower.bus.sync_read("Torque_Enable", num_retry=5) == dict.fromkeys(JOINT_NAMES, 1)
    assert follower.bus.read("Max_Torque_Limit", "gripper", num_retry=5) == 500


def test_connecting_does_not_move_the_arm(virtual: Remote, follower: SO101Follower) -> None:
    assert true_deg(virtual, "follower") == pytest.approx(
        {name.removesuffix(".pos"): value for name, value in follower.get_observation().items()}, abs=1.0
    )
    # As it was laid down: -1.724 rad, 1.654 rad.
    assert true_deg(virtual, "follower")["shoulder_lift"] == pytest.approx(-98.8, abs=1.0)
    assert true_deg(virtual, "follower")["elbow_flex"] == pytest.approx(94.8, abs=1.0)


def test_the_arm_goes_where_it_is_sent(virtual: Remote, follower: SO101Follower) -> None:
    goal = dict(zip(JOINT_NAMES, (30.0, -40.0, 40.0, 60.0, 20.0, 50.0), strict=True))
    follower.send_action({f"{name}.pos": value for name, value in goal.items()})
    eventually(lambda: not any(follower.bus.sync_read("Moving", num_retry=5).values()))
    eventually(lambda: true_deg(virtual, "follower") == pytest.approx(goal, abs=0.5))
    seen = {name.removesuffix(".pos"): value for name, value in follower.get_observation().items()}
    assert seen == pytest.approx(true_deg(virtual, "follower"), abs=0.5)
    # It holds its own weight: the elbow feels it, the shoulder pan does not.
    eventually(lambda: abs(follower.bus.read("Present_Load", "elbow_flex", num_retry=5)) > 50)
    eventually(lambda: abs(follower.bus.read("Present_Load", "shoulder_pan", num_retry=5)) < 20)


def test_the_speed_is_measured_with_its_sign(follower: SO101Follower) -> None:
    def velocity() -> float:
        return float(follower.bus.read("Present_Velocity", "shoulder_pan", num_retry=5))

    def moving() -> bool:
        return bool(follower.bus.read("Moving", "shoulder_pan", num_retry=5))

    follower.bus.write("Goal_Position", "shoulder_pan", 60.0, num_retry=5)
    eventually(lambda: velocity() > 500 and moving())
    eventually(lambda: not moving())
    follower.bus.write("Goal_Position", "shoulder_pan", -60.0, num_retry=5)
    eventually(lambda: velocity() < -500 and moving())


def test_the_arm_touches_what_lies_on_the_desk(virtual: Remote, follower: SO101Follower) -> None:
    virtual.tell(PlaceCube(x_m=0.28, y_m=-0.05))
    assert virtual.tell(State())["cube"][:2] == pytest.approx([0.28, -0.05], abs=1e-3)
    # Far forwards and down: the table stops it before its goal.
    follower.send_action({"shoulder_pan.pos": 60.0, "shoulder_lift.pos": 60.0, "elbow_flex.pos": 0.0})
    eventually(lambda: abs(follower.bus.read("Present_Load", "shoulder_lift", num_retry=5)) > 900)
    assert true_deg(virtual, "follower")["shoulder_lift"] < 50


def test_an_arm_that_is_let_go_of_falls(virtual: Remote, follower: SO101Follower) -> None:
    follower.send_action({"shoulder_lift.pos": 0.0, "elbow_flex.pos": 0.0})
    eventually(lambda: abs(true_deg(virtual, "follower")["shoulder_lift"]) < 1)
    follower.bus.disable_torque(num_retry=5)
    eventually(lambda: true_deg(virtual, "follower")["shoulder_lift"] > 10)


def test_the_leader_is_read_while_a_hand_moves_it(virtual: Remote, leader: SO101Leader) -> None:
    before = leader.get_action()["shoulder_pan.pos"]
    virtual.tell(
        FollowPath(points=((0.0, {"shoulder_pan": 0.0}), (0.5, {"shoulder_pan": 1.0}), (1.0, {"shoulder_pan": -0.5})))
    )
    seen = [before]
    deadline_s = time.monotonic() + PATIENCE_S
    while seen[-1] > -28.5:
        assert time.monotonic() < deadline_s
        seen.append(leader.get_action()["shoulder_pan.pos"])
    assert before == pytest.approx(0.0, abs=0.2)
    assert max(seen) > 40.0  # on its way to 1 rad = 57.3 deg
    assert seen[-1] == pytest.approx(-28.65, abs=0.2)  # -0.5 rad


def test_a_hand_cannot_move_what_a_motor_holds(virtual: Remote, leader: SO101Leader) -> None:
    leader.bus.enable_torque(num_retry=5)
    virtual.tell(MoveHand(joint_rad={"shoulder_pan": 1.0, "gripper": 1.0}, speed_rad_s=20))
    time.sleep(0.2)
    assert leader.get_action()["shoulder_pan.pos"] == pytest.approx(0.0, abs=0.2)
    leader.bus.disable_torque(num_retry=5)
    eventually(lambda: leader.get_action()["shoulder_pan.pos"] == pytest.approx(57.3, abs=0.2))


def test_the_leader_goes_to_its_goal_with_torque(leader: SO101Leader) -> None:
    leader.bus.enable_torque(num_retry=5)
    leader.send_feedback({"wrist_roll.pos": -90.0, "gripper.pos": 80.0})
    eventually(lambda: leader.get_action()["wrist_roll.pos"] == pytest.approx(-90.0, abs=0.2))
    eventually(lambda: leader.get_action()["gripper.pos"] == pytest.approx(80.0, abs=0.2))


def test_a_homing_that_was_not_kept_is_gone_with_the_power(virtual: Remote, bus: FeetechMotorsBus) -> None:
    bus.disable_torque(num_retry=5)  # opens the lock
    kept = bus.read_calibration()["elbow_flex"].homing_offset
    bus.write("Lock", "elbow_flex", 1, num_retry=5)
    bus.write("Homing_Offset", "elbow_flex", -123, num_retry=5)
    assert bus.read("Homing_Offset", "elbow_flex", num_retry=5) == -123
    for on in (False, True):
        virtual.tell(Power(on=on))
    assert bus.read("Homing_Offset", "elbow_flex", num_retry=5) == kept
