"""The whole virtual station: two arms on two ports, a desk, two cameras, and a socket to tell it what happens."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from robot.desk import Desk
from robot.virtual.assembly import Keepsakes, assemble, calibrate
from robot.virtual.bodies import LeaderBody, SceneBody
from robot.virtual.camera_process import CameraProcess
from robot.virtual.control import ControlSocket
from robot.virtual.errors import VirtualArmError
from robot.virtual.line import SerialLine
from robot.virtual.settings import VirtualSettings
from robot.virtual.world import VirtualArm, World

CONTROL_SOCKET = "control"
KEEPSAKES_FILE = "servos.json"
CALIBRATION_FOLDER = "calibration"  # `--robot.calibration_dir` of LeRobot's commands, with the arms' names as ids


class Station:
    """A context: its ports exist while it is entered, and nothing of it remains but what the servos keep."""

    def __init__(self, settings: VirtualSettings) -> None:
        self._settings = settings
        folder = settings.folder
        generator = random.Random(settings.seed)  # which packets are lost is no secret
        self._scene = SceneBody(Desk())
        stops_rad = self._scene.stops_rad
        self.arms = {
            "follower": VirtualArm(assemble("follower", generator), self._scene),
            "leader": VirtualArm(assemble("leader", generator), LeaderBody(stops_rad)),
        }
        self.world = World(self.arms["follower"], self.arms["leader"], self._scene)
        ports = {"follower": settings.follower_port, "leader": settings.leader_port}
        self.lines = {
            name: SerialLine(ports[name] or folder / name, arm.bus, wire_timing=settings.wire_timing)
            for name, arm in self.arms.items()
        }
        self.cameras: CameraProcess | None = None
        self._keepsakes = Keepsakes(folder / KEEPSAKES_FILE, {name: arm.bus for name, arm in self.arms.items()})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._settings.folder.mkdir(parents=True, exist_ok=True)
            control = ControlSocket(self._settings.folder / CONTROL_SOCKET, self)
            stack.callback(control.close)
            if not self._keepsakes.restore() and self._settings.calibrated:
                self._calibrate()
            stack.callback(self._keepsakes.save)
            stack.enter_context(self.world)
            if self._settings.cameras:
                self.cameras = stack.enter_context(CameraProcess(self.world, self._settings))
            for line in self.lines.values():
                stack.enter_context(line)
            control.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tend(self) -> None:
        """Call it now and then: keeps what the servos keep. Raises `VirtualArmError` when a part has died."""
        self._keepsakes.save()
        dead = [] if self.world.alive else ["world"]
        if self.cameras is not None and not self.cameras.alive:
            dead.append("cameras")
        dead += [name for name, line in self.lines.items() if not line.sound]
        if dead:
            raise VirtualArmError(f"{', '.join(dead)}: died, and its error stands above; start anew")

    def state(self) -> dict[str, Any]:
        """How things are, as JSON."""
        return {
            "arms": {name: self._arm_state(name) for name in self.arms},
            "cube": self.world.cube_state(),
            "cameras": {
                name: {"port": port, "fault": self.cameras.faults[name]} for name, port in self.cameras.ports.items()
            }
            if self.cameras is not None
            else {},
            "slipped_s": self.world.slipped_s,
        }

    def _arm_state(self, name: str) -> dict[str, Any]:
        arm, line = self.arms[name], self.lines[name]
        faults = arm.bus.faults
        return {
            "port": str(line.path),
            "plugged_in": line.plugged_in,
            "joint_rad": arm.joint_rad,
            "has_torque": arm.has_torque,
            "lost": faults.lost,
            "corrupt": faults.corrupt,
            "silent": sorted(faults.silent),
            "powered": faults.powered,
        }

    def _calibrate(self) -> None:
        folder: Path = self._settings.folder / CALIBRATION_FOLDER
        folder.mkdir(exist_ok=True)
        for name, arm in self.arms.items():
            calibration = calibrate(arm.bus, self._scene.stops_rad)
            (folder / f"{name}.json").write_text(json.dumps(calibration, indent=4))
