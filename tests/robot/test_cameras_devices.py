"""What LeRobot's camera classes are mended in, and settings that name no camera."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from policy.contract import Camera, Crop
from robot.cameras import CameraSet, CameraSettings, settings
from robot.cameras.devices import lock_controls, locks, newer_picture
from robot.cameras.errors import CameraUnfit
from robot.cameras.reader import CameraReader
from robot.cameras.settings import OpenCVSettings
from robot.errors import CameraStale
from robot.virtual.cameras import encode
from waiting import eventually

CAMERA = Camera(
    name="wrist", native_height_px=8, native_width_px=8, crop=Crop(top=0, left=0, height=8, width=8), size_px=8
)
BLACK = np.zeros((8, 8, 3), np.uint8)


def made(**device: object) -> CameraSettings:
    return CameraSettings.model_validate({"devices": [{"name": "wrist"} | device], "first_frame_s": 0.3})


@pytest.fixture
def stable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the paths that stay the same after a reboot."""
    monkeypatch.setattr(settings, "STABLE_NAMES", tmp_path)
    return tmp_path


class TestSettings:
    @pytest.mark.parametrize("index", [0, "2"])
    def test_an_index_is_refused_with_the_paths_that_stay(self, stable_names: Path, index: object) -> None:
        (stable_names / "usb-Arducam_B0196-video-index0").touch()
        with pytest.raises(ValidationError, match=r"there are .*/usb-Arducam_B0196-video-index0"):
            made(kind="opencv", device=index)

    def test_an_index_is_refused_where_no_camera_is_plugged_in(self, stable_names: Path) -> None:
        with pytest.raises(ValidationError, match="there is none: is the camera plugged in"):
            made(kind="opencv", device=0)

    def test_a_camera_stands_once(self) -> None:
        twice = [{"kind": "zmq", "name": "wrist"}] * 2
        with pytest.raises(ValidationError, match=r"got \['wrist'\] more than once"):
            CameraSettings.model_validate({"devices": twice})

    def test_each_camera_of_the_contract_needs_a_device_of_its_name(self) -> None:
        with pytest.raises(CameraUnfit, match=r"devices for \['front'\], but the contract has \['wrist'\]"):
            CameraSet(made(kind="zmq", name="front"), (CAMERA,))


class TestOpening:
    def refusal(self, **device: object) -> Exception:
        with pytest.raises((CameraStale, CameraUnfit)) as refused, CameraSet(made(**device), (CAMERA,)):
            pass
        return refused.value

    def test_a_camera_that_nobody_serves_shows_nothing_and_closing_is_bounded(self) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            begun_s = time.monotonic()
            refused = self.refusal(kind="zmq", port=silent.getsockname()[1])
        assert isinstance(refused, CameraStale)
        assert "'wrist': it has shown nothing yet" in str(refused)
        assert time.monotonic() - begun_s < 20.0

    def test_a_device_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        settings = made(kind="opencv", device=str(tmp_path / "unplugged"))
        reader = CameraReader(settings.devices[0], CAMERA, settings)
        reader.start()
        try:
            eventually(lambda: "Failed to open" in reader.away, "the driver's reason")
        finally:
            reader.stop()
        assert reader.join(20.0)

    def test_a_realsense_without_its_package_names_the_extra(self) -> None:
        refused = self.refusal(kind="realsense", serial_number="123")
        assert isinstance(refused, CameraUnfit)
        assert "lerobot[intelrealsense]" in str(refused)


class TestLocks:
    class Camera:
        """The controls of a camera: what the driver takes, and what it makes of it."""

        def __init__(self, **reads: float) -> None:
            self.values: dict[int, float] = {}
            self.reads = reads

        def set(self, prop: int, value: float, /) -> bool:
            self.values[prop] = value
            return True

        def get(self, prop: int, /) -> float:
            named = {"exposure": cv2.CAP_PROP_EXPOSURE, "auto_wb": cv2.CAP_PROP_AUTO_WB}
            return next((self.reads[name] for name in self.reads if named[name] == prop), self.values[prop])

    def wanted(self, **values: Any) -> Any:
        return locks(OpenCVSettings(name="wrist", device=Path("/dev/v4l/by-id/x"), **values))

    def test_the_automatic_is_off_before_the_value_is_set(self) -> None:
        camera = self.Camera()
        assert lock_controls(camera, self.wanted(exposure_100us=150, white_balance_k=4600, gain=3, focus=0)) == ()
        assert list(camera.values.items()) == [
            (cv2.CAP_PROP_AUTO_EXPOSURE, 1),
            (cv2.CAP_PROP_EXPOSURE, 150),
            (cv2.CAP_PROP_GAIN, 3),
            (cv2.CAP_PROP_AUTO_WB, 0),
            (cv2.CAP_PROP_WB_TEMPERATURE, 4600),
            (cv2.CAP_PROP_AUTOFOCUS, 0),
            (cv2.CAP_PROP_FOCUS, 0),
        ]

    def test_what_the_driver_makes_something_else_of_is_not_locked(self) -> None:
        wanted = self.wanted(exposure_100us=150, white_balance_k=4600)
        assert lock_controls(self.Camera(exposure=157), wanted) == ("exposure",)
        assert lock_controls(self.Camera(auto_wb=1), wanted) == ("white balance",)


class TestMessages:
    def message(self, **changes: object) -> bytes:
        told = {"timestamps": {"wrist": 5.0}, "images": {"wrist": encode(BLACK)}} | changes
        return json.dumps(told).encode()

    def test_a_picture_is_new_by_its_stamp(self) -> None:
        found = newer_picture(self.message(), "wrist", last_stamp=4.0)
        assert found is not None
        assert found[0] == 5.0
        np.testing.assert_array_equal(found[1], BLACK)
        assert newer_picture(self.message(), "wrist", last_stamp=5.0) is None
        # A server that has started anew may have a clock that is behind.
        assert newer_picture(self.message(), "wrist", last_stamp=6.0) is not None

    @pytest.mark.parametrize(
        "message",
        [
            b"nonsense",
            b"[]",
            b'{"images": {"wrist": ""}}',
            b'{"timestamps": {"wrist": 1}, "images": {"wrist": ""}}',
            b'{"timestamps": {"wrist": 1}, "images": {"wrist": "AAAA"}}',
            b'{"timestamps": {"wrist": null}, "images": {"wrist": "A"}}',
            b'{"timestamps": {"wrist": 1}, "images": {"wrist": 7}}',
            b"\xff",
        ],
    )
    def test_what_is_no_picture_is_refused(self, message: bytes) -> None:
        with pytest.raises(RuntimeError, match="'wrist': "):
            newer_picture(message, "wrist", last_stamp=None)
