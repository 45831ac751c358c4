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


class SpreadPoints:
    """Points of the unit cube, each where none has been yet, as a person lays a cube who means to cover the table.

    Halton's sequence in bases 2, 3 and 5 (Halton 1960), shifted at random modulo 1 (Cranley and Patterson 1976).
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._shift = generator.random(3)
        self._index = 0

    def draw(self) -> NDArray[np.float64]:
        """The next one: (3,), 0..1."""
        point = [_radical_inverse(self._index, base) for base in (2, 3, 5)]
        self._index += 1
        return (self._shift + point) % 1.0


def _radical_inverse(index: int, base: int) -> float:
    """The digits of a number, mirrored at the point: 6 = 110 in base 2 becomes 0.011."""
    value, weight = 0.0, 1.0
    while index:
        weight /= base
        index, digit = divmod(index, base)
        value += weight * digit
    return value


class GraspLift:
    """Success is the cube lifted by `lift_m` and held by both jaws for `hold_steps` consecutive steps."""

    def __init__(self, settings: TaskSettings) -> None:
        self.settings = settings
        self._held_steps = 0
        self._rest_z_m = 0.0
        self._places: tuple[np.random.Generator, SpreadPoints] | None = None

    def draw_start(self, generator: np.random.Generator) -> Start:
        """A cube anywhere in the field at any yaw, and a tool somewhere near its start.

        All cubes that are drawn with one generator cover the field evenly.
        """
        settings = self.settings
        if self._places is None or self._places[0] is not generator:
            self._places = generator, SpreadPoints(generator)
        low, high = np.array([settings.field_x_m, settings.field_y_m, (-math.pi, math.pi)]).T
        x_m, y_m, yaw_rad = low + (high - low) * self._places[1].draw()
        noise = np.array(settings.start_noise_m)
        tool_m = np.array(settings.start_m) + generator.uniform(-noise, noise)
        return Start(CubePose(float(x_m), float(y_m), float(yaw_rad)), tool_m)

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
