"""The station's side of the cameras: starts their process, and tells it how the world is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Literal, Self

from robot.scene import FRONT_CAMERA, WRIST_CAMERA
from robot.virtual.errors import VirtualArmError
from robot.virtual.settings import VirtualSettings
from robot.virtual.world import World

CameraFault = Literal["none", "frozen", "slow", "vanished"]
CAMERA_NAMES = (WRIST_CAMERA, FRONT_CAMERA)
GRACE_S = 10.0


class CameraProcess:
    """A context in which the cameras are served.

    ports: TCP port of each camera
    faults: what is wrong with each; changed while it runs
    """

    def __init__(self, world: World, settings: VirtualSettings) -> None:
        self.ports: dict[str, int] = {}
        self.faults: dict[str, CameraFault] = dict.fromkeys(CAMERA_NAMES, "none")
        self._world = world
        self._period_s = 0.5 / settings.camera_hz
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="cameras", daemon=True)
        told = settings.model_dump_json(include=set(VirtualSettings.model_fields))  # not what a verb adds to them
        self._process = subprocess.Popen(
            [sys.executable, "-m", "robot.virtual.cameras", told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline() or '{"error": "cameras: they died, as stands above"}')
        if "error" in ready:
            self.__exit__()
            raise VirtualArmError(ready["error"])
        self.ports = ready
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def alive(self) -> bool:
        """Whether they still look."""
        return self._process.poll() is None

    def _tell(self) -> None:
        """Tell the scene twice a frame; the end of the pipe is the end of the process, whichever side ends first."""
        assert self._process.stdin is not None
        try:
            with self._process.stdin as lines:
                while not self._stopping.is_set():
                    told = {"qpos": self._world.configuration().tolist(), "faults": self.faults}
                    lines.write(json.dumps(told) + "\n")
                    lines.flush()
                    self._stopping.wait(self._period_s)
        except BrokenPipeError:
            return  # it has died: `alive` tells
