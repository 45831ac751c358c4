"""The figures of the dashboard: those of the report, thinned, so that a day's run is as light as an hour's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import floor

import numpy as np
from markupsafe import Markup

from console.dashboard.metrics_tail import MetricsTail
from console.report import figures as report_figures
from console.report.data import CellResult, Grid
from console.report.figures import TrainingCurve
from console.report.metric_figures import metric_panel
from learner.store_reader import EpisodeRecord
from policy.contract import Contract

CURVE_POINTS = 240  # a running average over 20 episodes says no more on a screen
PANEL_POINTS = 120
PANELS = ("q_mean", "critic_loss", "actor_loss", "entropy", "temperature", "updates_per_s", "recent_utd", "bc_loss")
CUBE = ("cube.x", "cube.y")  # in the contract's `sim_only`, where there is one


def thinned(curve: TrainingCurve, points: int) -> TrainingCurve:
    """The same curve in at most so many points; the first window and the last point stay."""
    count = len(curve.env_steps)
    if count <= points:
        return curve
    early = np.arange(curve.window)
    later = np.linspace(curve.window, count - 1, points - curve.window).round().astype(int)
    kept = np.concatenate([early, later])
    return replace(
        curve,
        env_steps=curve.env_steps[kept],
        alone=curve.alone[kept],
        helped=curve.helped[kept],
        human_share=curve.human_share[kept],
    )


def training(curve: TrainingCurve) -> Markup:
    """Success and the operator's share against environment steps."""
    return report_figures.training_figures(thinned(curve, CURVE_POINTS), None)


def metric_panels(metrics: MetricsTail, q_bound: float) -> list[Markup]:
    """A small drawing of each metric that the learner writes, of those that tell most."""
    panels = []
    for name in PANELS:
        curve = metrics.curve(name, PANEL_POINTS)
        if len(curve.updates) > 1:
            spread = curve.means, curve.lows, curve.highs
            panels.append(metric_panel(name, curve.updates, spread, float(max(metrics.updates, 1)), q_bound))
    return panels


def training_by_cell(
    episodes: Iterable[EpisodeRecord], grid: Grid, contract: Contract
) -> dict[tuple[int, int], CellResult] | None:
    """How often episodes succeeded without help, by the cell where the cube lay at their start.

    None where the contract does not tell where the cube is; what lies beyond the grid is left out.
    """
    names = [dimension.name for dimension in contract.sim_only]
    if not set(CUBE) <= set(names):
        return None
    x, y = (names.index(name) for name in CUBE)
    outcomes: dict[tuple[int, int], list[bool]] = {}
    for episode in episodes:
        row = floor((episode.sim_only[x] - grid.x_low_m) / (grid.x_high_m - grid.x_low_m) * grid.rows)
        column = floor((episode.sim_only[y] - grid.y_low_m) / (grid.y_high_m - grid.y_low_m) * grid.columns)
        if 0 <= row < grid.rows and 0 <= column < grid.columns:
            outcomes.setdefault((row, column), []).append(episode.success and not episode.human_steps)
    return {
        cell: CellResult(successes=sum(each), n=len(each), rate=sum(each) / len(each))
        for cell, each in outcomes.items()
    }
