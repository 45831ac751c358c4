"""A dataset of joint angles, as LeRobot records them, becomes experience; what it does not say is stated or refused."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demos.errors import ExchangeRefused
from demos.import_report import LeRobotImportReport
from demos.joint_checks import require_above_table
from demos.joint_settings import JointSpaceSettings
from demos.lerobot_import import import_dataset
from exchange import quiet_caches, read
from policy.contract import Camera, Contract, Crop
from robot.arm import JOINT_NAMES
from robot.contract import cube_dimensions, so101_contract
from robot.controller import EndEffectorController
from robot.settings import ControllerSettings

pytestmark = pytest.mark.slow

HEIGHT_PX, WIDTH_PX, SIZE_PX = 48, 64, 24
CAMERA = Camera(
    name="wrist",
    native_height_px=HEIGHT_PX,
    native_width_px=WIDTH_PX,
    crop=Crop(top=0, left=8, height=48, width=48),
    size_px=SIZE_PX,
)
CONTRACT = so101_contract((CAMERA,), (), 10.0)
DEGREES = JointSpaceSettings(units="degrees")
LOW_DEG = math.degrees(-0.174533)
SPAN_DEG = math.degrees(1.7453292 + 0.174533)

_caches = pytest.fixture(scope="module", autouse=True)(quiet_caches)


def degrees(joint_rad: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """As LeRobot has them, with `use_degrees`: a turn has 4095 ticks there, 4096 in the servo."""
    values = np.degrees(joint_rad) * 4096 / 4095
    values[5] = 100 * (math.degrees(joint_rad[5]) - LOW_DEG) / SPAN_DEG
    return np.asarray(values, np.float32)


def record(folder: Path, episodes: int = 2, rows: int = 32, robot: str = "so_follower") -> Path:
    """30 Hz; the tool goes 30 mm/s to the left, the jaw opens by 0.3 rad/s; the arm gets there a row later."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.utils.feature_utils import hw_to_dataset_features

    joints = {f"{name}.pos": float for name in JOINT_NAMES}
    features = {
        **hw_to_dataset_features({**joints, "wrist": (HEIGHT_PX, WIDTH_PX, 3)}, "observation", use_video=False),
        **hw_to_dataset_features(joints, "action"),
    }
    controller = EndEffectorController(ControllerSettings(), CONTRACT.action_scale)
    made = LeRobotDataset.create("local/joints", 30, features, folder, robot, use_videos=False, video_backend="pyav")
    way = [controller.joints_at(np.array([0.25, 0.001 * row, 0.1]), 0.2 + 0.01 * row) for row in range(rows + 1)]
    for _ in range(episodes):
        for row in range(rows):
            made.add_frame(
                {
                    "observation.state": degrees(way[row]),
                    "action": degrees(way[row + 1]),
                    "observation.images.wrist": native(row),
                    "task": "Lift it.",
                }
            )
        made.save_episode()
    made.finalize()
    return folder


