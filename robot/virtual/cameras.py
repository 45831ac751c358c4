"""Network cameras as LeRobot knows them: JPEG in base64 in JSON, published over ZMQ; one port for each camera.

A process of their own, so that no servo ever waits for a picture: `python -m robot.virtual.cameras SETTINGS`.

LeRobot's server packs several cameras into one message, and its client takes any picture when its own is missing: with
one port each, a camera that vanishes is seen to vanish.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

import cv2
import mujoco
import numpy as np
import zmq
from numpy.typing import NDArray

from robot.desk import Desk
from robot.sim import picture
from robot.virtual.camera_process import CAMERA_NAMES, CameraFault
from robot.virtual.errors import VirtualArmError
from robot.virtual.settings import VirtualSettings

SLOW_HZ = 2.0
JPEG_QUALITY = 80  # as LeRobot's own server has it


class NetworkCamera:
    """Publishes the frames of one camera."""

    def __init__(self, name: str, port: int, hz: float, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.name = name
        self.port = port
        self._period_s = 1 / hz
        self._context = context
        self._socket: zmq.Socket[bytes] | None = None
        self._watched = False
        self._last: str | None = None
        self._due_s = 0.0
        self._open()

    def show(self, take: Callable[[str], NDArray[np.uint8]], fault: CameraFault, now_s: float) -> None:
        """Publish a frame if it is time for one and somebody watches."""
        if fault == "vanished":
            self.close()
            return
        if self._socket is None:
            self._open()
        if now_s < self._due_s or not self._is_watched():
            return
        period_s = 1 / SLOW_HZ if fault == "slow" else self._period_s
        self._due_s = max(self._due_s + period_s, now_s)
        if fault != "frozen" or self._last is None:
            frame = take(self.name)
            self._last = json.dumps({"timestamps": {self.name: time.time()}, "images": {self.name: encode(frame)}})
        assert self._socket is not None
        self._socket.send_string(self._last)

    def close(self) -> None:
        """Stop publishing; watchers are cut off."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket, self._watched = None, False

    def _open(self) -> None:
        socket = self._context.socket(zmq.XPUB)
        try:
            socket.bind(f"tcp://127.0.0.1:{self.port or '*'}")
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise VirtualArmError(
                f"camera {self.name!r}: port {self.port} cannot be opened ({error}); choose another --camera-port, or 0"
            ) from error
        self.port = int(bytes(socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").rpartition(b":")[2])
        self._socket = socket

    def _is_watched(self) -> bool:
        """Whether there is a subscriber; ZMQ tells of the first that comes and of the last that goes."""
        assert self._socket is not None
        while self._socket.poll(0):
            self._watched = self._socket.recv().startswith(b"\x01")
        return self._watched


class Scene:
    """The newest state of the world, as its process tells it: one JSON line each, read in a thread of its own."""

    def __init__(self, lines: TextIO) -> None:
        self.ended = threading.Event()
        self._lines = lines
        self._latest = json.loads(lines.readline())
        threading.Thread(target=self._read, name="scene", daemon=True).start()

    @property
    def qpos(self) -> list[float]:
        """MuJoCo's coordinates."""
        return list(self._latest["qpos"])

    def fault(self, camera: str) -> CameraFault:
        """What is wrong with a camera."""
        fault: CameraFault = self._latest["faults"][camera]
        return fault

    def _read(self) -> None:
        for line in self._lines:
            self._latest = json.loads(line)
        self.ended.set()


def main(settings: VirtualSettings) -> None:
    """Serve the cameras until standard input ends: its lines tell the scene, the only line of output the ports."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the station, which then ends this
    # Pictures may wait, servos not: give back what priority the station was given.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    first = settings.camera_port
    try:
        cameras = [
            NetworkCamera(name, first + index if first else 0, settings.camera_hz, context)
            for index, name in enumerate(CAMERA_NAMES)
        ]
    except VirtualArmError as error:
        _say({"error": str(error)})
        context.destroy(linger=0)
        return
    scene, model = Scene(sys.stdin), Desk().model
    data = mujoco.MjData(model)
    with mujoco.Renderer(model, settings.camera_height_px, settings.camera_width_px) as renderer:

        def take(camera: str) -> NDArray[np.uint8]:
            data.qpos[:] = scene.qpos
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            return picture(renderer, data, camera)

        _say({camera.name: camera.port for camera in cameras})
        while not scene.ended.wait(0.25 / settings.camera_hz):
            for camera in cameras:
                camera.show(take, scene.fault(camera.name), time.perf_counter())
    context.destroy(linger=0)


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def encode(frame: NDArray[np.uint8]) -> str:
    """A frame as LeRobot's server encodes it: RGB handed to an encoder that expects BGR, which its client undoes."""
    _, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return base64.b64encode(jpeg.tobytes()).decode()


if __name__ == "__main__":
    main(VirtualSettings.model_validate_json(sys.argv[1]))
