"""How the cost of an update grows with the batch, the cameras and what replay holds.

    python bench/growth.py [--json] [--preset fast|paper|both] [--seconds 3] [--batches 64 256 1024] [--cameras 1 2 3]

Nudge's learner alone, on synthetic experience of the shapes of `learner.py`. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import tyro  # noqa: E402 - the path comes first
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.nudge_learner import build_trainer  # noqa: E402

Preset = Literal["fast", "paper"]
WARM_UP_UPDATES = 2
BATCH, CAMERAS, TRANSITIONS = 256, 2, 2000  # what stays while something else grows


@dataclasses.dataclass(frozen=True)
class Settings:
    """Updates a second of Nudge's learner while one thing grows and all else stays."""

    preset: Literal["both", "fast", "paper"] = "both"
    """Which presets to measure."""
    batches: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Transitions an update."""
    cameras: tuple[int, ...] = (1, 2, 3)
    """Cameras of 128x128x3."""
    transitions: tuple[int, ...] = (1000, 10_000, 100_000)
    """Transitions in replay; with paper 131 KB of the disk each, so it is measured up to 10,000."""
    seconds: float = 3.0
    """Time to measure each, after the trial of threads [s]."""
    threads: int | None = None
    """Torch's threads; by default as the learner chooses."""
    json: bool = False
    """Print one JSON object as the last line."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured: a preset with so much of everything."""

    preset: Preset
    grows: Literal["batch", "cameras", "transitions"]
    batch: int = BATCH
    cameras: int = CAMERAS
    transitions: int = TRANSITIONS


def cases(settings: Settings) -> Sequence[Case]:
    """One thing grows at a time."""
    presets: tuple[Preset, ...] = ("fast", "paper") if settings.preset == "both" else (settings.preset,)
    found: list[Case] = []
    for preset in presets:
        found += [Case(preset, "batch", batch=batch) for batch in settings.batches]
        found += [Case(preset, "cameras", cameras=cameras) for cameras in settings.cameras]
        held = [count for count in settings.transitions if preset == "fast" or count <= 10_000]
        found += [Case(preset, "transitions", transitions=count) for count in held]
    return found


def measure(settings: Settings, console: Console) -> list[dict[str, Any]]:
    """One row per case: what it was, `updates_per_s` and `threads`."""
    rows = []
    for case in cases(settings):
        with (
            console.status(f"{case.preset}: {case.grows} {getattr(case, case.grows):,}"),
            closing(
                build_trainer(
                    case.preset,
                    case.batch,
                    case.cameras,
                    0,
                    transitions=case.transitions,
                    threads=settings.threads,
                )
            ) as ours,
        ):
            rate = updates_per_s(ours.update, settings.seconds)
            rows.append({**dataclasses.asdict(case), "updates_per_s": rate, "threads": ours.threads})
    return rows


def updates_per_s(update: Callable[[], None], seconds: float) -> float:
    """Updates a second over about so long, at least two of them."""
    for _ in range(WARM_UP_UPDATES):
        update()
    start_s, updates = time.perf_counter(), 0
    while updates < 2 or time.perf_counter() - start_s < seconds:
        update()
        updates += 1
    return updates / (time.perf_counter() - start_s)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """What grew, and what became of the updates."""
    shown = Table(title=f"batch {BATCH}, {CAMERAS} cameras, {TRANSITIONS:,} transitions, but for what grows")
    for heading in ("preset", "grows", "to", "updates/s", "transitions/s", "threads"):
        shown.add_column(heading, justify="left" if heading in {"preset", "grows"} else "right")
    for row in rows:
        rate = row["updates_per_s"]
        figures = f"{rate:.4g}", f"{rate * row['batch']:,.0f}", str(row["threads"])
        shown.add_row(row["preset"], row["grows"], f"{row[row['grows']]:,}", *figures)
    return shown


def main() -> None:
    """Measure as the command line says."""
    settings, console = tyro.cli(Settings), Console(width=None if sys.stdout.isatty() else 120)
    rows = measure(settings, console)
    console.print(table(rows))
    if settings.json:
        print(json.dumps({"cases": rows}))


if __name__ == "__main__":
    main()
