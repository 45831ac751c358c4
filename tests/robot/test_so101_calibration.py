"""Ticks and radians of the real arm, and what is doubted about a calibration."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig

from robot.kinematics import Kinematics
from robot.settings import ControllerSettings
from robot.so101.calibration import (
    MODEL_RANGES_RAD,
    JointCalibration,
    Scale,
    calibration_path,
    load_calibration,
)
from robot.so101.errors import CalibrationRefused
from robot.so101.lint import lint_file, lint_pair, require_sound_calibration
from robot.so101.settings import BusSettings

# As LeRobot's procedure finds it on an arm with the model's ranges: 2047 is the middle, 2 pi is 4096 ticks.
SOUND = {
    "shoulder_pan": JointCalibration(id=1, drive_mode=0, homing_offset=-16, range_min=795, range_max=3299),
    "shoulder_lift": JointCalibration(id=2, drive_mode=0, homing_offset=-487, range_min=909, range_max=3185),
    "elbow_flex": JointCalibration(id=3, drive_mode=0, homing_offset=1655, range_min=945, range_max=3149),
    "wrist_flex": JointCalibration(id=4, drive_mode=0, homing_offset=163, range_min=966, range_max=3128),
    "wrist_roll": JointCalibration(id=5, drive_mode=0, homing_offset=-1952, range_min=0, range_max=4095),
    "gripper": JointCalibration(id=6, drive_mode=0, homing_offset=1079, range_min=1421, range_max=2673),
}


def changed(name: str, **fields: int) -> dict[str, JointCalibration]:
    return {**SOUND, name: SOUND[name].model_copy(update=fields)}


class TestScale:
    def test_a_body_joint_is_0_in_its_middle_and_a_quarter_turn_is_1024_ticks(self) -> None:
        ticks = np.array([2047, 2047, 2047, 2047 + 1024, 2047, 1421])
        angles = Scale.of(SOUND).radians(ticks)
        assert angles[:3] == pytest.approx([0.0, 0.0, 0.0])
        assert angles[3] == pytest.approx(math.pi / 2)

    def test_the_gripper_is_closed_at_its_lowest_tick_and_open_at_its_highest_whatever_its_range(self) -> None:
        scale = Scale.of(changed("gripper", range_min=2000, range_max=3500))
        closed, half, opened = (scale.radians(np.full(6, ticks))[5] for ticks in (2000, 2750, 3500))
        # -0.17453..1.74533 rad, and (-0.17453 + 1.74533) / 2 in the middle.
        assert [closed, half, opened] == pytest.approx([-0.174533, 0.785398, 1.745329], abs=1e-5)
        assert scale.ticks(np.zeros(6))[5] == 2000 + round(0.174533 / 1.919862 * 1500)

    @given(st.lists(st.floats(-1.6, 1.6), min_size=6, max_size=6))
    def test_there_and_back_is_off_by_half_a_tick_at_most(self, angles: list[float]) -> None:
        joint_rad = np.clip(angles, MODEL_RANGES_RAD[:, 0], MODEL_RANGES_RAD[:, 1])
        scale = Scale.of(SOUND)
        # 2 pi / 4096 = 1.534 mrad a tick; the ends of a range are rounded to whole ticks too.
        assert scale.radians(scale.ticks(joint_rad)) == pytest.approx(joint_rad, abs=1.6e-3)

    def test_no_goal_is_beyond_the_calibrated_range(self) -> None:
        scale = Scale.of(SOUND)
        np.testing.assert_array_equal(scale.ticks(np.full(6, 9.0)), [it.range_max for it in SOUND.values()])
        np.testing.assert_array_equal(scale.ticks(np.full(6, -9.0)), [it.range_min for it in SOUND.values()])

    def test_the_ranges_are_those_of_the_model_and_zero_is_the_middle_of_each_body_joint(self) -> None:
        kinematics = Kinematics(ControllerSettings())
        model = np.stack([kinematics.lower_rad, kinematics.upper_rad], axis=1)
        np.testing.assert_allclose(MODEL_RANGES_RAD, model, atol=1e-6)
        assert MODEL_RANGES_RAD[:5].mean(axis=1) == pytest.approx(np.zeros(5), abs=1e-6)

    def test_it_says_what_lerobot_says_in_degrees_and_per_cent(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(json.dumps({name: it.model_dump() for name, it in SOUND.items()}))
        lerobot = SO101Follower(SO101FollowerConfig(port="/dev/null", id="a", calibration_dir=tmp_path)).bus
        ticks = np.array([1000, 2000, 3000, 1500, 100, 2000])
        theirs = lerobot._normalize({index + 1: int(it) for index, it in enumerate(ticks)})
        ours = Scale.of(load_calibration(tmp_path / "a.json")).radians(ticks)
        # LeRobot takes a turn to be 4095 ticks, which is 0.03 % off; the gripper's 110 degrees are its 100 %.
        assert np.degrees(ours[:5]) == pytest.approx([theirs[id_] for id_ in range(1, 6)], rel=3e-4)
        assert (np.degrees(ours[5]) + 10) / 110 * 100 == pytest.approx(theirs[6], abs=1e-3)


class TestFile:
    def test_it_is_looked_for_where_lerobot_keeps_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("utils.constants", "robots.robot", "teleoperators.teleoperator"):
            monkeypatch.setattr(f"lerobot.{module}.HF_LEROBOT_CALIBRATION", tmp_path)  # it makes folders there
        follower = SO101Follower(SO101FollowerConfig(port="/dev/null", id="a"))
        assert calibration_path(BusSettings(id="a"), "follower") == follower.calibration_fpath
        leader = SO101Leader(SO101LeaderConfig(port="/dev/null", id="a"))
        assert calibration_path(BusSettings(id="a"), "leader") == leader.calibration_fpath
        assert calibration_path(BusSettings(calibration_dir=tmp_path, id="x"), "leader") == tmp_path / "x.json"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (None, "there is no calibration; calibrate the arm with `nudge calibrate`"),
            ("", "expected a calibration that LeRobot wrote"),
            ('{"gripper": {"id": 6}}', "Field required"),
            ("{}", "got the joints none, expected shoulder_pan"),
        ],
    )
    def test_what_is_no_calibration_is_refused(self, tmp_path: Path, text: str | None, reason: str) -> None:
        path = tmp_path / "follower.json"
        if text is not None:
            path.write_text(text)
        with pytest.raises(CalibrationRefused, match=reason):
            load_calibration(path)


class TestLint:
    def test_a_sound_calibration_has_no_findings(self) -> None:
        assert lint_file("arm", SOUND, 0.15) == []
        assert lint_pair(SOUND, SOUND, 0.15) == []
        require_sound_calibration("path", [])

    @pytest.mark.parametrize(
        ("joint", "fields", "finding"),
        [
            # The elbow's model has 3.38 rad * 4096 / 2 pi = 2203 ticks; 15 % off are 1873 and 2534.
            ("elbow_flex", {"range_min": 1400}, "range of 1749 ticks, expected 1873..2534 .* not moved to both"),
            ("elbow_flex", {"range_max": 3600}, "range of 2655 ticks, expected 1873..2534 .* turned past an end"),
            ("gripper", {"range_max": 2000}, "range of 579 ticks"),
            ("wrist_roll", {"range_min": 500}, "range of 3595 ticks, expected the whole turn"),
            ("shoulder_pan", {"range_min": 3299}, "range of 3299..3299, expected 0 <= range_min < range_max"),
            ("shoulder_pan", {"range_max": 4200}, r"range of 795\.\.4200, expected 0 <= range_min < range_max < 4096"),
            ("shoulder_lift", {"drive_mode": 1}, "drive_mode 1, expected 0"),
            ("wrist_flex", {"homing_offset": 3000}, "homing_offset 3000, expected -2047..2047"),
            ("gripper", {"id": 5}, "id 5, expected id 6; set it with lerobot-setup-motors"),
        ],
    )
    def test_what_would_misplace_a_joint_is_found(self, joint: str, fields: dict[str, int], finding: str) -> None:
        findings = lint_file("arm", changed(joint, **fields), 0.15)
        assert {it.joint for it in findings} == {joint}
        with pytest.raises(CalibrationRefused, match=rf"arm, {joint}: got (a )?{finding}"):
            require_sound_calibration("path", findings)

    def test_a_leader_must_have_the_ids_and_the_ranges_of_its_follower(self) -> None:
        found = [str(it) for it in lint_pair(SOUND, changed("elbow_flex", id=4, range_max=2500), 0.15)]
        assert "leader, elbow_flex: got id 4, expected id 3" in found[0]
        # 2204 ticks against 1555; 15 % of the larger are 331.
        assert "got a range of 1555 ticks, expected the follower's 2204, 331 more or less" in found[1]
