"""The coach's rule of places: which cells of the cube's field are weaker than the rest."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist

from console.coach.advice import FieldMap, Severity
from console.coach.evidence import Place, RunEvidence
from console.coach.seen import Lacks, Outcome, Seen
from console.coach.settings import CoachSettings, ProgressThresholds
from console.report.data import CellResult, Grid
from console.statistics import binomial_tail

_MOST_NAMED = 4


def weak_cells(evidence: RunEvidence, settings: CoachSettings) -> Outcome:
    """By the evaluation, else by training where the cube is known, else by where the arm was taken over."""
    progress = settings.progress
    grid, title, cells = evidence.field, "", dict[tuple[int, int], CellResult]()
    if evidence.evaluation is not None:
        grid, title, cells = evidence.evaluation.grid, "Evaluation", evidence.evaluation.by_cell()
    elif by_cube := _by_cube(evidence, progress):
        title, cells = "Training episodes that succeeded alone, by place of the cube", results(grid, by_cube)
    elif by_tool := _by_tool(evidence, progress):
        title, cells = "Successes alone against takeovers, by place of the tool", results(grid, by_tool)
    if not cells:
        return Lacks("no evaluation, and no training episode whose place is known; `nudge eval`")
    weak = _weak(cells, progress)
    if not weak:
        return None
    named = ", ".join(_told(grid, cell, cells[cell]) for cell in weak[:_MOST_NAMED])
    more = f" and {len(weak) - _MOST_NAMED} more" if len(weak) > _MOST_NAMED else ""
    return Seen(
        Severity.HINT,
        f"{title[0].lower()}{title[1:]}: {_average(cells):.0%} on average, but {named}{more}",
        {"average": _average(cells), "weak_cells": float(len(weak))},
        FieldMap(
            title=title,
            grid=grid,
            cells={f"{row},{column}": result for (row, column), result in cells.items()},
            marked=tuple(f"{row},{column}" for row, column in weak),
        ),
    )


def results(grid: Grid, outcomes: Iterable[tuple[Place, bool]]) -> dict[tuple[int, int], CellResult]:
    """Successes by cell; what lies beyond the field counts in the cell at its edge."""
    found: dict[tuple[int, int], list[bool]] = {}
    for place, success in outcomes:
        found.setdefault(_cell_of(grid, place), []).append(success)
    return {
        cell: CellResult(successes=sum(each), n=len(each), rate=sum(each) / len(each)) for cell, each in found.items()
    }


def _by_cube(evidence: RunEvidence, progress: ProgressThresholds) -> list[tuple[Place, bool]]:
    recent = evidence.online()[-progress.weak_episodes :]
    return [(episode.cube_m, episode.alone) for episode in recent if episode.cube_m is not None]


def _by_tool(evidence: RunEvidence, progress: ProgressThresholds) -> list[tuple[Place, bool]]:
    """Where the policy ended the task alone, and where the operator had to take over: the tool is above the cube."""
    recent = evidence.online()[-progress.weak_episodes :]
    alone = [(it.end_m, True) for it in recent if it.alone and it.end_m is not None]
    taken = evidence.recent_takeovers(progress.weak_episodes)
    return alone + [(it.begun_m, False) for it in taken if it.begun_m is not None] if alone else []


def _cell_of(grid: Grid, place: Place) -> tuple[int, int]:
    row = int((place[0] - grid.x_low_m) / (grid.x_high_m - grid.x_low_m) * grid.rows)
    column = int((place[1] - grid.y_low_m) / (grid.y_high_m - grid.y_low_m) * grid.columns)
    return min(max(row, 0), grid.rows - 1), min(max(column, 0), grid.columns - 1)


def _average(cells: dict[tuple[int, int], CellResult]) -> float:
    return sum(cell.successes for cell in cells.values()) / sum(cell.n for cell in cells.values())


def _weak(cells: dict[tuple[int, int], CellResult], progress: ProgressThresholds) -> list[tuple[int, int]]:
    """Cells that are below the average by more than chance, weakest first."""
    average, chance = _average(cells), NormalDist().cdf(-progress.weak_z)
    return [
        cell
        for cell, result in sorted(cells.items(), key=lambda item: (item[1].rate, item[0]))
        if result.n - result.successes >= progress.weak_failures
        and binomial_tail(result.successes, result.n, average) < chance
    ]


def _told(grid: Grid, cell: tuple[int, int], result: CellResult) -> str:
    x_m, y_m = grid.centre_m(*cell)
    return f"{result.successes}/{result.n} at x {100 * x_m:.0f}, y {100 * y_m:+.0f} cm".replace("-", "−")
