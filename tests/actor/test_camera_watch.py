"""Watching the cameras of a session: silent while nothing changes, and soon there when something does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from actor.camera_watch import EVERY_STEPS, CameraWatch
from policy.fakes import fake_contract
from robot.cameras.comparison import FEWEST_FRAMES
from robot.cameras.errors import ReferenceUnfit
from robot.cameras.settings import DriftSettings

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=48)
CAMERA = CONTRACT.cameras[0].name
WINDOW = FEWEST_FRAMES * EVERY_STEPS


def scene(steps: int, light: float = 1.0) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """A desk that stays, with a bright spot that wanders over it as an arm would, and a sensor's noise."""
    rng = np.random.default_rng(0)
    desk = np.kron(rng.integers(60, 160, (6, 6, 3)), np.ones((8, 8, 1)))
    for step in range(steps):
        picture = desk + rng.normal(0, 2, desk.shape)
        picture[(step * 5) % 40 : (step * 5) % 40 + 8, (step * 3) % 40 : (step * 3) % 40 + 8] = 230
        yield {CAMERA: np.clip(picture * light, 0, 255).astype(np.uint8)}


def watch(folder: Path) -> CameraWatch:
    return CameraWatch(folder / "reference", CONTRACT, DriftSettings())


def train(watch: CameraWatch, light: float = 1.0, steps: int = WINDOW) -> list[str]:
    for frames in scene(steps, light):
        watch.see(frames, demonstrating=False)
    return [finding.what for finding in watch.findings()]


@pytest.fixture
def demonstrated(tmp_path: Path) -> CameraWatch:
    watching = watch(tmp_path)
    for frames in scene(FEWEST_FRAMES):
        watching.see(frames, demonstrating=True)
    assert watching.findings() == []
    return watching


def test_a_desk_that_stays_as_it_was_raises_nothing(demonstrated: CameraWatch) -> None:
    assert train(demonstrated) == []
    assert train(demonstrated) == []


def test_a_lamp_that_is_switched_off_is_told_once_a_window(demonstrated: CameraWatch) -> None:
    assert train(demonstrated, light=0.7) == ["brightness"]
    assert train(demonstrated, light=0.7, steps=WINDOW - EVERY_STEPS) == []
    assert train(demonstrated, light=0.7, steps=EVERY_STEPS) == ["brightness"]


def test_a_process_that_goes_on_with_the_run_knows_the_demonstrations(
    demonstrated: CameraWatch, tmp_path: Path
) -> None:
    train(demonstrated)
    assert train(watch(tmp_path), light=0.7) == ["brightness"]


def test_of_too_few_demonstrations_nothing_is_said(tmp_path: Path) -> None:
    watching = watch(tmp_path)
    for frames in scene(FEWEST_FRAMES - 1):
        watching.see(frames, demonstrating=True)
    assert train(watching, light=0.7) == []
    assert not (tmp_path / "reference").exists()


def test_a_reference_of_another_contract_is_refused(demonstrated: CameraWatch, tmp_path: Path) -> None:
    train(demonstrated)
    other = fake_contract(cameras=1, proprioception=4, size_px=48)
    with pytest.raises(ReferenceUnfit, match="contract"):
        CameraWatch(tmp_path / "reference", other, DriftSettings())
