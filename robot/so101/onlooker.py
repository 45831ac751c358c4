"""A real arm that is only looked at: its joints and its cameras, while its torque stays as it was found."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

import numpy as np

from policy.contract import Camera
from robot.arm import ArmReading
from robot.cameras import CameraSet
from robot.so101.bus import So101Bus
from robot.so101.calibration import Scale, calibration_path, load_calibration
from robot.so101.lint import lint_file, lint_servos, require_sound_calibration
from robot.so101.settings import So101Settings


class So101Onlooker:
    """A context in which a SO-101 is read and nothing is written to it: a limp arm can be moved by hand, a stiff one
    stays stiff. All calls from one thread.

    Entering it opens port and cameras. Raises `ArmError` for settings, servos or a calibration that do not fit,
    `ArmFault` for what a person at the arm can mend, such as a port that another process has.
    """

    def __init__(self, settings: So101Settings, cameras: tuple[Camera, ...]) -> None:
        self._settings = settings
        path = calibration_path(settings, "follower")
        self._path, self._joints = path, load_calibration(path)
        require_sound_calibration(path, lint_file(settings.id, self._joints, settings.span_tolerance))
        self._scale = Scale.of(self._joints)
        self._bus = So101Bus(settings)
        self._cameras = CameraSet(settings.cameras, cameras)
        self._devices = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._bus.close)
            self._bus.open()
            require_sound_calibration(self._path, lint_servos(self._settings.id, self._joints, self._bus))
            stack.enter_context(self._cameras)
            self._devices = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._devices.close()

    def read(self) -> ArmReading:
        """Joints and the latest frames. Never waits for a camera. Raises `ArmFault`."""
        ticks = self._bus.fetch(["Present_Position"])["Present_Position"]
        frames = self._cameras.latest()
        return ArmReading(
            self._scale.radians(ticks),
            {name: frame.pixels for name, frame in frames.items()},
            np.zeros(0, np.float32),
            {name: frame.age_s for name, frame in frames.items()},
        )
