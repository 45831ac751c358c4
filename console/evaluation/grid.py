"""The fixed grid of evaluation: which trials there are, and what two evaluations must share to be compared."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from console.report.data import Grid
from console.settings import Settings
from robot.task import CubePose, Start

# A cube looks the same after a quarter turn.
SYMMETRY_RAD = math.pi / 2


@dataclass(frozen=True, slots=True)
class Placement:
    """One trial to come: its cell and its start."""

    row: int
    column: int
    start: Start


def placements(settings: Settings) -> Iterator[Placement]:
    """Cell centres times yaws; the tool's start is drawn as in training, from a seed of its own."""
    chosen = settings.evaluation
    grid = make_grid(settings)
    generator = np.random.default_rng(chosen.seed)
    start_m, noise_m = np.array(settings.task.start_m), np.array(settings.task.start_noise_m)
    for row in range(grid.rows):
        for column in range(grid.columns):
            x_m, y_m = grid.centre_m(row, column)
            for turn in range(chosen.yaws):
                cube = CubePose(x_m, y_m, SYMMETRY_RAD * turn / chosen.yaws)
                yield Placement(row, column, Start(cube, start_m + generator.uniform(-noise_m, noise_m)))


def make_grid(settings: Settings) -> Grid:
    """The field of cube positions, cut into the cells of the settings."""
    (x_low_m, x_high_m), (y_low_m, y_high_m) = settings.task.field_x_m, settings.task.field_y_m
    return Grid(
        rows=settings.evaluation.rows,
        columns=settings.evaluation.columns,
        x_low_m=x_low_m,
        x_high_m=x_high_m,
        y_low_m=y_low_m,
        y_high_m=y_high_m,
    )


def conditions(settings: Settings) -> dict[str, str]:
    """What two evaluations must share to be compared: trials, world, contract and judge."""
    grid, chosen = make_grid(settings), settings.evaluation
    world = settings.arm.model_dump_json() + settings.task.model_dump_json()
    return {
        "contract": settings.contract.hash,
        "grid": f"{grid.rows} x {grid.columns} cells of x {grid.x_low_m:g} to {grid.x_high_m:g} m, "
        f"y {grid.y_low_m:g} to {grid.y_high_m:g} m, {chosen.yaws} yaws",
        "seed": f"{chosen.seed}, {settings.seed} of the arm",
        "arm and task": hashlib.sha256(world.encode()).hexdigest()[:16],
        "judge": settings.task.judge,
    }
