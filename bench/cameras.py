"""How old the frames of the real arm's cameras are, what looking at them costs, and how soon a lost one is back.

    python bench/cameras.py

Against the network cameras of `nudge virtual`, in a process of its own, at 20 Hz.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from console.stopping import Child
from policy.contract import Camera, Crop
from robot.cameras import CameraSet, CameraSettings
from robot.virtual.commands import CameraTrouble, State
from robot.virtual.control import Remote
from robot.virtual.station import CONTROL_SOCKET

WIDTH_PX, HEIGHT_PX = 320, 240
LOOKS = 200  # at 20 Hz
ACCIDENTS = 5


def main() -> None:
    """Print the figures, one line each."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (
            Child("virtual arm", ["virtual", "--folder", name, "--camera-port", "0"], folder / "log"),
            Remote.when_ready(folder / CONTROL_SOCKET, within_s=60) as remote,
            CameraSet(*_cameras(remote)) as cameras,
        ):
            _measure_looks(cameras)
            _measure_accidents(remote, cameras)


def _cameras(remote: Remote) -> tuple[CameraSettings, tuple[Camera, ...]]:
    ports = {name: told["port"] for name, told in remote.tell(State())["cameras"].items()}
    devices = [{"kind": "zmq", "name": name, "port": port, "noisy": False} for name, port in ports.items()]
    crop = Crop(top=0, left=40, height=HEIGHT_PX, width=HEIGHT_PX)
    sizes = {"native_height_px": HEIGHT_PX, "native_width_px": WIDTH_PX, "crop": crop}
    return (
        CameraSettings.model_validate({"devices": devices, "first_frame_s": 60}),
        tuple(Camera.model_validate({"name": name} | sizes) for name in ports),
    )


def _measure_looks(cameras: CameraSet) -> None:
    ages_ms, costs_us = [], []
    for _ in range(LOOKS):
        start_s = time.perf_counter()
        frames = cameras.latest()
        costs_us.append(1e6 * (time.perf_counter() - start_s))
        ages_ms += [1e3 * frame.age_s for frame in frames.values()]
        time.sleep(0.047)
    _tell("age of a frame [ms]", ages_ms)
    _tell("latest(), two cameras [us]", costs_us)


def _measure_accidents(remote: Remote, cameras: CameraSet) -> None:
    noticed_s, back_s = [], []
    for _ in range(ACCIDENTS):
        remote.tell(CameraTrouble(camera="wrist", fault="vanished"))
        noticed_s.append(_until(lambda: cameras.reopening != ()))
        time.sleep(0.5)
        remote.tell(CameraTrouble(camera="wrist", fault="none"))
        back_s.append(_until(lambda: cameras.reopening == ()))
    _tell("vanished, until it is reopened [s]", noticed_s)
    _tell("there again, until its first frame [s]", back_s)


def _until(holds: Callable[[], bool]) -> float:
    begun_s = time.perf_counter()
    while not holds():
        time.sleep(0.005)
    return time.perf_counter() - begun_s


def _tell(what: str, values: list[float]) -> None:
    middle, high, worst = np.percentile(values, (50, 99, 100))
    print(f"{what:40s} median {middle:8.2f}   99 % {high:8.2f}   worst {worst:8.2f}")


if __name__ == "__main__":
    main()
