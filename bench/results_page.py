"""Makes docs/results.md and its figures from docs/results.json; `python -m bench.results_page` writes them anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.learning_row import DATA, Row, read_rows
from bench.results_figures import curves, successes
from bench.results_lines import Line, lines
from console.report.page import duration, percent
from learner.disk import write_atomically

PAGE = "results.md"
FIGURES = {"images/results.svg": successes, "images/learning.svg": curves}

HEADER = """\
# What it learns

Written by `bench/learning.py` from `results.json`, which holds every run that is counted here; a test compares them.
Each run is `nudge demo` from an empty folder. A reward classifier pays all rewards: the first line's run of the seed
has trained it before, or the run itself where world, contract or encoder are others. The scripted operator
demonstrates and helps, and at the end the policy alone is examined on the grid, without chance, judged by the
simulator's truth. **Success** is that of all seeds' trials together, with Wilson's 95 % interval, which takes trials
as independent; seeds differ by more than that, so each stands beside it. **Worst cell** is the worst of all seeds.
Other conditions differ from the first one, or from the same with fewer steps, in nothing but what is named. Options
behind a title are those with which that line was measured instead, of an older preset most often; it is not in the
figures. Parts are examined on half as many trials. **Wall clock** is from the empty folder to the report, with the
classifier where the run has trained it; the first line had the machine alone, most others shared it.

    python bench/learning.py --conditions all --seeds 0 1 2 --keep     # --list: their names

![Success of each condition](images/results.svg)

![Success and help while learning](images/learning.svg)
"""


def page(rows: Sequence[Row]) -> str:
    """The Markdown page."""
    return HEADER + "".join(_groups(lines(rows))) + "".join(_origin(rows))


def _groups(all_lines: Sequence[Line]) -> Iterator[str]:
    for group in dict.fromkeys(line.condition.group for line in all_lines):
        yield f"\n## {group}\n\n"
        yield "| | success, 95 % interval | each seed | worst cell | operator, last 50 episodes "
        yield "| cycle, demonstrations' | steps | wall clock |\n|---|---|---|---|---|---|---|---|\n"
        for line in all_lines:
            if line.condition.group == group:
                yield f"| {' | '.join(_cells(line))} |\n"


def _cells(line: Line) -> Iterator[str]:
    low, high = line.interval
    yield line.title
    yield f"**{percent(line.rate)}** of {line.trials}, {100 * low:.1f} to {high:.1%}".replace("%", " %").replace(
        "  ", " "
    )
    yield ", ".join(percent(exam.successes / exam.trials) for exam in line.exams)
    yield percent(min(exam.worst_cell for exam in line.exams))
    if line.look != line.exams_of_training:
        yield from ("", _cycle(line), "", "")
        return
    shares = [row.intervention_share_last_50 for row in line.rows if row.intervention_share_last_50 is not None]
    yield ", ".join(f"{100 * share:.1f} %" for share in shares)
    yield _cycle(line)
    yield f"{median(row.env_steps for row in line.rows):,.0f}"
    yield ", ".join(duration(row.wall_s) for row in line.rows)


def _cycle(line: Line) -> str:
    cycles = [exam.cycle_s for exam in line.exams if exam.cycle_s is not None]
    demos = [row.demo_cycle_s for row in line.rows if row.demo_cycle_s is not None]
    return f"{median(cycles):.1f} s, {median(demos):.1f} s" if cycles and demos else "–"


def _origin(rows: Sequence[Row]) -> Iterator[str]:
    machines, codes = {row.machine for row in rows}, {row.code for row in rows}
    yield f"\nMachines: {'; '.join(sorted(machines)) or '–'}. Commits: {', '.join(sorted(codes)) or '–'}.\n"


def write(rows: Sequence[Row], folder: Path = DATA.parent) -> None:
    """All three files."""
    write_atomically(folder / PAGE, page(rows).encode())
    for name, draw in FIGURES.items():
        write_atomically(folder / name, draw(rows).encode())


if __name__ == "__main__":
    write(read_rows(DATA))
