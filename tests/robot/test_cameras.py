"""The set of cameras against the virtual station's real network cameras, and against a video as a USB camera."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

import waiting
from policy.contract import Camera, Crop
from robot.cameras import CameraSet, CameraSettings
from robot.cameras.errors import CameraUnfit
from robot.virtual.cameras import encode
from robot.virtual.commands import CameraTrouble, PlaceCube, State
from robot.virtual.control import Remote

eventually = partial(waiting.eventually, within_s=30.0)
NAMES = ("wrist", "front")


def camera(name: str, height_px: int = 120, width_px: int = 160) -> Camera:
    crop = Crop(top=0, left=0, height=height_px, width=height_px)
    return Camera(name=name, native_height_px=height_px, native_width_px=width_px, crop=crop)


def ports(virtual: Remote) -> dict[str, int]:
    return {name: told["port"] for name, told in virtual.tell(State())["cameras"].items()}


def settings(virtual: Remote, **changes: object) -> CameraSettings:
    return quick([network(name, port) for name, port in ports(virtual).items()], **changes)


def network(name: str, port: int, **changes: object) -> dict[str, object]:
    return {"kind": "zmq", "name": name, "port": port, "noisy": False} | changes


def quick(devices: list[dict[str, object]], **changes: object) -> CameraSettings:
    pauses = {"first_frame_s": 30.0, "silent_s": 0.6, "backoff_first_s": 0.05, "backoff_max_s": 0.2}
    return CameraSettings.model_validate({"devices": devices} | pauses | changes)


@pytest.fixture
def cameras(virtual: Remote) -> Iterator[CameraSet]:
    with CameraSet(settings(virtual), tuple(map(camera, NAMES))) as opened:
        yield opened


def red_pixels(frame: NDArray[np.uint8]) -> int:
    red, green, blue = np.moveaxis(frame, -1, 0)
    return int(((red > 100) & (green < 90) & (blue < 90)).sum())


def noisy_picture(generator: np.random.Generator) -> NDArray[np.uint8]:
    return generator.integers(100, 110, (120, 160, 3)).astype(np.uint8)


def age_s(cameras: CameraSet, name: str = "wrist") -> float:
    return cameras.latest()[name].age_s


class TestNetworkCameras:
    def test_frames_are_native_rgb_young_and_nobodys_to_change(self, virtual: Remote, cameras: CameraSet) -> None:
        virtual.tell(PlaceCube(x_m=0.22, y_m=0.0))
        eventually(lambda: red_pixels(cameras.latest()["wrist"].pixels) > 20, "the cube, red first")
        eventually(lambda: age_s(cameras) < 0.3 and age_s(cameras, "front") < 0.3, "being young")
        assert list(cameras.latest()) == list(NAMES)
        pixels = cameras.latest()["wrist"].pixels
        assert pixels.shape == (120, 160, 3)
        assert pixels.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0, 0] = 1
        assert cameras.reopening == ()
        assert cameras.findings == ()

    def test_a_still_scene_of_a_drawn_camera_stays_young(self, cameras: CameraSet) -> None:
        # Its pictures are equal byte for byte, but each has a stamp of its own; 0.6 s of silence would reopen it.
        pictures = [cameras.latest()["wrist"].pixels]

        def repeats_itself() -> bool:
            pictures.append(cameras.latest()["wrist"].pixels)
            return pictures[-1] is not pictures[-2] and np.array_equal(pictures[-1], pictures[-2])

        eventually(repeats_itself, "a still scene")
        time.sleep(0.7)
        eventually(lambda: age_s(cameras) < 0.3, "being young")
        assert cameras.reopening == ()

    def test_a_frozen_camera_grows_old_although_it_sends(self, virtual: Remote, cameras: CameraSet) -> None:
        virtual.tell(CameraTrouble(camera="wrist", fault="frozen"))
        eventually(lambda: cameras.reopening == ("wrist",), "the attempt to reopen it")
        before = cameras.latest()["wrist"].pixels
        eventually(lambda: age_s(cameras) > 1.2, "growing old, though it sends after each reopening")
        assert cameras.latest()["wrist"].pixels is before
        assert age_s(cameras, "front") < 1.0
        virtual.tell(CameraTrouble(camera="wrist", fault="none"))
        eventually(lambda: age_s(cameras) < 0.3 and cameras.reopening == (), "being young again")

    def test_a_slow_camera_shows_its_age_and_is_left_alone(self, virtual: Remote, cameras: CameraSet) -> None:
        virtual.tell(CameraTrouble(camera="wrist", fault="slow"))
        eventually(lambda: age_s(cameras) > 0.35, "growing older than frames of 20 Hz do")
        eventually(lambda: age_s(cameras) < 0.2, "the next frame")

    def test_a_vanished_camera_is_reopened_until_it_is_back_and_nobody_waits_for_it(
        self, virtual: Remote, cameras: CameraSet
    ) -> None:
        virtual.tell(CameraTrouble(camera="wrist", fault="vanished"))
        eventually(lambda: cameras.reopening == ("wrist",), "the attempt to reopen it")
        assert age_s(cameras) > 0.5
        looks, until_s = 0, time.monotonic() + 0.5  # opening and closing it take 0.6 s by turns
        while time.monotonic() < until_s:
            cameras.latest()
            looks += 1
        assert looks > 500
        assert age_s(cameras, "front") < 1.0
        virtual.tell(CameraTrouble(camera="wrist", fault="none"))
        eventually(lambda: age_s(cameras) < 0.3 and cameras.reopening == (), "being back")

    def test_another_size_than_the_contracts_is_refused(self, virtual: Remote) -> None:
        wrong = (camera("wrist"), camera("front", 480, 640))
        with (
            pytest.raises(CameraUnfit, match=r"'front': got uint8 pictures of \(120, 160, 3\), expected .*480, 640"),
            CameraSet(settings(virtual), wrong),
        ):
            pass


class Publisher:
    """A server of pictures as LeRobot's is: one port, several cameras, and only those that have a new picture."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self.port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.showing: Callable[[], dict[str, tuple[float, NDArray[np.uint8]]]] = dict
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _run(self) -> None:
        while not self._stopping.wait(0.02):
            shown = self.showing()
            message = {
                "timestamps": {name: stamp for name, (stamp, _) in shown.items()},
                "images": {name: encode(frame) for name, (_, frame) in shown.items()},
            }
            self._socket.send_string(json.dumps(message))


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.close()


