"""What the live lines of `nudge learner` and `nudge actor` cost: the time of a redraw, of a day's run, in a terminal.

    python bench/terminal.py [--json] [--redraws 400] [--columns 80] [--folder F]

See bench/README.md for what is measured.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room. The terminal is that of
# the tests.
_ROOT = Path(__file__).resolve().parents[1]
_OTHERS = [entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench")]
sys.path[:] = [str(_ROOT), *_OTHERS, str(_ROOT / "tests" / "support")]

import tyro  # noqa: E402 - the path comes first
from rich.console import Console, ConsoleDimensions  # noqa: E402
from rich.live import Live  # noqa: E402
from rich.text import Text  # noqa: E402

from actor.episode import EpisodeOutcome  # noqa: E402
from actor.link import LearnerLink, Spool  # noqa: E402
from actor.state_board import StateBoard  # noqa: E402
from actor.timing import LoopTiming  # noqa: E402
from bench.dashboard_run import EPISODES, a_reading, an_episode, make_day  # noqa: E402
from bench.kept_folder import kept_or_temporary  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.run_folder import METRICS_FILE, STORE_FILE  # noqa: E402
from console.settings import Settings  # noqa: E402
from console.terminal.actor_view import ActorView  # noqa: E402
from console.terminal.last_lines import fitted  # noqa: E402
from console.terminal.learner_view import LearnerView  # noqa: E402
from nudge.v1 import learner_pb2 as pb  # noqa: E402
from policy.step_schema import connect, transaction  # noqa: E402
from policy.step_table import take_step  # noqa: E402
from terminals import Window  # noqa: E402

ROWS = 50


@dataclass(frozen=True)
class Options:
    """What is measured."""

    json: bool = False
    """One line of JSON instead of words."""
    redraws: int = 400
    """Of each of the two."""
    columns: int = 80
    """Width of the terminal."""
    folder: Path | None = None
    """Keep the made-up run here, and use it again."""


def redrawn(
    lines: Callable[[ConsoleDimensions], list[Text]], change: Callable[[], None], options: Options
) -> dict[str, float]:
    """Processor time of the drawing thread for each redraw [ms]: the most that it can take from other threads.

    change: what happens between two of them
    """
    took_s: list[float] = []
    with Window(columns=options.columns, rows=ROWS) as window, open(window.fd, "w", closefd=False) as terminal:
        console = Console(file=terminal)
        with Live(console=console, auto_refresh=False, transient=True, redirect_stderr=False) as live:
            for _ in range(options.redraws):
                change()
                begun_s = time.thread_time()
                live.update(fitted(lines(console.size), console.size), refresh=True)
                took_s.append(time.thread_time() - begun_s)
    ordered = sorted(took_s[1:])
    return {
        "first_ms": round(1e3 * took_s[0], 2),
        "median_ms": round(1e3 * statistics.median(ordered), 2),
        "p99_ms": round(1e3 * ordered[int(0.99 * len(ordered))], 2),
        "worst_ms": round(1e3 * ordered[-1], 2),
    }


def learner_figures(settings: Settings, options: Options) -> dict[str, float]:
    """Of the learner's lines, while the run goes on: a step between two redraws, a reading between ten."""
    reply = pb.StatusReply(
        phase="training",
        updates_per_s=20.0,
        metrics=json.loads(a_reading(10_000))["metrics"],
        actors=[pb.ActorStatus(actor_id="actor", connected=True)],
    )
    with _growing(settings) as grow, closing(LearnerView(settings, lambda: reply, None)) as view:
        return redrawn(view.lines, grow, options)


def actor_figures(settings: Settings, folder: Path, options: Options) -> dict[str, float]:
    """Of the actor's lines, while it makes steps."""
    board, timing = StateBoard(), LoopTiming(settings.contract.control_hz)
    with (
        Spool(folder / "spool.sqlite", settings.contract, settings.link) as spool,
        closing(LearnerLink(settings.link, settings.contract, spool)) as link,
    ):
        view = ActorView(link, board, timing, None)
        for index in range(20):
            view.ended(EpisodeOutcome(index, demonstration=False, success=True, steps=40, human_steps=4, env_steps=0))
        board.episode_began(20, demonstrating=False)
        return redrawn(view.lines, lambda: board.ticked(paused=False), options)


@contextmanager
def _growing(settings: Settings) -> Iterator[Callable[[], None]]:
    """A function that has one more step in the store, and now and then one more reading in the metrics."""
    folder, counted = settings.folder, 0
    with closing(connect(folder / STORE_FILE)) as connection:
        (begun,) = connection.execute("SELECT MAX(episode) + 1 FROM episodes").fetchone()
        steps = (
            made for index in range(begun, 1 << 30) for made in an_episode(settings.contract, index, time.time_ns())
        )

        def grow() -> None:
            nonlocal counted
            counted += 1
            with transaction(connection):
                take_step(connection, *next(steps))
            if counted % 10 == 0:
                with (folder / METRICS_FILE).open("a") as file:
                    file.write(a_reading(20_000 + counted // 10))

        yield grow


def measure(options: Options, folder: Path) -> dict[str, object]:
    """All figures."""
    day = load_preset(Settings, "sim").model_copy(update={"runs": folder, "run": "day"})
    if not day.folder.is_dir():
        make_day(day)
    load = os.getloadavg()[0]
    learner, actor = learner_figures(day, options), actor_figures(day, folder, options)
    return {
        **{f"learner_{name}": value for name, value in learner.items()},
        **{f"actor_{name}": value for name, value in actor.items()},
        "columns": options.columns,
        "redraws": options.redraws,
        "episodes": EPISODES,
        "cores": os.cpu_count(),
        "load_before": load,
    }


def main() -> None:
    """Measure and tell."""
    options = tyro.cli(Options)
    with kept_or_temporary(options.folder) as folder:
        figures = measure(options, folder)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<24} {value}")


if __name__ == "__main__":
    main()
