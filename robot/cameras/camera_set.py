"""All cameras of an arm: the newest frame of each, and how old it is, without ever waiting for one."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policy.contract import Camera
from robot.cameras.errors import CameraUnfit
from robot.cameras.reader import CameraReader
from robot.cameras.settings import CameraSettings
from robot.errors import CameraStale

LOOK_S = 0.01

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A native frame and its age.

    pixels: uint8 RGB (native_height_px, native_width_px, 3), read-only
    age_s: since the camera last showed something new: a picture sent again does not make it younger
    """

    pixels: NDArray[np.uint8]
    age_s: float


class CameraSet:
    """A context in which the cameras of a contract are read in the background.

    Entering it waits for the first frame of each. Raises `CameraUnfit` for a camera that is not what settings and
    contract say, and `CameraStale` where one shows nothing.
    """

    def __init__(self, settings: CameraSettings, cameras: tuple[Camera, ...]) -> None:
        devices = {device.name: device for device in settings.devices}
        _require_same_names(set(devices), {camera.name for camera in cameras})
        self._settings = settings
        self._readers = {camera.name: CameraReader(devices[camera.name], camera, settings) for camera in cameras}

    def __enter__(self) -> Self:
        for reader in self._readers.values():
            reader.start()
        try:
            self._await_first_frames()
        except BaseException:
            self.__exit__()
            raise
        for finding in self.findings:
            log.warning("%s", finding)
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers.values():
            reader.stop()
        deadline_s = time.monotonic() + self._settings.close_s
        for name, reader in self._readers.items():
            if not reader.join(deadline_s - time.monotonic()):
                log.warning("camera %r: it does not let go of its device; it will when this process ends", name)

    def latest(self) -> dict[str, TimedFrame]:
        """The newest frame of each camera. Never waits, and takes no lock.

        Raises `CameraStale` where a camera has never shown anything, or will never again.
        """
        frames = {}
        for name, reader in self._readers.items():
            if reader.died is not None:
                raise CameraStale(f"{reader.died}" if isinstance(reader.died, CameraUnfit) else _dead(name, reader))
            shown = reader.shown
            if shown is None:
                raise CameraStale(_silent(name, reader))
            frames[name] = TimedFrame(shown.pixels, max(0.0, time.monotonic() - shown.arrived_s))
        return frames

    @property
    def reopening(self) -> tuple[str, ...]:
        """Names of the cameras that show nothing new and are being reopened."""
        return tuple(name for name, reader in self._readers.items() if reader.away and reader.died is None)

    @property
    def findings(self) -> tuple[str, ...]:
        """What a person should know of the cameras as they are: controls that are not locked, and what helps."""
        return tuple(
            f"camera {name!r}: {' and '.join(reader.unlocked)} not locked, so its pictures change with the light by "
            f"themselves; give its values in the settings of the camera, or see docs/cameras.md where it refuses them"
            for name, reader in self._readers.items()
            if reader.unlocked
        )

    def _await_first_frames(self) -> None:
        """Wait until each camera has shown something; `CameraUnfit` and `CameraStale` as the class says."""
        deadline_s = time.monotonic() + self._settings.first_frame_s
        for name, reader in self._readers.items():
            while reader.shown is None:
                if isinstance(reader.died, CameraUnfit):
                    raise reader.died
                if reader.died is not None:
                    raise CameraStale(_dead(name, reader)) from reader.died
                if time.monotonic() > deadline_s:
                    raise CameraStale(_silent(name, reader))
                time.sleep(LOOK_S)


def _dead(name: str, reader: CameraReader) -> str:
    return f"camera {name!r}: its reader has died ({reader.died!r}), and its traceback stands above; start anew"


def _silent(name: str, reader: CameraReader) -> str:
    return (
        f"camera {name!r}: it has shown nothing yet: {reader.away}; check its cable, its device or address in the "
        f"settings, and that no other program has it open"
    )


def _require_same_names(devices: set[str], cameras: set[str]) -> None:
    if devices != cameras:
        raise CameraUnfit(
            f"cameras: got devices for {sorted(devices)}, but the contract has {sorted(cameras)}; give one device for "
            f"each camera of the contract, with its name"
        )
