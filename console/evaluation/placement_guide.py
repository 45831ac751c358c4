"""Where to lay the cube for a trial: a drawing for the terminal, and a sheet in real size for the table."""

from __future__ import annotations

import math
from pathlib import Path

from console.errors import ConsoleError
from console.evaluation.grid import Placement
from console.report.data import Grid
from console.web.templates import page_template
from learner.disk import write_atomically
from robot.task import CubePose

A4_MM = (210.0, 297.0)  # upright: width along y, height along x
MARGIN_MM = 15.0  # most printers leave as much white
HEADING_MM = 30.0  # above the field
GUIDE_FILE = "placement.html"


def told(number: int, trials: int, cube: CubePose) -> str:
    """A line: which trial, and where the cube goes, in centimetres and degrees."""
    side = "" if abs(cube.y_m) < 0.0005 else " (to the arm's left)" if cube.y_m > 0 else " (to the arm's right)"
    text = (
        f"trial {number} of {trials}: cube at x {100 * cube.x_m:.1f} cm, y {100 * cube.y_m:+.1f} cm{side}, turned by "
        f"{math.degrees(cube.yaw_rad):.3g}°"
    )
    return text.replace("-", "−")


def drawn(grid: Grid, placement: Placement) -> list[str]:
    """The field from above behind the arm: x away from it is up, y to its left is left; the cube's cell is marked."""
    lines = []
    for row in reversed(range(grid.rows)):
        cells = [
            "[■]" if (row, column) == (placement.row, placement.column) else " · "
            for column in reversed(range(grid.columns))
        ]
        x_m, _ = grid.centre_m(row, 0)
        lines.append(f"  x {100 * x_m:5.1f} cm  {''.join(cells)}")
    indent = " " * 14
    left_m, right_m = grid.centre_m(0, grid.columns - 1)[1], grid.centre_m(0, 0)[1]
    ends = f"y {100 * left_m:+.1f}", f"{100 * right_m:+.1f} cm"
    between = max(1, 3 * grid.columns - len(ends[0]) - len(ends[1]))
    lines.append((indent + ends[0] + " " * between + ends[1]).replace("-", "−"))
    lines.append(indent + "(arm)".center(3 * grid.columns))
    return lines


def write_guide(path: Path, grid: Grid, yaws_rad: list[float]) -> Path:
    """Write the sheet: the cells in real size on A4, to be printed without scaling. Returns its path.

    Raises `ConsoleError` for a field that is larger than the sheet.
    """
    deep_mm, wide_mm = 1e3 * (grid.x_high_m - grid.x_low_m), 1e3 * (grid.y_high_m - grid.y_low_m)
    room = A4_MM[0] - 2 * MARGIN_MM, A4_MM[1] - 2 * MARGIN_MM - HEADING_MM
    if wide_mm > room[0] or deep_mm > room[1]:
        raise ConsoleError(
            f"task.field_x_m, task.field_y_m: got a field of {deep_mm:.0f} x {wide_mm:.0f} mm, but an A4 sheet has "
            f"room for {room[1]:.0f} x {room[0]:.0f}; draw the cells on the table by hand, `nudge eval` tells where "
            "each is"
        )
    left_mm, top_mm = (A4_MM[0] - wide_mm) / 2, MARGIN_MM + HEADING_MM
    text = page_template("placement.html.j2").render(
        page=A4_MM,
        margin_mm=MARGIN_MM,
        left_mm=left_mm,
        top_mm=top_mm,
        wide_mm=wide_mm,
        deep_mm=deep_mm,
        centre_mm=left_mm + 1e3 * grid.y_high_m if grid.y_low_m <= 0 <= grid.y_high_m else None,
        near_cm=100 * grid.x_low_m,
        far_cm=100 * grid.x_high_m,
        cells=[_cell(grid, row, column, left_mm, top_mm) for row in range(grid.rows) for column in range(grid.columns)],
        cell_mm=(wide_mm / grid.columns, deep_mm / grid.rows),
        yaws_deg=[math.degrees(yaw_rad) for yaw_rad in yaws_rad],
    )
    write_atomically(path, text.encode())
    return path


def _cell(grid: Grid, row: int, column: int, left_mm: float, top_mm: float) -> dict[str, float]:
    """A cell on the sheet, where up is away from the arm: its centre [mm], and the same in the base frame [cm]."""
    x_m, y_m = grid.centre_m(row, column)
    return {
        "across_mm": left_mm + 1e3 * (grid.y_high_m - y_m),
        "down_mm": top_mm + 1e3 * (grid.x_high_m - x_m),
        "x_cm": 100 * x_m,
        "y_cm": 100 * y_m,
    }
