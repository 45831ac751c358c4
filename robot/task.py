"""Grasp-and-lift: where the cube may lie, how an episode starts, and when it has succeeded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot.settings import TaskSettings

# What the task reads of `sim_only`, in this order: position [m], yaw [rad], and 1 while both jaws touch the cube.
CUBE_STATE = ("cube.x", "cube.y", "cube.z", "cube.yaw", "cube.held")
_Z, _HELD = CUBE_STATE.index("cube.z"), CUBE_STATE.index("cube.held")


@dataclass(frozen=True, slots=True)
class CubePose:
    """Where the cube lies on the table, in the base frame."""

    x_m: float
    y_m: float
    yaw_rad: float


@dataclass(frozen=True, slots=True)
class Start:
    """How an episode begins: the cube's pose and the tool's position (3,) [m]."""

    cube: CubePose
    tool_m: NDArray[np.float64]


class GraspLift:
    """Success is the cube lifted by `lift_m` and held by both jaws for `hold_steps` consecutive steps."""

    def __init__(self, settings: TaskSettings) -> None:
        self.settings = settings
        self._held_steps = 0
        self._rest_z_m = 0.0

    def draw_start(self, generator: np.random.Generator) -> Start:
        """A cube anywhere in the field at any yaw, and a tool somewhere near its start."""
        settings = self.settings
        cube = CubePose(
            generator.uniform(*settings.field_x_m),
            generator.uniform(*settings.field_y_m),
            generator.uniform(-math.pi, math.pi),
        )
        noise = np.array(settings.start_noise_m)
        return Start(cube, np.array(settings.start_m) + generator.uniform(-noise, noise))

    def begin(self, sim_only: NDArray[np.float32]) -> None:
        """Remember where the cube rests."""
        self._held_steps = 0
        if self.settings.judge == "simulator":
            self._rest_z_m = float(sim_only[_Z])

    def succeeded(self, sim_only: NDArray[np.float32]) -> bool:
        """Judge one step by the simulator's truth, where that is the judge. Call it once a step: it counts."""
        if self.settings.judge != "simulator":
            return False
        lifted = float(sim_only[_Z]) - self._rest_z_m >= self.settings.lift_m
        self._held_steps = self._held_steps + 1 if lifted and sim_only[_HELD] > 0.5 else 0
        return self._held_steps >= self.settings.hold_steps
