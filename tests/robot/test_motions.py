"""Motions that nobody steers: never through the table, never faster than told, and where they should end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import mujoco
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot.desk import Desk
from robot.errors import SafetyStop
from robot.kinematics import Kinematics
from robot.motions import GRIPPER, REST_RAD, SAFE_RAD, MotionSettings, park, park_path, reset_path, travel
from robot.settings import ControllerSettings, TaskSettings

Vector = NDArray[np.float64]

KINEMATICS = Kinematics(ControllerSettings())
TEN_DEGREES = math.radians(10)
# The same motions, a hundred times as fast.
FAST = MotionSettings(step_s=0.001, writes_per_step=1, settle_s=0.0, fold_s=0.02)
DOWN_RAD = np.array([0.0, 0.0, 0.0, 1.4, 0.0, 0.5])


class Table:
    """The geometry of the arm over its table: how low it is, and whether it touches itself."""

    def __init__(self) -> None:
        self._desk = Desk()
        model = self._desk.model
        self._desk.data.qpos[model.joint("cube").qposadr[0]] = 5.0  # out of the way
        moving = [
            body for body in range(model.nbody) if model.body(body).name not in ("world", "cube", "base", "shoulder")
        ]
        meshes = [
            geom
            for geom in range(model.ngeom)
            if model.geom_bodyid[geom] in moving and model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
        ]
        self._geoms = [(geom, _hull(model, int(model.geom_dataid[geom]))) for geom in meshes]
        self._table = model.geom("table").id

    def lowest_m(self, joint_rad: Vector) -> float:
        """Height of the arm's lowest point above the table, all meshes of what moves taken."""
        data = self._desk.data
        data.qpos[self._desk.joints] = joint_rad
        mujoco.mj_kinematics(self._desk.model, data)
        return min(
            float((points @ data.geom_xmat[geom].reshape(3, 3)[2]).min() + data.geom_xpos[geom][2])
            for geom, points in self._geoms
        )

    def touches_itself(self, joint_rad: Vector) -> bool:
        data = self._desk.data
        data.qpos[self._desk.joints] = joint_rad
        mujoco.mj_kinematics(self._desk.model, data)
        mujoco.mj_collision(self._desk.model, data)
        return any(self._table not in pair for pair in data.contact.geom)


def _hull(model: mujoco.MjModel, mesh: int) -> Vector:
    begin, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    points = model.mesh_vert[begin : begin + count]
    # Those farthest in each of many directions: all that a lowest point can be, within a millimetre.
    directions = np.random.default_rng(0).normal(size=(200, 3))
    return np.array(points[np.unique((points @ directions.T).argmax(axis=0))], np.float64)


TABLE = Table()


@dataclass
class ModelArm:
    """Joints that follow their goals as told: at once, with a lag, or not at all."""

    joint_rad: Vector
    sag_rad: Vector = field(default_factory=lambda: np.zeros(6))
    share: float = 1.0  # of the way to a goal that is done until the next one
    blocked_rad: float = math.inf  # the shoulder pan gets no farther
    goals: list[Vector] = field(default_factory=list)

    def read_joints(self) -> Vector:
        return self.joint_rad.copy()

    def write_goals(self, joint_rad: Vector) -> None:
        self.goals.append(joint_rad.copy())
        self.joint_rad = self.joint_rad + self.share * (joint_rad - self.sag_rad - self.joint_rad)
        self.joint_rad[0] = min(self.joint_rad[0], self.blocked_rad)


def along(points: Sequence[Vector]) -> Iterator[Vector]:
    for start, end in pairwise(points):
        count = max(1, math.ceil(np.abs(end - start).max() / 0.1))
        yield from (start + (end - start) * (index / count) for index in range(1, count + 1))


def require_clear(start: Vector, path: Sequence[Vector], clearance_m: float) -> None:
    for pose in along([start, *path]):
        assert TABLE.lowest_m(pose) > clearance_m
        assert not TABLE.touches_itself(pose)
        assert (pose >= KINEMATICS.lower_rad - 1e-9).all()
        assert (pose <= KINEMATICS.upper_rad + 1e-9).all()


@st.composite
def poses(draw: st.DrawFn) -> Vector:
    """Any pose within the joints' limits whose arm is above the table and does not touch itself."""
    shares = np.array(draw(st.tuples(*[st.floats(0, 1)] * 6)))
    pose = KINEMATICS.lower_rad + shares * (KINEMATICS.upper_rad - KINEMATICS.lower_rad)
    assume(TABLE.lowest_m(pose) > 0.001 and not TABLE.touches_itself(pose))
    return np.array(pose)


@st.composite
def starts(draw: st.DrawFn) -> Vector:
    """A start pose of the task, anywhere in its noise."""
    task = TaskSettings()
    noise = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3))) * task.start_noise_m
    seed = DOWN_RAD.copy()
    seed[GRIPPER] = task.start_gripper_rad
    return KINEMATICS.solve(np.array(task.start_m) + noise, seed)


@settings(max_examples=25, deadline=None)
@given(poses(), starts())
def test_the_way_to_a_start_is_clear_from_any_pose(pose: Vector, start: Vector) -> None:
    path = reset_path(pose, start, KINEMATICS, MotionSettings())
    require_clear(pose, path, 0.0)
    assert path[-1] == pytest.approx(start)


@settings(max_examples=25, deadline=None)
@given(poses())
def test_the_way_home_is_clear_from_any_pose(pose: Vector) -> None:
    require_clear(pose, park_path(pose), -0.003)  # at rest the fingertips lie on the table


