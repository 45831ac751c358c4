"""LeRobot's camera classes, each mended where it would not tell a camera that has died from one that works.

Imported only when a camera is opened: LeRobot takes seconds to load.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

import cv2
import numpy as np
import zmq
from lerobot.cameras import Camera as Device
from lerobot.cameras.configs import Cv2Backends
from lerobot.cameras.opencv import OpenCVCamera, OpenCVCameraConfig
from lerobot.cameras.zmq import ZMQCamera, ZMQCameraConfig
from lerobot.utils.errors import DeviceNotConnectedError
from numpy.typing import NDArray

from policy.contract import Camera
from robot.cameras.errors import CameraUnfit
from robot.cameras.settings import AnyDevice, NetworkSettings, OpenCVSettings, RealSenseSettings

# LeRobot waits 2 s for its thread when it closes a socket, and ZMQ does not forgive a socket closed under a reader.
RECEIVE_TIMEOUT_MS = 500
FAILED_READS = 3  # a picture may arrive damaged; several in a row mean that the camera is gone

type Locks = Mapping[str, tuple[tuple[int, float], ...]]  # what is locked -> properties of OpenCV and their values


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that knows the controls of a camera."""

    def set(self, prop: int, value: float, /) -> bool:
        """Ask for a value; says whether the driver has heard of it."""
        ...

    def get(self, prop: int, /) -> float:
        """The value that the driver has."""
        ...


class StampedCamera(ZMQCamera):  # type: ignore[misc]  # LeRobot has no types
    """LeRobot's network camera, for which a picture is new only if its own camera took it since the last.

    LeRobot's takes another camera's picture where its own is missing from a message, as it is in those of its own
    server when nothing new is there; and it throws the server's stamps away, which alone tell a picture that is sent
    again.
    The last stamp outlives a reconnection.
    """

    _last_stamp: float | None = None

    def _read_from_hardware(self) -> NDArray[np.uint8]:
        while self.stop_event is not None and not self.stop_event.is_set():
            try:
                message = self.socket.recv()
            except zmq.Again:
                continue  # whoever waits for pictures notices the silence
            found = newer_picture(message, self.camera_name, self._last_stamp)
            if found is not None:
                self._last_stamp, picture = found
                return picture
        raise DeviceNotConnectedError(f"{self} is being closed")  # which ends LeRobot's thread


class LockedCamera(OpenCVCamera):  # type: ignore[misc]  # LeRobot has no types
    """LeRobot's USB camera with its controls locked, which ends quietly when its device has gone.

    pause_s: before each picture, of which a video would show hundreds at once
    unlocked: which of the controls the driver did not take, known once it is connected
    """

    def __init__(self, config: OpenCVCameraConfig, locks: Locks, pause_s: float) -> None:
        super().__init__(config)
        self.unlocked: tuple[str, ...] = ()
        self._locks = locks
        self._pause_s = pause_s
        self._failed = 0

    def _configure_capture_settings(self) -> None:
        super()._configure_capture_settings()
        self.unlocked = lock_controls(self.videocapture, self._locks)
        self._failed = 0

    def _read_from_hardware(self) -> NDArray[np.uint8]:
        time.sleep(self._pause_s)
        try:
            frame: NDArray[np.uint8] = super()._read_from_hardware()
        except RuntimeError as error:
            self._failed += 1
            if self._failed < FAILED_READS:
                raise
            raise DeviceNotConnectedError(str(error)) from error  # which ends LeRobot's thread without a traceback
        self._failed = 0
        return frame


def make_device(settings: AnyDevice, camera: Camera) -> Device:
    """LeRobot's camera for these settings, not yet connected, at the native size of the contract.

    Raises `CameraUnfit` where a package is missing.
    """
    match settings:
        case OpenCVSettings():
            pause_s = 1 / settings.fps if settings.device.is_file() else 0.0
            return LockedCamera(_opencv_config(settings, camera), locks(settings), pause_s)
        case NetworkSettings():
            return StampedCamera(
                ZMQCameraConfig(
                    server_address=settings.server_address,
                    port=settings.port,
                    camera_name=settings.camera_name or settings.name,
                    timeout_ms=RECEIVE_TIMEOUT_MS,
                    width=camera.native_width_px,
                    height=camera.native_height_px,
                )
            )
        case RealSenseSettings():
            return _realsense(settings, camera)


