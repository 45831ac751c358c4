"""What one run came to, and the table of all of them, kept as data: `docs/results.json`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from learner.disk import write_atomically
from policy.contract import Frozen

DATA = Path(__file__).resolve().parents[1] / "docs" / "results.json"


class Exam(Frozen):
    """The last policy alone on the grid, without chance, judged by the simulator's truth."""

    look: str = Field(description="of the world: trained, or another one")
    cells: dict[str, tuple[int, int]] = Field(description="successes and trials by 'row,column'")
    cycle_s: float | None = Field(description="median of successful trials [s]")

    @property
    def successes(self) -> int:
        """Of all cells."""
        return sum(successes for successes, _ in self.cells.values())

    @property
    def trials(self) -> int:
        """Of all cells."""
        return sum(trials for _, trials in self.cells.values())

    @property
    def worst_cell(self) -> float:
        """Its success rate [1]."""
        return min(successes / trials for successes, trials in self.cells.values())


class Row(Frozen):
    """One run of one condition with one seed."""

    condition: str
    preset: str
    seed: int
    options: tuple[str, ...] = Field(description="what differs from the preset")
    exams: tuple[Exam, ...] = Field(min_length=1)
    env_steps: int = Field(description="demonstrations included")
    robot_time_s: float
    teaching_s: float = Field(description="from the first demonstration to the last step, by the wall clock [s]")
    wall_s: float = Field(description="from an empty folder to the report: classifier, teaching, evaluation [s]")
    updates: int
    demonstrations: int
    intervention_share_last_50: float | None = Field(description="operator's share of steps, 50 episodes [1]")
    training_success_last_50: float | None = Field(description="successes without help, 50 episodes [1]")
    demo_cycle_s: float | None = Field(description="median of successful demonstrations [s]")
    curve: tuple[tuple[int, float, float], ...] = Field(
        description="environment steps, success alone and operator's share, both over 20 episodes"
    )
    judge: str = Field(description="who paid, in words")
    machine: str
    code: str = Field(description="commit")


_ROWS = TypeAdapter(tuple[Row, ...])


def read_rows(path: Path) -> tuple[Row, ...]:
    """All rows; none where the file is not there yet. Raises `SystemExit` on a file that has others."""
    if not path.is_file():
        return ()
    try:
        return _ROWS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise SystemExit(f"{path}: not results of this version of bench/learning.py: {error}") from error


def keep_rows(path: Path, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Add them, each in the place of an older one of the same condition, preset, seed and options."""
    kept = {(row.condition, row.preset, row.seed, row.options): row for row in (*read_rows(path), *rows)}
    ordered = tuple(kept[key] for key in sorted(kept))
    write_atomically(path, _ROWS.dump_json(ordered, indent=1) + b"\n")
    return ordered
