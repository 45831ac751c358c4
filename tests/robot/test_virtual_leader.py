"""The virtual leader's joints: between a motor and a hand, the stronger one has them."""

from __future__ import annotations

import numpy as np
import pytest

from robot.desk import SUBSTEP_S
from robot.virtual.bodies import HAND_STRENGTH, LeaderBody
from robot.virtual.servo import TICKS_PER_RAD, TOP_SPEED_TICKS_S, Drive, JointState

STOPS_RAD = np.array([(-1.0, 1.0)] * 6)
NOBODY: list[Drive | None] = [None] * 6
WEAK = 0.3


@pytest.fixture
def body() -> LeaderBody:
    made = LeaderBody(STOPS_RAD)
    made.place(np.zeros(6))
    return made


def first(body: LeaderBody, motor: Drive | None, hand: Drive | None) -> JointState:
    return body.step([motor, *NOBODY[1:]], [hand, *NOBODY[1:]])[0]


def test_a_weak_motor_yields_to_a_hand_and_feels_it_in_proportion_up_to_its_limit(body: LeaderBody) -> None:
    for deflection_rad, load in ((0.05, -0.1), (-0.1, 0.2), (0.2, -WEAK)):
        joint = first(body, Drive(0.0, WEAK), Drive(deflection_rad))
        assert joint.angle_rad == deflection_rad
        assert joint.load == pytest.approx(load)  # 2 per radian, against the hand


def test_a_strong_motor_does_not_yield_and_feels_no_more_than_a_hand_can_do(body: LeaderBody) -> None:
    for pull_rad, load in ((0.1, -0.2), (0.9, -HAND_STRENGTH)):
        joint = first(body, Drive(0.0, HAND_STRENGTH), Drive(pull_rad))
        assert joint.angle_rad == 0.0
        assert joint.load == pytest.approx(load)


def test_a_joint_that_is_let_go_of_returns_no_faster_than_a_servo_turns(body: LeaderBody) -> None:
    first(body, Drive(0.0, WEAK), Drive(0.5))
    step_rad = TOP_SPEED_TICKS_S / TICKS_PER_RAD * SUBSTEP_S  # 4.71 rad/s for 5 ms
    assert first(body, Drive(0.0, WEAK), None).angle_rad == pytest.approx(0.5 - step_rad)
    for _ in range(22):  # 0.5 rad are 21.2 steps
        joint = first(body, Drive(0.0, WEAK), None)
    assert joint == JointState(0.0, 0.0, 0.0)


def test_a_hand_meets_the_stops_and_without_either_it_stays(body: LeaderBody) -> None:
    assert first(body, None, Drive(3.0)) == JointState(1.0, 1.0 / SUBSTEP_S, 0.0)
    assert first(body, None, None) == JointState(1.0, 0.0, 0.0)
    assert first(body, Drive(0.5, 0.0), None).angle_rad == 1.0  # a motor without any strength
