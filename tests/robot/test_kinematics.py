"""Forward and inverse kinematics agree, respect limits and locks, and pass singular poses without a jump."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.errors import InvalidTarget
from robot.kinematics import Kinematics
from robot.settings import ControllerSettings

Vector = NDArray[np.float64]

KINEMATICS = Kinematics(ControllerSettings())
STRIVING = Kinematics(ControllerSettings(tool_tilt_rad=-0.3))  # wishes for more than straight down
LOWER, UPPER = KINEMATICS.lower_rad, KINEMATICS.upper_rad
DOWN = np.array([0.0, 0.0, 0.0, 1.4, 0.0, 0.6])
LOW_M, HIGH_M = np.array(ControllerSettings().box_low_m), np.array(ControllerSettings().box_high_m)

# Where an episode happens: the field with a margin, from the table to above the lifted cube. All of it can be reached.
FIELD = st.tuples(st.floats(0.18, 0.32), st.floats(-0.10, 0.10), st.floats(0.01, 0.12)).map(np.array)
BOX = st.tuples(*(st.floats(low, high) for low, high in zip(LOW_M, HIGH_M, strict=True))).map(np.array)
FAR = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.5, 1)).map(np.array)
DIRECTION = (
    st.tuples(*[st.floats(-1, 1)] * 3)
    .map(np.array)
    .filter(lambda way: np.linalg.norm(way) > 0.1)
    .map(lambda way: way / np.linalg.norm(way))
)
JOINTS = st.tuples(*(st.floats(low, high) for low, high in zip(LOWER, UPPER, strict=True))).map(np.array)


def off_m(joints: Vector, target_m: Vector) -> float:
    return float(np.linalg.norm(KINEMATICS.tool_pose(joints).position_m - target_m))


def tilt_rad(joints: Vector) -> float:
    """From straight down towards straight ahead of the shoulder."""
    approach, pan = KINEMATICS.tool_pose(joints).approach, joints[0]
    outward = np.array([math.cos(pan), -math.sin(pan), 0.0])  # a positive pan turns to the right
    return math.atan2(approach @ outward, -approach[2])


def steps_rad(from_m: Vector, direction: Vector, steps: int) -> list[float]:
    """The largest change of a joint at each millimetre of a straight way."""
    ways = [KINEMATICS.solve(from_m, DOWN)]
    for step in range(steps):
        ways.append(KINEMATICS.solve(from_m + 0.001 * step * direction, ways[-1]))
    return [float(np.abs(after - before).max()) for before, after in itertools.pairwise(ways)]


class TestReachable:
    @settings(max_examples=25, deadline=None)
    @given(FIELD, FIELD)
    def test_the_tool_is_where_it_was_asked_for_whether_it_comes_from_near_or_far(
        self, target_m: Vector, before_m: Vector
    ) -> None:
        far = KINEMATICS.solve(target_m, DOWN)
        near = KINEMATICS.solve(target_m, KINEMATICS.solve(before_m, DOWN))
        assert off_m(far, target_m) < 1e-4
        assert off_m(near, target_m) < 1e-4
        # Where it comes from leaves no trace beyond the tolerance.
        assert near == pytest.approx(far, abs=0.03)

    @settings(max_examples=25, deadline=None)
    @given(JOINTS)
    def test_a_pose_of_the_arm_in_the_box_is_found_again_from_there(self, joints: Vector) -> None:
        target_m = np.clip(KINEMATICS.tool_pose(joints).position_m, LOW_M, HIGH_M)
        before_m = off_m(joints, target_m)
        assert off_m(KINEMATICS.solve(target_m, joints), target_m) <= max(before_m, 1e-4)

    def test_the_tool_points_down_over_the_field(self) -> None:
        joints = KINEMATICS.solve(np.array([0.25, 0.0, 0.03]), DOWN)
        assert KINEMATICS.tool_pose(joints).approach == pytest.approx([0, 0, -1], abs=0.005)

    def test_a_wished_tilt_is_kept_where_there_is_room_for_it(self) -> None:
        tilted = Kinematics(ControllerSettings(tool_tilt_rad=0.5))
        joints = tilted.solve(np.array([0.25, 0.05, 0.06]), DOWN)
        assert off_m(joints, np.array([0.25, 0.05, 0.06])) < 1e-4
        assert tilt_rad(joints) == pytest.approx(0.5, abs=0.005)

    @settings(max_examples=20, deadline=None)
    @given(BOX)
    def test_a_tool_that_is_not_upright_cannot_be_held_there_more_upright(self, target_m: Vector) -> None:
        joints = KINEMATICS.solve(target_m, DOWN)
        if off_m(joints, target_m) < 1e-4 and tilt_rad(joints) > 0.02:
            assert tilt_rad(STRIVING.solve(target_m, joints)) == pytest.approx(tilt_rad(joints), abs=0.02)


class TestLimitsAndLocks:
    @settings(max_examples=25, deadline=None)
    @given(FAR, JOINTS)
    def test_no_target_however_far_leads_beyond_a_joint_limit(self, target_m: Vector, joints: Vector) -> None:
        solved = KINEMATICS.solve(target_m, joints)
        assert (solved >= LOWER).all()
        assert (solved <= UPPER).all()
        assert off_m(solved, target_m) <= off_m(joints, target_m) + 1e-2  # the tilt may cost what it weighs

    @settings(max_examples=25, deadline=None)
    @given(FIELD, JOINTS, st.sets(st.sampled_from(JOINT_NAMES[:4])))
    def test_locked_joints_stay_where_they_are(self, target_m: Vector, joints: Vector, locked: set[str]) -> None:
        solved = KINEMATICS.solve(target_m, joints, locked)
        held = [JOINT_NAMES.index(name) for name in locked] + [4, 5]
        assert (solved[held] == joints[held]).all()

    def test_the_others_do_what_a_locked_joint_cannot(self) -> None:
        target_m = np.array([0.28, 0.05, 0.05])
        # The pan stands at the target's bearing: nothing but it would have moved sideways.
        start = DOWN.copy()
        start[0] = KINEMATICS.solve(target_m, DOWN)[0]
        assert off_m(KINEMATICS.solve(target_m, start, {"shoulder_pan"}), target_m) < 1e-4
        # Without the wrist, three joints still have a position, and no tilt to choose.
        start[3] = 1.2
        assert off_m(KINEMATICS.solve(target_m, start, {"wrist_flex"}), target_m) < 1e-4


class TestSingularAndUnreachable:
    @settings(max_examples=8, deadline=None)
    @given(FIELD, DIRECTION)
    def test_over_the_field_a_millimetre_of_the_tool_is_at_most_four_and_a_half_degrees_of_a_joint(
        self, from_m: Vector, direction: Vector
    ) -> None:
        # Where the tool can just not point straight down any more, far out at the table, it is 4 degrees; elsewhere 2.
        assert max(steps_rad(from_m, direction, 20)) < math.radians(4.5)

    @settings(max_examples=8, deadline=None)
    @given(BOX, DIRECTION)
    def test_nowhere_in_the_box_nor_beyond_it_does_a_joint_jump(self, from_m: Vector, direction: Vector) -> None:
        # At the end of the arm's reach an angle goes with the root of the way, not with the way.
        assert max(steps_rad(from_m, direction, 40)) < 0.25

    def test_an_arm_that_is_stretched_and_comes_back_moves_evenly(self) -> None:
        # From the field to 0.6 m ahead, where the arm is straight, and back again: 1 mm at a time.
        way = np.concatenate([np.linspace(0.3, 0.6, 301), np.linspace(0.6, 0.3, 301)])
        joints = KINEMATICS.solve(np.array([0.3, 0.0, 0.1]), DOWN)
        start, largest_rad = joints, 0.0
        for x_m in way:
            before, joints = joints, KINEMATICS.solve(np.array([x_m, 0.0, 0.1]), joints)
            largest_rad = max(largest_rad, float(np.abs(joints - before).max()))
        # The last millimetre before the arm is straight costs an angle of its root: sqrt(2 * 0.001 / 0.12) = 0.13.
        assert largest_rad < 0.2
        assert joints == pytest.approx(start, abs=0.03)

    @pytest.mark.parametrize("height_m", [0.15, 0.3, 0.45])
    def test_over_the_base_axis_where_the_pan_is_anything_it_stays_finite_and_within_limits(
        self, height_m: float
    ) -> None:
        joints = DOWN
        for y_m in np.linspace(-0.05, 0.05, 41):
            joints = KINEMATICS.solve(np.array([0.0388, y_m, height_m]), joints)
            assert ((joints >= LOWER) & (joints <= UPPER)).all()

    @settings(max_examples=20, deadline=None)
    @given(st.tuples(st.floats(0.35, 1.0), st.floats(-0.4, 0.4), st.floats(0.0, 0.6)).map(np.array))
    def test_an_unreachable_target_gets_the_nearest_pose(self, target_m: Vector) -> None:
        joints = KINEMATICS.solve(target_m, DOWN)
        nearest_m = np.linalg.norm(_cloud() - target_m, axis=1).min()
        assert off_m(joints, target_m) < nearest_m + 1e-3

    @pytest.mark.parametrize("broken", [math.nan, math.inf])
    def test_what_is_not_a_number_is_refused(self, broken: float) -> None:
        with pytest.raises(InvalidTarget, match=str(broken)):
            KINEMATICS.solve(np.array([0.25, broken, 0.1]), DOWN)
        with pytest.raises(InvalidTarget, match=str(broken)):
            KINEMATICS.solve(np.array([0.25, 0.0, 0.1]), np.array([0, 0, broken, 0, 0, 0]))


class TestModel:
    def test_the_zero_pose_is_the_one_of_the_published_model(self) -> None:
        # Arm stretched forwards: 0.391 m ahead of the base and 0.246 m up, tool pointing along x.
        pose = KINEMATICS.tool_pose(np.zeros(6))
        assert pose.position_m == pytest.approx([0.3914, -0.0010, 0.2463], abs=1e-3)
        assert pose.approach == pytest.approx([1, 0, 0], abs=1e-3)

    @settings(max_examples=25, deadline=None)
    @given(JOINTS)
    def test_the_tilt_is_linear_in_the_three_joints_that_flex(self, joints: Vector) -> None:
        expected = math.pi / 2 - joints[1:4].sum()
        turns = (tilt_rad(joints) - expected) / (2 * math.pi)
        assert turns == pytest.approx(round(turns), abs=1e-6)


_CLOUD: list[Vector] = []


def _cloud() -> Vector:
    """Tools (20000, 3) of random joints, made once."""
    if not _CLOUD:
        generator = np.random.default_rng(0)
        _CLOUD.append(
            np.array([KINEMATICS.tool_pose(generator.uniform(LOWER, UPPER)).position_m for _ in range(20_000)])
        )
    return _CLOUD[0]
