"""The page that shows two policies side by side: one HTML document that needs no network."""

from __future__ import annotations

from pathlib import Path

from console.compare.comparison import SIGNIFICANT, Comparison, Side
from console.compare.figures import NamedCurve, difference_bar, learning_curves
from console.report.figures import success_map
from console.report.page import percent, training_curve
from console.web.svg import number
from console.web.templates import page_template
from learner.disk import write_atomically


def write_comparison(path: Path, first: Side, second: Side, found: Comparison) -> Path:
    """Write the page, whole or not at all; returns its path."""
    curves = [
        NamedCurve(side.name.partition("@")[0], curve)  # a run's curve, whichever of its checkpoints is compared
        for side in (first, second)
        if side.episodes and len((curve := training_curve(side.episodes)).env_steps)
    ]
    same_run = first.name.partition("@")[0] == second.name.partition("@")[0]
    page = page_template("compare.html.j2", percent=percent, number=number)
    text = page.render(
        found=found,
        significant=SIGNIFICANT,
        bar=difference_bar(found),
        curves=learning_curves(curves[:1] if same_run else curves) if curves else None,
        same_run=same_run,
        maps=[(side.name, success_map(side.evaluation.grid, side.evaluation.by_cell())) for side in (first, second)],
        conditions=first.evaluation.conditions,
        label=first.evaluation.label,
    )
    write_atomically(path, text.encode())
    return path
