"""Actions become joint targets; what is reported as executed is what the target really moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot.controller import EndEffectorController
from robot.settings import ControllerSettings
from robot.sim import sim_contract

SCALE = sim_contract().action_scale


def started(
    position_m: tuple[float, float, float], gripper_rad: float = 0.5
) -> tuple[EndEffectorController, NDArray[np.float64]]:
    controller = EndEffectorController(ControllerSettings(), SCALE)
    joints = controller.joints_at(np.array(position_m), gripper_rad)
    controller.begin(joints)
    return controller, joints


def test_a_unit_action_moves_the_tool_two_centimetres() -> None:
    controller, joints = started((0.25, 0.0, 0.08))
    targets, executed = controller.apply(np.array([1, 0, 0, 0], np.float32), joints)
    moved_m = controller.kinematics.tool_pose(targets).position_m - controller.kinematics.tool_pose(joints).position_m
    assert moved_m == pytest.approx([0.02, 0, 0], abs=0.001)
    assert executed == pytest.approx([1, 0, 0, 0], abs=1e-6)


def test_the_box_cuts_the_action_and_the_executed_action_says_so() -> None:
    controller, joints = started((0.25, 0.0, 0.018))
    _, executed = controller.apply(np.array([0, 0, -1, 0], np.float32), joints)
    # 0.018 m down to the box's floor of 0.008 m: 0.010 m of the 0.020 m asked for, within the solver's tolerance.
    assert executed[2] == pytest.approx(-0.5, abs=0.02)


def test_the_leash_keeps_the_target_near_an_arm_that_cannot_follow() -> None:
    controller, joints = started((0.25, 0.0, 0.08))
    for _ in range(5):  # the arm is held: measured joints never change
        _, executed = controller.apply(np.array([0, 1, 0, 0], np.float32), joints)
    assert executed[1] == pytest.approx(0.0, abs=1e-6)
    # Third tick: 0.035 of 0.040 + 0.020 m is all that the leash allows.
    assert controller.proprioception(joints)[10] == pytest.approx(0.035, abs=1e-6)


def test_a_closed_gripper_cannot_close_further() -> None:
    controller, joints = started((0.25, 0.0, 0.08), gripper_rad=-0.10)
    _, executed = controller.apply(np.array([0, 0, 0, -1], np.float32), joints)
    assert executed[3] == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 4), min_size=1, max_size=15))
def test_executed_actions_add_up_to_where_the_target_is(actions: list[tuple[float, ...]]) -> None:
    controller, joints = started((0.25, 0.0, 0.08))
    begin_m = controller.kinematics.tool_pose(joints).position_m
    total = np.zeros(4)
    for action in actions:
        targets, executed = controller.apply(np.array(action, np.float32), joints)
        total += executed
        joints = targets  # an arm that follows perfectly
    target_m = controller.kinematics.tool_pose(joints).position_m + controller.proprioception(joints)[9:12]
    assert begin_m + total[:3] * 0.02 == pytest.approx(target_m, abs=1e-3)
    assert (np.abs(total[3] * 0.4 + 0.5 - controller.proprioception(joints)[5]) < 1e-3).all()


def test_a_locked_joint_stays_where_the_episode_began_and_the_reset_respects_it() -> None:
    controller = EndEffectorController(ControllerSettings(locked_joints=("shoulder_pan",)), SCALE)
    joints = controller.joints_at(np.array([0.25, 0.06, 0.08]), 0.5)
    assert joints[0] == 0.0  # of the pose that every reset is solved from
    controller.begin(joints)
    sagged = joints + np.array([0.02, 0, 0, 0, 0, 0])
    targets, _ = controller.apply(np.array([1, 1, 0, 0], np.float32), sagged)
    assert targets[0] == 0.0
    moved_m = controller.kinematics.tool_pose(targets).position_m - controller.kinematics.tool_pose(joints).position_m
    assert moved_m[:2] == pytest.approx([0.02, 0.0], abs=0.002)


def test_a_tick_corrects_its_share_of_a_wrong_tilt_and_all_of_the_position() -> None:
    controller, joints = started((0.25, 0.0, 0.04))
    tilted = joints + np.array([0, 0, 0, -0.2, 0, 0])  # outwards by 0.2 rad
    controller.begin(tilted)
    at_m = controller.kinematics.tool_pose(tilted).position_m
    targets, _ = controller.apply(np.zeros(4, np.float32), tilted)
    assert controller.kinematics.tool_pose(targets).position_m == pytest.approx(at_m, abs=1e-4)
    # The tilt is pi/2 - lift - elbow - wrist: half of 0.2 rad is left.
    assert np.pi / 2 - targets[1:4].sum() == pytest.approx(0.1, abs=0.01)
