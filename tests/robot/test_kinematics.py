"""Forward and inverse kinematics agree, and respect the joints' limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot.kinematics import Kinematics
from robot.settings import ControllerSettings

KINEMATICS = Kinematics(ControllerSettings(iterations=30))
DOWN = np.array([0.0, 0.0, 0.0, 1.4, 0.0, 0.6])

# Where an episode happens: the field with a margin, from the table to above the lifted cube.
X_M, Y_M, Z_M = st.floats(0.18, 0.32), st.floats(-0.10, 0.10), st.floats(0.01, 0.12)


@settings(max_examples=60, deadline=None)
@given(X_M, Y_M, Z_M)
def test_the_solution_puts_the_tool_where_it_was_asked_for(x: float, y: float, z: float) -> None:
    joints = KINEMATICS.solve(np.array([x, y, z]), DOWN)
    assert np.linalg.norm(KINEMATICS.tool_pose(joints).position_m - [x, y, z]) < 0.001


@settings(max_examples=60, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.5, 1))
def test_no_target_however_far_leads_beyond_a_joint_limit(x: float, y: float, z: float) -> None:
    joints = KINEMATICS.solve(np.array([x, y, z]), DOWN)
    assert (joints >= KINEMATICS.lower_rad).all()
    assert (joints <= KINEMATICS.upper_rad).all()


def test_the_tool_points_down_over_the_field() -> None:
    joints = KINEMATICS.solve(np.array([0.25, 0.0, 0.03]), DOWN)
    assert KINEMATICS.tool_pose(joints).approach == pytest.approx([0, 0, -1], abs=0.02)


def test_roll_and_gripper_are_left_alone() -> None:
    start = np.array([0.0, 0.0, 0.0, 1.4, 0.2, 0.37])
    assert KINEMATICS.solve(np.array([0.22, 0.05, 0.05]), start)[4:] == pytest.approx([0.2, 0.37])


def test_the_zero_pose_is_the_one_of_the_published_model() -> None:
    # Arm stretched forwards: 0.391 m ahead of the base and 0.246 m up, tool pointing along x.
    pose = KINEMATICS.tool_pose(np.zeros(6))
    assert pose.position_m == pytest.approx([0.3914, -0.0010, 0.2463], abs=1e-3)
    assert pose.approach == pytest.approx([1, 0, 0], abs=1e-3)
