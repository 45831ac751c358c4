"""From LeRobot's joint values to observations and actions of the contract."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from demos.errors import ExchangeRefused
from demos.joint_space import joint_order, require_plausible, resample, to_motion, to_radians
from robot.arm import JOINT_NAMES
from robot.controller import EndEffectorController
from robot.kinematics import Kinematics
from robot.settings import ControllerSettings
from robot.so101.calibration import MODEL_RANGES_RAD, JointCalibration, Scale

SETTINGS = ControllerSettings()
SCALE = np.array([0.02, 0.02, 0.02, 0.4])
KINEMATICS = Kinematics(SETTINGS)
# Its joints turn by 1000 to 1400 ticks to either side of 2000 or so.
CALIBRATION = {
    name: JointCalibration(id=i + 1, drive_mode=0, homing_offset=0, range_min=900 - 50 * i, range_max=3000 + 30 * i)
    for i, name in enumerate(JOINT_NAMES)
}


class TestUnits:
    def test_degrees_count_from_the_middle_and_the_gripper_from_closed_to_open(self) -> None:
        (joint_rad,) = to_radians(np.array([[90.0, -45, 0, 10, 0, 50]]), "degrees", None)
        # One tick of 4096 is lost in LeRobot's turn: 90 deg are 90 * 4095 / 4096 of the servo's.
        assert joint_rad[0] == pytest.approx(math.pi / 2 * 4095 / 4096)
        assert joint_rad[1] == pytest.approx(-math.pi / 4 * 4095 / 4096)
        assert joint_rad[5] == pytest.approx((-0.174533 + 1.7453292) / 2)

    def test_normalised_values_span_the_range_of_the_model(self) -> None:
        low, high = to_radians(np.array([[-100.0] * 5 + [0], [100.0] * 5 + [100]]), "normalised", None)
        np.testing.assert_allclose(low, MODEL_RANGES_RAD[:, 0])
        np.testing.assert_allclose(high, MODEL_RANGES_RAD[:, 1])

    @given(st.lists(st.integers(1000, 2900), min_size=6, max_size=6), st.sampled_from(["degrees", "normalised"]))
    def test_with_a_calibration_they_are_what_our_driver_reads_off_the_same_ticks(
        self, ticks: list[int], units: str
    ) -> None:
        low = np.array([joint.range_min for joint in CALIBRATION.values()])
        high = np.array([joint.range_max for joint in CALIBRATION.values()])
        share = (np.array(ticks) - low) / (high - low)
        # lerobot.motors.motors_bus.MotorsBus._normalize
        values = (np.array(ticks) - (low + high) / 2) * 360 / 4095 if units == "degrees" else 200 * share - 100
        values[5] = 100 * share[5]
        got = to_radians(values[None], "degrees" if units == "degrees" else "normalised", CALIBRATION)
        np.testing.assert_allclose(got[0], Scale.of(CALIBRATION).radians(np.array(ticks)), atol=1e-9)

    def test_joints_are_found_by_name_in_any_order(self) -> None:
        names = [f"{name}.pos" for name in reversed(JOINT_NAMES)]
        assert joint_order(names, "here") == [5, 4, 3, 2, 1, 0]

    def test_names_of_the_time_before_the_zero_in_the_middle_are_refused(self) -> None:
        with pytest.raises(ExchangeRefused, match="zero was the stretched arm"):
            joint_order([f"main_{name}" for name in JOINT_NAMES], "here")

    @pytest.mark.parametrize("names", [[], ["a.pos"] * 6, [f"{name}.pos" for name in JOINT_NAMES[:5]]])
    def test_other_dimensions_are_refused(self, names: list[str]) -> None:
        with pytest.raises(ExchangeRefused, match=r"shoulder_pan\.pos"):
            joint_order(names, "here")

    def test_angles_that_no_arm_can_have_are_refused_by_joint(self) -> None:
        joint_rad = np.zeros((4, 6))
        joint_rad[2, 1] = math.radians(140)
        with pytest.raises(ExchangeRefused, match="shoulder_lift would be at 140 deg, the joint goes from -100 to 100"):
            require_plausible(joint_rad, "here")
        joint_rad[2, 1] = math.nan
        with pytest.raises(ExchangeRefused, match="finite"):
            require_plausible(joint_rad, "here")


class TestResampling:
    def test_takes_every_third_of_thirty_and_the_command_before_the_next(self) -> None:
        # Rows 0..9 at 30 Hz are seen at 0.0, 0.1, 0.2 and 0.3 s.
        seen, commanded = resample(10, 30, 10)
        assert seen.tolist() == [0, 3, 6, 9]
        assert commanded.tolist() == [2, 5, 8]

    def test_takes_all_at_the_same_rate(self) -> None:
        seen, commanded = resample(4, 10, 10)
        assert seen.tolist() == [0, 1, 2, 3]
        assert commanded.tolist() == [0, 1, 2]

    @given(st.integers(0, 500), st.integers(1, 120), st.integers(1, 60))
    def test_keeps_time_and_order_at_any_rates(self, frames: int, fps: int, control_hz: int) -> None:
        if fps < control_hz:
            with pytest.raises(ExchangeRefused, match="cannot be known"):
                resample(frames, fps, control_hz)
            return
        seen, commanded = resample(frames, fps, control_hz)
        assert len(commanded) == max(0, len(seen) - 1)
        assert ((seen[:-1] <= commanded) & (commanded < seen[1:])).all()
        # No row is farther from its time than half of one.
        assert (np.abs(seen / fps - np.arange(len(seen)) / control_hz) <= 0.5 / fps + 1e-9).all()
        # Nothing that would have made another step is left over.
        assert not len(seen) or frames - 1 - seen[-1] <= math.ceil(fps / control_hz)


class Drive(NamedTuple):
    """What our controller did with an arm that is always where it was sent."""

    measured: NDArray[np.float64]  # (T + 1, 6)
    commanded: NDArray[np.float64]  # (T, 6)
    executed: NDArray[np.float32]  # (T, 4)
    short_m: NDArray[np.float64]  # (T + 1,) how far the joints that were found are from the target


def drive(actions: NDArray[np.float32]) -> Drive:
    controller = EndEffectorController(SETTINGS, SCALE.astype(np.float32))
    measured = [controller.joints_at(np.array([0.25, 0.0, 0.1]), 0.6)]
    controller.begin(measured[0])
    executed, short_m = [], [0.0]
    for action in actions:
        target_rad, done = controller.apply(action, measured[-1])
        measured.append(target_rad)
        executed.append(done)
        short_m.append(float(np.linalg.norm(controller.proprioception(target_rad)[9:12])))
    return Drive(np.array(measured), np.array(measured[1:]), np.array(executed), np.array(short_m))


class TestMotion:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_what_our_controller_has_commanded_comes_back_as_its_actions(self, seed: int) -> None:
        actions = np.random.default_rng(seed).uniform(-1, 1, (12, 4)).astype(np.float32)
        driven = drive(actions)
        motion = to_motion(driven.measured, driven.commanded, KINEMATICS, SETTINGS, SCALE)
        # The inverse kinematics stops within 0.05 mm, 0.0025 of an action; two such errors add up. Near the rim of
        # what the arm reaches it stops short: then the joints say where the arm went, the action where it was to go.
        arrived = driven.short_m < 0.6e-4
        reached = ~motion.outside & ~motion.clipped & arrived[:-1] & arrived[1:]
        np.testing.assert_allclose(motion.action[reached], driven.executed[reached], atol=0.006)
        assert reached.mean() > 0.25
        assert (np.abs(motion.action) <= 1).all()

    def test_observations_are_those_of_our_controller(self) -> None:
        driven = drive(np.full((5, 4), 0.5, np.float32))
        motion = to_motion(driven.measured, driven.commanded, KINEMATICS, SETTINGS, SCALE)
        for joint_rad, seen in zip(driven.measured, motion.proprioception, strict=True):
            np.testing.assert_allclose(seen[:6], joint_rad, atol=1e-6)
            np.testing.assert_allclose(seen[6:9], KINEMATICS.tool_pose(joint_rad).position_m, atol=1e-6)
        # The arm was where it was sent, so that the target leads it by nothing.
        np.testing.assert_allclose(motion.proprioception[:, 9:], 0, atol=2e-4)

    def test_what_is_too_fast_for_one_step_is_caught_up_with_in_the_next(self) -> None:
        begin = EndEffectorController(SETTINGS, SCALE.astype(np.float32)).joints_at(np.array([0.25, 0.0, 0.1]), 0.6)
        far = EndEffectorController(SETTINGS, SCALE.astype(np.float32)).joints_at(np.array([0.25, 0.03, 0.1]), 0.6)
        # Commanded at once, 30 mm to the left: 20 mm in the first step, which was clipped, 10 mm in the second.
        motion = to_motion(np.array([begin, begin, begin]), np.array([far, far]), KINEMATICS, SETTINGS, SCALE)
        np.testing.assert_allclose(motion.action[:, 1], [1.0, 0.5], atol=0.01)
        assert motion.clipped.tolist() == [True, False]
        np.testing.assert_allclose(motion.lag_m, [0.01, 0.0], atol=3e-4)

    def test_the_leash_holds_a_target_that_the_arm_does_not_follow(self) -> None:
        begin = EndEffectorController(SETTINGS, SCALE.astype(np.float32)).joints_at(np.array([0.25, 0.0, 0.1]), 0.6)
        far = EndEffectorController(SETTINGS, SCALE.astype(np.float32)).joints_at(np.array([0.25, 0.08, 0.1]), 0.6)
        motion = to_motion(np.array([begin] * 5), np.array([far] * 4), KINEMATICS, SETTINGS, SCALE)
        # 0.02, then 0.015 to the leash of 0.035 m, then nothing.
        np.testing.assert_allclose(motion.action[:, 1], [1.0, 0.75, 0, 0], atol=0.01)
        assert motion.clipped.all()

    def test_what_lies_out_of_the_box_or_beyond_the_jaw_is_counted_and_not_commanded(self) -> None:
        measured = drive(np.zeros((2, 4), np.float32)).measured
        outside = np.zeros(6)  # stretched out, far beyond the box
        outside[5] = 1.7
        motion = to_motion(measured, np.array([outside, outside]), KINEMATICS, SETTINGS, SCALE)
        assert motion.outside.all()
        assert motion.wide.all()
        assert motion.action[0, 3] == 1.0  # 0.4 rad of the way from 0.6 to the limit, 1.0
        assert motion.action[1, 3] == pytest.approx(0.0, abs=1e-3)
