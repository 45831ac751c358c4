"""Actions become joint targets; what is reported as executed is what the target really moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot.controller import EndEffectorController
from robot.errors import InvalidTarget
from robot.safety import SafetyGuard
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


def test_a_target_that_is_no_number_is_refused_with_the_joint_named() -> None:
    guard = SafetyGuard(ControllerSettings(), np.full(6, -1.0), np.full(6, 1.0))
    with pytest.raises(InvalidTarget, match=r"elbow_flex.*nan"):
        guard.clamp(np.array([0, 0, np.nan, 0, 0, 0.0]), np.zeros(6))


def test_clamps_are_counted_by_limit_and_joint() -> None:
    guard = SafetyGuard(ControllerSettings(largest_joint_step_rad=0.2), np.full(6, -1.0), np.full(6, 1.0))
    clamped = guard.clamp(np.array([1.5, 0.1, 0.9, 0, 0, 0]), np.array([0.9, 0, 0, 0, 0, 0]))
    assert clamped == pytest.approx([1.0, 0.1, 0.2, 0, 0, 0])
    assert guard.clamps == {"limit.shoulder_pan": 1, "step.elbow_flex": 1}
