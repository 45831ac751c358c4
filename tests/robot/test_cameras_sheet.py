"""The contact sheet: what it shows, where."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from policy.contract import Camera, Crop
from policy.errors import InvalidExperience
from policy.preprocess import preprocess_frame
from robot.cameras.contact_sheet import MARGIN_PX, ORANGE, ROW_PX, TEXT_PX, share_clipped, write_contact_sheet

CAMERA = Camera(
    name="wrist", native_height_px=480, native_width_px=640, crop=Crop(top=0, left=80, height=480, width=480)
)


def test_it_shows_the_crop_in_the_native_frame_and_what_the_policy_sees(tmp_path: Path) -> None:
    native = np.zeros((480, 640, 3), np.uint8)
    native[:, 80:560] = (200, 30, 60)  # the region of the policy, and nothing else
    path = write_contact_sheet(tmp_path, {"wrist": native, "front": native}, [CAMERA, CAMERA])
    sheet = cv2.imread(str(path))
    assert sheet is not None
    sheet = sheet[..., ::-1]
    assert sheet.shape[0] == 2 * (ROW_PX + TEXT_PX + MARGIN_PX)
    row = sheet[TEXT_PX + ROW_PX // 2]
    # 640x480 is shown as 427x320: the crop from 80 to 560 stands at 53.3..373.3.
    assert tuple(row[MARGIN_PX + 53]) == ORANGE
    assert tuple(row[MARGIN_PX + 372]) == ORANGE
    assert tuple(row[MARGIN_PX + 20]) == (0, 0, 0)
    policys = row[2 * MARGIN_PX + 427 :][:ROW_PX]
    assert (policys == (200, 30, 60)).all()
    histogram = sheet[TEXT_PX : TEXT_PX + ROW_PX, 3 * MARGIN_PX + 427 + 320 :][:, :256]
    # One brightness, (200 + 30 + 60) / 3 = 96.7: the bar from 96 to 99.
    assert np.flatnonzero((histogram[0] == 255).all(axis=1)).tolist() == [96, 97, 98, 99]


def test_what_the_policy_sees_is_one_crop_and_one_resize() -> None:
    generator = np.random.default_rng(0)
    native = generator.integers(0, 256, (480, 640, 3)).astype(np.uint8)
    expected = cv2.resize(native[:, 80:560], (128, 128), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(preprocess_frame(native, CAMERA), expected)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidExperience, match="expected uint8"):
        write_contact_sheet(tmp_path, {"wrist": np.zeros((240, 320, 3), np.uint8)}, [CAMERA])


def test_what_is_too_dark_and_too_bright_is_counted() -> None:
    frame = np.full((10, 10, 3), 100, np.uint8)
    frame[:2], frame[2:3] = 0, 255
    assert share_clipped(frame) == (0.2, 0.1)