def test_the_way_out_of_the_rest_pose_is_clear() -> None:
    path = reset_path(REST_RAD, KINEMATICS.solve(np.array([0.25, 0.0, 0.1]), DOWN_RAD), KINEMATICS, MotionSettings())
    require_clear(REST_RAD, path, -0.003)


def test_the_gripper_opens_above_the_target_and_the_tool_comes_straight_down() -> None:
    start = KINEMATICS.solve(np.array([0.25, 0.05, 0.06]), DOWN_RAD)
    grasping = np.array([0.3, 0.2, 0.1, 1.2, 0.5, 0.1])
    *_, above, opened, target = reset_path(grasping, start, KINEMATICS, MotionSettings())
    assert (above[GRIPPER], opened[GRIPPER], target[GRIPPER]) == (0.1, 0.5, 0.5)
    heights = [KINEMATICS.tool_pose(pose).position_m for pose in (opened, target)]
    assert heights[0] - heights[1] == pytest.approx([0, 0, 0.07], abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(poses(), starts(), st.floats(0.3, 1.0))
def test_no_goal_is_farther_from_the_one_before_than_a_step(pose: Vector, start: Vector, share: float) -> None:
    arm = ModelArm(pose, share=share)
    travel(arm, reset_path(pose, start, KINEMATICS, FAST), FAST)
    goals = np.array([pose, *arm.goals])
    assert np.abs(np.diff(goals[:, :GRIPPER], axis=0)).max() <= TEN_DEGREES + 1e-9
    assert KINEMATICS.tool_pose(arm.joint_rad).position_m == pytest.approx(
        KINEMATICS.tool_pose(start).position_m, abs=0.002
    )


def test_what_gravity_takes_is_corrected() -> None:
    arm = ModelArm(SAFE_RAD.copy(), sag_rad=np.array([0.0, 0.05, 0.03, 0.02, 0.0, 0.0]))
    start = KINEMATICS.solve(np.array([0.25, 0.0, 0.1]), DOWN_RAD)
    report = travel(arm, [start], FAST)
    assert report.joint_error_rad <= FAST.tolerance_rad
    assert report.tool_error_m(KINEMATICS) < 0.002
    without = travel(arm, [SAFE_RAD, start], FAST.model_copy(update={"correction_steps": 0}))
    assert without.tool_error_m(KINEMATICS) > 0.01


def test_an_arm_that_is_held_up_is_stuck_and_pushes_no_more() -> None:
    arm = ModelArm(SAFE_RAD.copy(), blocked_rad=0.2)
    with pytest.raises(SafetyStop, match=r"shoulder_pan: stuck at 0\.20 rad"):
        travel(arm, [np.array([1.5, *SAFE_RAD[1:]])], FAST)
    assert max(goal[0] for goal in arm.goals) < 0.2 + FAST.leash_rad + FAST.largest_step_rad
    assert arm.goals[-1] == pytest.approx(arm.joint_rad)


def test_a_slow_arm_is_waited_for() -> None:
    arm = ModelArm(SAFE_RAD.copy(), share=0.2)
    there = np.array([1.5, *SAFE_RAD[1:]])
    report = travel(arm, [there], FAST)
    assert report.joint_error_rad < FAST.arrival_rad
    assert report.steps > 1.5 / FAST.largest_step_rad


def test_a_blocked_gripper_squeezes_gently_and_stops_nothing() -> None:
    arm = ModelArm(np.array([*SAFE_RAD[:5], 0.8]))
    arm.sag_rad[GRIPPER] = 0.0

    class Holding(ModelArm):
        def write_goals(self, joint_rad: Vector) -> None:
            super().write_goals(joint_rad)
            self.joint_rad[GRIPPER] = 0.8  # something is between the jaws

    holding = Holding(np.array([*SAFE_RAD[:5], 0.8]))
    park(holding, FAST)
    assert min(goal[GRIPPER] for goal in holding.goals) == pytest.approx(0.8 - FAST.leash_rad)
    assert holding.joint_rad[:GRIPPER] == pytest.approx(REST_RAD[:GRIPPER], abs=1e-6)


def test_a_motion_that_is_stopped_leaves_the_arm_where_it_is() -> None:
    arm = ModelArm(SAFE_RAD.copy())
    with pytest.raises(SafetyStop, match="stopped on its way"):
        travel(arm, [np.array([1.5, *SAFE_RAD[1:]])], FAST, stop=lambda: len(arm.goals) >= 4)
    assert len(arm.goals) == 5
    assert arm.goals[-1] == pytest.approx(arm.joint_rad)


def test_folding_takes_its_time() -> None:
    arm = ModelArm(SAFE_RAD.copy())
    slow = FAST.model_copy(update={"fold_s": 0.1})  # a hundred steps
    assert park(arm, slow).steps >= 100
    fold = np.diff(np.array(arm.goals)[-100:], axis=0)
    assert np.abs(fold[:, :GRIPPER]).max() < 1.3 * np.abs(REST_RAD - SAFE_RAD).max() / 100


def test_steps_beyond_ten_degrees_are_refused() -> None:
    with pytest.raises(ValueError, match="largest_step_rad"):
        MotionSettings(largest_step_rad=0.2)
    with pytest.raises(ValueError, match="expected more than largest_step_rad"):
        MotionSettings(leash_rad=0.1)
