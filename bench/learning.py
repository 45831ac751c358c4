"""What is learned, by seed: whole runs of `nudge demo`, each examined on the grid without help.

    python bench/learning.py [--preset demo] [--seeds 0 1 2] [--conditions plain never ...] [--json] [--keep]

`--keep` adds the rows to docs/results.json and writes docs/results.md anew. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import tyro  # noqa: E402 - the path comes first
from rich.console import Console  # noqa: E402

from bench import results_page  # noqa: E402
from bench.learning_conditions import CONDITIONS, PLAIN, Condition, find  # noqa: E402
from bench.learning_row import DATA, Row, keep_rows  # noqa: E402
from bench.learning_run import RunFailed, as_json, code_now, imitate, read_run, run_name, teach  # noqa: E402
from bench.lerobot_settings import PeerSettings  # noqa: E402
from bench.longer_run import teach_further  # noqa: E402

ALL = "all"


@dataclasses.dataclass(frozen=True)
class Options:
    """Which runs. One that is finished in the folder is read, not run again."""

    preset: str = "demo"
    """Of conditions that name no other."""
    conditions: tuple[str, ...] = (PLAIN,)
    """By name, see --list; `all` for the whole table."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run of each condition with each."""
    rows: int = 5
    """Of the evaluation's grid."""
    columns: int = 5
    """Of the evaluation's grid."""
    yaws: int | None = None
    """Trials in each cell; those of the condition by default."""
    folder: Path = Path("runs/learning")
    """Where the runs lie, and stay."""
    json: bool = False
    """One line of JSON at the end."""
    keep: bool = False
    """Add what came of it to docs/results.json, and write docs/results.md anew."""
    lerobot: PeerSettings = dataclasses.field(default_factory=PeerSettings)
    """Of the condition of that name."""
    show: Annotated[bool, tyro.conf.arg(name="list")] = False
    """List the conditions, and run nothing."""

    @property
    def chosen(self) -> tuple[Condition, ...]:
        """The conditions; others build on the plain one, which comes first."""
        return CONDITIONS if self.conditions == (ALL,) else tuple(map(find, self.conditions))


def measure(options: Options, console: Console) -> list[Row]:
    """Run all; each row is kept as soon as it is there."""
    rows, code = list[Row](), code_now()
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for condition in options.chosen:
            try:
                row = _one(condition, seed, code, options, console)
            except RunFailed as error:
                console.print(str(error), style="red", highlight=False, markup=False)
                continue
            rows.append(row)
            if options.keep:
                results_page.write(keep_rows(DATA, [row]))
    return rows


def _one(condition: Condition, seed: int, code: str, options: Options, console: Console) -> Row:
    name, grid = run_name(condition, seed), (options.rows, options.columns, options.yaws or condition.yaws)
    if condition.imitates:
        row = imitate(condition, options.preset, seed, grid, options.folder, code)
    elif condition.by_lerobot:
        from bench.lerobot_condition import taught_by_lerobot  # LeRobot takes seconds to import

        row = taught_by_lerobot(condition, options.lerobot, seed, grid, options.folder, code, console)
    elif condition.goes_on:
        with console.status(f"{name}: {condition.group} {condition.title}"):
            run = teach_further(condition, seed, options.folder, code)
        row = read_run(run, condition, console)
    else:
        with console.status(f"{name}: {condition.group} {condition.title}"):
            run = teach(condition, options.preset, seed, grid, options.folder, code)
        row = read_run(run, condition, console)
    for exam in row.exams:
        console.print(
            f"{name}, {exam.look}: {exam.successes}/{exam.trials}, worst cell {exam.worst_cell:.0%}, "
            f"{row.env_steps} steps, {row.wall_s / 60:.1f} min",
            highlight=False,
        )
    return row


def main() -> None:
    """Run, tell, keep; exit status 1 where a run did not come to its end."""
    options, console = tyro.cli(Options, config=(tyro.conf.FlagCreatePairsOff,)), Console(stderr=True)
    if options.show:
        for condition in CONDITIONS:
            print(f"{condition.name:<16} {condition.group} {condition.title}")
        return
    rows = measure(options, console)
    if options.json:
        print(as_json(rows))
    sys.exit(len(rows) < len(options.seeds) * len(options.chosen))


if __name__ == "__main__":
    main()