class TestSensors:
    def test_a_sensor_that_repeats_itself_with_fresh_stamps_grows_old(self, publisher: Publisher) -> None:
        generator = np.random.default_rng(0)
        noise = [noisy_picture(generator) for _ in range(8)]
        turns = itertools.count()
        publisher.showing = lambda: {"wrist": (time.time(), noise[next(turns) % 8])}
        with CameraSet(quick([network("wrist", publisher.port, noisy=True)]), (camera("wrist"),)) as cameras:
            eventually(lambda: age_s(cameras) < 0.1)
            publisher.showing = lambda: {"wrist": (time.time(), noise[0])}
            eventually(lambda: age_s(cameras) > 1.0, "growing old")
            assert cameras.reopening == ("wrist",)

    def test_a_camera_never_shows_what_another_saw(self, publisher: Publisher) -> None:
        # LeRobot's own class takes any picture of a message in which its own is missing.
        black, white = np.zeros((120, 160, 3), np.uint8), np.full((120, 160, 3), 255, np.uint8)
        turns = itertools.count()
        publisher.showing = lambda: (
            {"wrist": (time.time(), black)} if next(turns) % 3 == 0 else {"front": (time.time(), white)}
        )
        with CameraSet(quick([network("wrist", publisher.port)]), (camera("wrist"),)) as cameras:
            for _ in range(20):
                assert cameras.latest()["wrist"].pixels.max() == 0
                time.sleep(0.02)

    def test_noise_of_a_sensor_outlives_its_jpeg(self) -> None:
        # A quarter of a grey level is less noise than any sensor has; quality 80 is what LeRobot's server sends.
        generator = np.random.default_rng(0)
        shade = np.linspace(60.3, 180.7, 160 * 120).reshape(120, 160, 1)
        noisy = (shade + generator.normal(0, 0.25, (120, 160, 3)) + 0.5 for _ in range(100))
        pictures = {encode(picture.astype(np.uint8)) for picture in noisy}
        assert len(pictures) == 100


class TestUsbCamera:
    """LeRobot's real class on a video: when it has ended the device is gone, and reopening it starts it anew."""

    @pytest.fixture
    def video(self, tmp_path: Path) -> Path:
        path = tmp_path / "wrist.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (160, 120))
        for shade in range(0, 240, 30):
            frame = np.full((120, 160, 3), 0, np.uint8)
            frame[..., 0] = shade  # blue, as OpenCV orders them
            writer.write(frame)
        writer.release()
        return path

    def device(self, video: Path, **changes: object) -> dict[str, object]:
        return {"kind": "opencv", "name": "wrist", "device": str(video)} | changes

    def test_it_shows_rgb_and_is_reopened_for_ever(self, video: Path) -> None:
        with CameraSet(quick([self.device(video)]), (camera("wrist"),)) as cameras:
            eventually(lambda: "wrist" in cameras.reopening, "its end")
            first = cameras.latest()["wrist"].pixels
            assert first[..., 2].min() > 190  # 210, the last one: blue comes last
            assert first[..., 0].max() < 30
            eventually(lambda: cameras.latest()["wrist"].pixels is not first, "its beginning")
            video.rename(video.with_suffix(".away"))
            eventually(lambda: age_s(cameras) > 0.5, "growing old")
            video.with_suffix(".away").rename(video)
            eventually(lambda: age_s(cameras) < 0.2, "being back")

    def test_it_says_what_could_not_be_locked(self, video: Path, caplog: pytest.LogCaptureFixture) -> None:
        locked = self.device(video, exposure_100us=150, white_balance_k=4600)
        with caplog.at_level(logging.WARNING), CameraSet(quick([locked]), (camera("wrist"),)) as cameras:
            assert "exposure and white balance not locked" in cameras.findings[0]
        assert "exposure and white balance not locked" in caplog.text

    def test_what_is_left_to_the_camera_is_said_too(self, video: Path) -> None:
        with CameraSet(quick([self.device(video)]), (camera("wrist"),)) as cameras:
            assert "exposure and white balance not locked" in cameras.findings[0]
