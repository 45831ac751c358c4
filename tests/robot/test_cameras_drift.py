"""Drift of the cameras, on frames of the simulated scene whose lamps and cameras are moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from robot.cameras.comparison import FEWEST_FRAMES, Frames, difference, look
from robot.cameras.drift import Severity, drift
from robot.cameras.errors import ReferenceUnfit
from robot.cameras.reference import REFERENCE_FILE, Reference
from robot.cameras.settings import DriftSettings
from robot.desk import Desk
from robot.scene import FRAME_PX, FRONT_CAMERA, WRIST_CAMERA
from robot.sim import picture, sim_contract
from robot.task import CubePose

CONTRACT = sim_contract()
CAMERAS = (WRIST_CAMERA, FRONT_CAMERA)
START_RAD = np.array([0.0, 0.3, -0.2, 1.2, 0.0, 0.5])

type Shoot = Callable[..., dict[str, Frames]]


@pytest.fixture(scope="module")
def shoot() -> Iterator[Shoot]:
    """Films 100 poses of the arm, the same for a seed, with this done to the scene; other cameras show the last."""
    desk = Desk()
    model = desk.model
    nominal = {name: getattr(model, name).copy() for name in ("light_diffuse", "cam_pos", "cam_quat")}
    before: dict[str, Frames] = {}
    with mujoco.Renderer(model, FRAME_PX, FRAME_PX) as renderer:

        def film(seed: int, change: Callable[..., None] = lambda model: None, only: str = "") -> dict[str, Frames]:
            for name, value in nominal.items():
                getattr(model, name)[:] = value
            change(model)
            generator = np.random.default_rng(seed)
            seen: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in CAMERAS if only in ("", name)}
            for _ in range(FEWEST_FRAMES):
                desk.place_arm(START_RAD + generator.uniform(-0.25, 0.25, 6))
                desk.place_cube(CubePose(*generator.uniform((0.20, -0.08, 0.0), (0.30, 0.08, 1.5))))
                mujoco.mj_forward(model, desk.data)
                for name, frames in seen.items():
                    frames.append(picture(renderer, desk.data, name))
            before.update({name: np.stack(frames) for name, frames in seen.items()} if not only else {})
            return before | {name: np.stack(frames) for name, frames in seen.items()}

        yield film


@pytest.fixture(scope="module")
def reference(shoot: Shoot) -> Reference:
    return Reference.of(CONTRACT, shoot(seed=0))


def brighter(factor: float) -> Callable[[mujoco.MjModel], None]:
    def change(model: mujoco.MjModel) -> None:
        model.light_diffuse[:] *= factor

    return change


def warmer(model: mujoco.MjModel) -> None:
    model.light_diffuse[:] *= (1.1, 1.0, 0.8)


def moved(camera: str, right_m: float = 0.0, turn_deg: tuple[float, float, float] = (0, 0, 0)) -> Callable[..., None]:
    """A camera that was pushed to its right and turned about its own axes."""

    def change(model: mujoco.MjModel) -> None:
        one = model.camera(camera).id
        axes, turn, turned = np.zeros(9), np.zeros(4), np.zeros(4)
        mujoco.mju_quat2Mat(axes, model.cam_quat[one])
        model.cam_pos[one] += axes.reshape(3, 3)[:, 0] * right_m
        mujoco.mju_euler2Quat(turn, np.radians(turn_deg), "xyz")
        mujoco.mju_mulQuat(turned, model.cam_quat[one], turn)
        model.cam_quat[one] = turned

    return change


def told(reference: Reference, frames: dict[str, Frames]) -> set[tuple[str, str]]:
    return {(finding.camera, finding.what) for finding in drift(reference, frames, DriftSettings())}


def test_nothing_is_told_where_only_arm_and_cube_have_moved(reference: Reference, shoot: Shoot) -> None:
    assert told(reference, shoot(1)) == set()


def test_a_dimmer_lamp_is_told_with_its_number_and_a_cure(reference: Reference, shoot: Shoot) -> None:
    (found,) = drift(reference, shoot(1, brighter(0.5), only="front"), DriftSettings())
    assert (found.camera, found.what) == ("front", "brightness")
    assert -0.45 < found.measured < -0.25  # half of the lamps' light; the headlight stays as it was
    assert found.severity is Severity.SEVERE
    assert "(limit 12) away from the demonstrations; switch the lamps as they were" in str(found)


def test_a_warmer_lamp_is_told_as_tint(reference: Reference, shoot: Shoot) -> None:
    assert told(reference, shoot(1, warmer, only="wrist")) == {("wrist", "tint")}


@pytest.mark.parametrize(
    ("camera", "change"),
    [
        ("front", moved("front", right_m=0.02)),
        ("front", moved("front", turn_deg=(0, 1, 0))),
        ("wrist", moved("wrist", turn_deg=(0, 0, 3))),  # held against its own finger: it has no other background
    ],
    ids=["20 mm", "1 deg to the side", "3 deg askew"],
)
def test_a_camera_that_was_pushed_is_told_by_name(
    reference: Reference, shoot: Shoot, camera: str, change: Callable[..., None]
) -> None:
    assert told(reference, shoot(1, change, only=camera)) == {(camera, "framing")}


def test_cameras_that_were_swapped_are_unlike(reference: Reference, shoot: Shoot) -> None:
    seen = shoot(1, only="wrist")
    found = told(reference, {"wrist": seen["front"], "front": seen["wrist"]})
    assert {("wrist", "likeness"), ("front", "likeness")} <= found


def test_shift_turn_and_light_are_measured_in_their_units() -> None:
    # A drawn scene, moved by 3 px right and 4 px down (5 px in all), then turned by 2 degrees, and 20 % brighter.
    generator = np.random.default_rng(0)
    scene = cv2.GaussianBlur(generator.integers(40, 200, (128, 128, 3)).astype(np.float32), (0, 0), 4)
    scene = 120 + 4 * (scene - scene.mean())
    one = np.clip(scene, 40, 200).astype(np.uint8)
    shifted = cv2.warpAffine(
        one, np.array([[1, 0, 3], [0, 1, 4]], np.float32), (128, 128), borderMode=cv2.BORDER_REFLECT
    )
    turned = cv2.warpAffine(one, cv2.getRotationMatrix2D((63.5, 63.5), 2, 1), (128, 128), borderMode=cv2.BORDER_REFLECT)
    brighter = (one * 1.2).astype(np.uint8)
    views = [difference(look(one[None]), look(np.asarray(now, np.uint8)[None])) for now in (shifted, turned, brighter)]
    assert views[0].shift_px == pytest.approx(5.0, abs=0.1)
    assert views[1].turn_deg == pytest.approx(2.0, abs=0.1)
    assert views[1].shift_px == pytest.approx(0.0, abs=0.2)
    assert views[2].brightness == pytest.approx(0.2, abs=0.01)
    assert views[2].shift_px == 0.0


class TestReference:
    def test_it_is_read_back_as_it_was_written(self, reference: Reference, tmp_path: Path) -> None:
        reference.save(tmp_path)
        again = Reference.load(tmp_path, CONTRACT)
        assert again.contract_hash == CONTRACT.hash
        for name in CAMERAS:
            assert again.cameras[name].among_themselves == reference.cameras[name].among_themselves
            np.testing.assert_array_equal(again.cameras[name].look.median, reference.cameras[name].look.median)
            np.testing.assert_array_equal(again.cameras[name].look.spread, reference.cameras[name].look.spread)

    def test_another_contract_is_refused(self, reference: Reference, tmp_path: Path) -> None:
        reference.save(tmp_path)
        with pytest.raises(ReferenceUnfit, match="record new demonstrations"):
            Reference.load(tmp_path, sim_contract(control_hz=20))

    def test_a_missing_and_a_damaged_one_are_refused(self, reference: Reference, tmp_path: Path) -> None:
        with pytest.raises(ReferenceUnfit, match="got no reference"):
            Reference.load(tmp_path, CONTRACT)
        reference.save(tmp_path)
        (tmp_path / "front.png").write_bytes(b"")
        with pytest.raises(ReferenceUnfit, match="'front' are missing or damaged"):
            Reference.load(tmp_path, CONTRACT)
        (tmp_path / REFERENCE_FILE).write_text("{}")
        with pytest.raises(ReferenceUnfit, match="got no reference"):
            Reference.load(tmp_path, CONTRACT)

    def test_too_few_frames_are_refused(self, shoot: Shoot) -> None:
        few = {name: np.zeros((99, 128, 128, 3), np.uint8) for name in CAMERAS}
        with pytest.raises(ReferenceUnfit, match="got 99 frames, expected at least 100"):
            Reference.of(CONTRACT, few)
        with pytest.raises(ReferenceUnfit, match="got frames of None"):
            Reference.of(CONTRACT, {})