def native(row: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Says which row it is, inside of the crop only."""
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    frame[:, 8:56] = (row, 2 * row, 3 * row)
    return frame


@pytest.fixture(scope="module")
def joints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("joints") / "dataset")


@pytest.fixture(scope="module")
def imported(joints: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LeRobotImportReport, Path]:
    path = tmp_path_factory.mktemp("imported") / "experience.sqlite"
    success = DEGREES.model_copy(update={"outcome": "success"})
    return import_dataset(joints, path, CONTRACT, success), path


class TestTheImport:
    def test_makes_tool_deltas_in_the_units_of_the_contract(self, imported: tuple[LeRobotImportReport, Path]) -> None:
        steps = [step for episode in read(imported[1]) for step in episode]
        # 32 rows at 30 Hz are seen at rows 0, 3, ..., 30: 10 steps, each 3 mm of 20 mm and 0.03 rad of 0.4 rad.
        assert len(steps) == 2 * 10
        for step in steps:
            np.testing.assert_allclose(step.action, [0, 3 / 20, 0, 0.03 / 0.4], atol=0.02)

    def test_observes_joints_tool_and_lead(self, imported: tuple[LeRobotImportReport, Path]) -> None:
        episode = read(imported[1])[0]
        state = episode[4].observation.proprioception  # row 12: 12 mm to the left, the jaw at 0.32 rad
        np.testing.assert_allclose(state[5:9], [0.32, 0.25, 0.012, 0.1], atol=5e-4)
        # Each step's last command is where the arm is when it is seen next.
        np.testing.assert_allclose(state[9:], 0, atol=5e-4)

    def test_cuts_frames_of_the_same_rows_as_the_joints(self, imported: tuple[LeRobotImportReport, Path]) -> None:
        episode = read(imported[1])[1]
        for index, step in enumerate(episode):
            row = 3 * index
            frame = step.observation.frames["wrist"]
            assert frame.shape == (SIZE_PX, SIZE_PX, 3)
            assert (frame == (row, 2 * row, 3 * row)).all()
        assert episode[-1].final is not None
        assert (episode[-1].final.frames["wrist"] == (30, 60, 90)).all()

    def test_ends_as_was_said_and_never_twice_under_another_name(
        self, joints: Path, imported: tuple[LeRobotImportReport, Path], tmp_path: Path
    ) -> None:
        success = read(imported[1])[0]
        assert [(step.terminated, step.truncated, step.reward) for step in success][8:] == [
            (False, False, 0.0),
            (True, False, 1.0),
        ]
        import_dataset(joints, tmp_path / "unknown.sqlite", CONTRACT, DEGREES)
        unknown = read(tmp_path / "unknown.sqlite")[0]
        assert (unknown[-1].terminated, unknown[-1].truncated, unknown[-1].reward) == (False, True, 0.0)
        import_dataset(joints, tmp_path / "again.sqlite", CONTRACT, DEGREES)
        assert read(tmp_path / "again.sqlite")[0][0].id == unknown[0].id != success[0].id

    def test_says_all_that_was_assumed(self, imported: tuple[LeRobotImportReport, Path]) -> None:
        report = imported[0]
        assert report.joints is not None
        assert report.joints.cameras == {"wrist": "observation.images.wrist"}
        assert report.joints.dropped_frames == 2 * (32 - 11)
        assert (report.joints.clipped, report.joints.outside, report.joints.rolled) == (0, 0, 0)
        for phrase in ("body joints in degrees", "middle of its range", "even in time", "ends in success"):
            assert phrase in str(report)

    def test_refuses_motion_that_is_mostly_out_of_the_box_or_too_fast(self, joints: Path, tmp_path: Path) -> None:
        target = tmp_path / "experience.sqlite"
        narrow = ControllerSettings(box_high_m=(0.36, 0.005, 0.20))
        with pytest.raises(ExchangeRefused, match=r"out of the controller's box in \d\d%.*box_low_m"):
            import_dataset(joints, target, CONTRACT, DEGREES, narrow)
        actions = tuple(dim.model_copy(update={"scale": dim.scale / 10}) for dim in CONTRACT.action)
        slow = CONTRACT.model_copy(update={"action": actions})
        # 3 mm a step, of which 2 mm are allowed: only the first is no more than 1 mm behind, which passes for rounding.
        with pytest.raises(ExchangeRefused, match="90% of the actions would be clipped"):
            import_dataset(joints, target, slow, DEGREES)
        assert not list(tmp_path.iterdir())


def other(**changes: object) -> Contract:
    return CONTRACT.model_copy(update=changes)


def camera(**changes: object) -> tuple[Camera, ...]:
    return (CAMERA.model_copy(update=changes),)


class TestWhatMayNotBeGuessed:
    @pytest.mark.parametrize(
        ("contract", "settings", "sentence"),
        [
            (CONTRACT, JointSpaceSettings(), "give units: degrees or normalised"),
            (other(control_hz=50.0), DEGREES, "got 30 rows per second, the contract asks for 50"),
            (other(cameras=camera(name="front")), DEGREES, "its cameras are wrist 64x48; say which one it is"),
            (other(cameras=camera(native_width_px=80)), DEGREES, "native frame is 80x48"),
            (CONTRACT, DEGREES.model_copy(update={"cameras": {"top": "wrist"}}), "the contract has no such camera"),
            (other(sim_only=cube_dimensions()), DEGREES, r"sim_only of the contract: got .*cube\.x"),
            (other(proprioception=CONTRACT.proprioception[:6]), DEGREES, r"proprioception of the contract: .*lead\.x"),
        ],
    )
    def test_is_refused_with_the_way_to_say_it(
        self, joints: Path, tmp_path: Path, contract: Contract, settings: JointSpaceSettings, sentence: str
    ) -> None:
        with pytest.raises(ExchangeRefused, match=sentence):
            import_dataset(joints, tmp_path / "experience.sqlite", contract, settings)
        assert not list(tmp_path.iterdir())

    def test_a_tool_that_is_often_under_the_table_is_refused(self) -> None:
        heights = np.array([0.1] * 18 + [-0.03] * 2, np.float32)  # 10 %, of which 5 % are allowed
        with pytest.raises(ExchangeRefused, match=r"under the table in 10% of the frames; give other units"):
            require_above_table([heights[:10], heights[10:]], "here")
        require_above_table([heights[:18], heights[:1], heights[19:]], "here")  # 1 of 20

    def test_a_camera_of_another_name_can_be_named(self, joints: Path, tmp_path: Path) -> None:
        settings = DEGREES.model_copy(update={"cameras": {"front": "wrist"}})
        report = import_dataset(joints, tmp_path / "experience.sqlite", other(cameras=camera(name="front")), settings)
        assert report.joints is not None
        assert report.joints.cameras == {"front": "observation.images.wrist"}

    @pytest.mark.parametrize(
        ("edit", "sentence"),
        [
            (lambda text: text.replace("so_follower", "koch_follower"), "says robot_type 'koch_follower'"),
            (lambda text: text.replace("elbow_flex.pos", "elbow.pos"), "expected the six joints"),
        ],
    )
    def test_another_arm_is_refused(
        self, joints: Path, tmp_path: Path, edit: Callable[[str], str], sentence: str
    ) -> None:
        copy = Path(shutil.copytree(joints, tmp_path / "other"))
        (copy / "meta/info.json").write_text(edit((copy / "meta/info.json").read_text()))
        with pytest.raises(ExchangeRefused, match=sentence):
            import_dataset(copy, tmp_path / "experience.sqlite", CONTRACT, DEGREES)
