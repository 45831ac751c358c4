"""`nudge compare A B`: two runs or two checkpoints, as a table, a page and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.console import Console
from rich.table import Table

from console.compare.comparison import Comparison, SideFigures, compare, load_side
from console.compare.page import write_comparison
from console.presets.load import parse_options
from policy.contract import Frozen


class CompareOptions(Frozen):
    """Two runs or checkpoints: `demo`, `demo@best`, `demo@newest`, or `demo@12000` after so many updates."""

    first: tyro.conf.Positional[str] = Field(description="What is compared with.")
    second: tyro.conf.Positional[str] = Field(description="What may be better.")
    runs: Path = Field(default=Path("runs"), description="Folder of all runs.")
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        default=False, description="One JSON object instead of a table, and no page."
    )


def main(argv: list[str]) -> int:
    """Compare; returns the exit status, 0 whatever came of it."""
    options = parse_options(CompareOptions, argv, "nudge compare", flags=True)
    first, second = load_side(options.first, options.runs), load_side(options.second, options.runs)
    found = compare(first, second)
    if options.as_json:
        print(found.model_dump_json())
        return 0
    page = write_comparison(options.runs / f"compare-{options.first}-{options.second}.html", first, second, found)
    console = Console()
    console.print(comparison_table(found))
    for line in comparison_lines(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"page: {page}", highlight=False, markup=False, soft_wrap=True)
    return 0


def comparison_table(found: Comparison) -> Table:
    """A line for each of the two."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("updates", "success", "95 % interval", "cycle: median", "middle half"):
        table.add_column(heading, justify="right")
    for side in (found.first, found.second):
        table.add_row(side.name, *_cells(side))
    return table


def comparison_lines(found: Comparison) -> list[str]:
    """What the difference is, and how sure."""
    lines = [
        f"difference ({found.second.name} less {found.first.name}): {100 * found.difference:+.1f} points, 95 % "
        f"interval {100 * found.difference_low:+.1f} to {100 * found.difference_high:+.1f} (Newcombe)"
    ]
    if found.paired:
        lines.append(
            f"of the same {found.first.trials} trials {found.both} succeeded in both, {found.first_only} only in "
            f"{found.first.name}, {found.second_only} only in {found.second.name}, {found.neither} in neither"
        )
    else:
        lines.append("the trials are not the same ones, so that they cannot be paired")
    if found.cycle_difference_s is not None:
        lines.append(f"where both succeeded, the second took {found.cycle_difference_s:+.1f} s in the median")
    return [*lines, f"{found.test}: p = {found.p:.2g}; {found.verdict}"]


def _cells(side: SideFigures) -> list[str]:
    cycle = side.cycle
    return [
        f"{side.policy_version:,}",
        f"{side.successes}/{side.trials} = {side.rate:.0%}",
        f"{side.low:.1%} to {side.high:.1%}",
        "–" if cycle is None else f"{cycle.median_s:.1f} s",
        "–" if cycle is None else f"{cycle.low_s:.1f} to {cycle.high_s:.1f} s",
    ]
