"""One thread for each camera: keeps its device open, for ever, and holds up the newest picture.

Whoever looks takes no lock: the newest picture is one reference that the thread replaces.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy.contract import Camera
from robot.cameras.errors import CameraUnfit
from robot.cameras.settings import AnyDevice, CameraSettings, OpenCVSettings, RealSenseSettings

LOOK_S = 0.1  # how often a thread that waits for pictures asks whether it shall end
# What LeRobot's classes raise when a device is away: ConnectionError and TimeoutError are kinds of OSError.
AWAY = (OSError, RuntimeError)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, uint8 RGB (native_height_px, native_width_px, 3), read-only, and when it arrived [monotonic s]."""

    pixels: NDArray[np.uint8]
    arrived_s: float


class CameraReader:
    """Reads one camera in the background, and opens it anew whenever it shows nothing new.

    shown: the newest picture, or None before the first
    away: why there is nothing new, or nothing while pictures come
    died: what ended the thread for good, or None
    """

    def __init__(self, device: AnyDevice, camera: Camera, settings: CameraSettings) -> None:
        self.camera = camera
        self.shown: Shown | None = None
        self.away = "it is being opened"
        self.died: BaseException | None = None
        self.unlocked: tuple[str, ...] = left_to_the_camera(device)
        self._device_settings = device
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {camera.name}", daemon=True)

    def start(self) -> None:
        """Begin to open the camera."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; returns at once."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; says whether it has ended."""
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            from robot.cameras.devices import make_device

            device = make_device(self._device_settings, self.camera)
            pause_s = self._settings.backoff_first_s
            while not self._stopping.is_set():
                before = self.shown
                self._read_while_it_shows_something(device)
                pause_s = self._settings.backoff_first_s if self.shown is not before else pause_s
                self._stopping.wait(pause_s)
                pause_s = min(2 * pause_s, self._settings.backoff_max_s)
        except CameraUnfit as error:
            self.died = error
        except BaseException as error:
            self.died = error
            raise

    def _read_while_it_shows_something(self, device: Any) -> None:
        try:
            device.connect(warmup=False)
            self.unlocked = (*left_to_the_camera(self._device_settings), *getattr(device, "unlocked", ()))
            self._read(device)
        except AWAY as error:
            if not self._stopping.is_set():
                self._tell_away(str(error))
        finally:
            self._close(device)

    def _read(self, device: Any) -> None:
        """Hold up what comes until nothing new has come for too long; raises one of `AWAY`."""
        news_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                frame = device.async_read(timeout_ms=1000 * LOOK_S)
            except TimeoutError:
                frame = None
            now_s = time.monotonic()
            if frame is not None and self._is_news(frame):
                self._show(frame, now_s)
                news_s = now_s
            elif now_s - news_s > self._settings.silent_s:
                same = "the same picture again and again" if frame is not None else "nothing"
                raise TimeoutError(f"it showed {same} for {self._settings.silent_s:g} s")

    def _is_news(self, frame: NDArray[np.uint8]) -> bool:
        """A sensor has noise, so the picture of one that works never equals the last."""
        last = self.shown
        return last is None or not self._device_settings.noisy or not np.array_equal(frame, last.pixels)

    def _show(self, frame: NDArray[np.uint8], now_s: float) -> None:
        require_native_size(frame, self.camera)
        frame.flags.writeable = False  # several may look at it
        self.shown = Shown(frame, now_s)
        if self.away:
            self.away = ""
            log.info("camera %r: it shows pictures", self.camera.name)

    def _tell_away(self, why: str) -> None:
        if not self.away:
            log.warning("camera %r: %s; it is being reopened until it is back", self.camera.name, why)
        self.away = why

    def _close(self, device: Any) -> None:
        try:
            device.disconnect()
        except AWAY as error:  # also where it never was connected
            log.debug("camera %r: closing it failed: %s", self.camera.name, error)


def require_native_size(frame: NDArray[np.uint8], camera: Camera) -> None:
    """Raise `CameraUnfit` unless a frame has the native size of the contract."""
    expected = (camera.native_height_px, camera.native_width_px, 3)
    if frame.shape != expected or frame.dtype != np.uint8:
        raise CameraUnfit(
            f"camera {camera.name!r}: got {frame.dtype} pictures of {frame.shape}, expected uint8 {expected}, the "
            f"native size in the contract; is it another camera? Else set it to that size, or change the contract's "
            f"native_height_px, native_width_px and crop, with which older demonstrations no longer fit"
        )


def left_to_the_camera(device: AnyDevice) -> tuple[str, ...]:
    """What the settings leave to the automatic of the camera."""
    match device:
        case OpenCVSettings():
            left = {"exposure": device.exposure_100us, "white balance": device.white_balance_k}
        case RealSenseSettings():
            left = {"exposure": device.exposure_us, "white balance": device.white_balance_k}
        case _:
            left = {}  # whoever serves a network camera locks it
    return tuple(name for name, value in left.items() if value is None)