def newer_picture(message: bytes, camera: str, last_stamp: float | None) -> tuple[float, NDArray[np.uint8]] | None:
    """Stamp and picture of a camera in a message of LeRobot's image server; None where there is no newer one.

    message: JSON `{"timestamps": {camera: seconds}, "images": {camera: base64 of a JPEG}}`
    Raises `RuntimeError` for anything else, as LeRobot's class does.
    """
    try:
        told: dict[str, dict[str, Any]] = json.loads(message)
        if camera not in told["images"]:
            return None
        stamp = float(told["timestamps"][camera])
        if stamp == last_stamp:
            return None
        jpeg = np.frombuffer(base64.b64decode(told["images"][camera]), np.uint8)
    except (ValueError, KeyError, TypeError) as error:
        raise RuntimeError(f"camera {camera!r}: this is no message of LeRobot's image server: {error!r}") from error
    # RGB was handed to an encoder that expects BGR; decoding as BGR gives RGB again.
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR) if jpeg.size else None
    if picture is None:
        raise RuntimeError(f"camera {camera!r}: the picture in the message is no JPEG")
    return stamp, np.asarray(picture, np.uint8)


def locks(settings: OpenCVSettings) -> Locks:
    """What is to be locked, by OpenCV's properties: first off the automatic, then to the value."""
    wanted: dict[str, tuple[int | None, tuple[tuple[int, float], ...]]] = {
        # Video4Linux numbers the modes of exposure: 1 is by hand.
        "exposure": (settings.exposure_100us, ((cv2.CAP_PROP_AUTO_EXPOSURE, 1), (cv2.CAP_PROP_EXPOSURE, 0))),
        "gain": (settings.gain, ((cv2.CAP_PROP_GAIN, 0),)),
        "white balance": (settings.white_balance_k, ((cv2.CAP_PROP_AUTO_WB, 0), (cv2.CAP_PROP_WB_TEMPERATURE, 0))),
        "focus": (settings.focus, ((cv2.CAP_PROP_AUTOFOCUS, 0), (cv2.CAP_PROP_FOCUS, 0))),
    }
    return {
        name: (*properties[:-1], (properties[-1][0], float(value)))
        for name, (value, properties) in wanted.items()
        if value is not None
    }


def lock_controls(capture: Capture, wanted: Locks) -> tuple[str, ...]:
    """Set controls of a camera; returns those that its driver did not take, or reads back otherwise."""
    return tuple(name for name, properties in wanted.items() if not _locked(capture, properties))


def _locked(capture: Capture, properties: tuple[tuple[int, float], ...]) -> bool:
    """Try to set all of them, and look whether all were taken."""
    taken = {prop: capture.set(prop, value) and capture.get(prop) == value for prop, value in properties}
    return all(taken.values())


def _opencv_config(settings: OpenCVSettings, camera: Camera) -> OpenCVCameraConfig:
    if settings.device.is_file():  # a video plays as it is
        return OpenCVCameraConfig(index_or_path=str(settings.device))
    return OpenCVCameraConfig(
        index_or_path=str(settings.device),
        fps=settings.fps,
        width=camera.native_width_px,
        height=camera.native_height_px,
        fourcc=settings.fourcc,
        backend=Cv2Backends.V4L2 if sys.platform == "linux" else Cv2Backends.ANY,
    )


def _realsense(settings: RealSenseSettings, camera: Camera) -> Device:
    from lerobot.cameras.realsense import RealSenseCamera, RealSenseCameraConfig

    config = RealSenseCameraConfig(
        serial_number_or_name=settings.serial_number,
        fps=settings.fps,
        width=camera.native_width_px,
        height=camera.native_height_px,
        exposure=settings.exposure_us,
        gain=settings.gain,
        white_balance=settings.white_balance_k,
    )
    try:
        return RealSenseCamera(config)
    except ImportError as error:
        raise CameraUnfit(
            f"camera {settings.name!r}: the package of Intel's cameras is missing ({error}); Nudge does not bring it, "
            f"install it beside with `uv pip install 'lerobot[intelrealsense]'`"
        ) from error
