"""Nothing is lost: actor and learner are killed, their link is cut and left half-open, and every step is counted.

    python bench/chaos.py                                                # 200 kills, 50 cuts, 20 half-open links
    python bench/chaos.py --json --kills 6 --cuts 3 --half-open 1        # one JSON object as the last line

Real processes, SIGKILL, a proxy on the wire. The actor keeps a journal of its own of what it was promised; at the end
the store is compared with that, byte for byte. Exit status 1 when anything differs. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import tyro  # noqa: E402 - the path comes first
from rich.console import Console  # noqa: E402
from rich.progress import Progress  # noqa: E402

from bench.chaos_audit import Verdict, audit  # noqa: E402
from bench.chaos_journal import read_journals  # noqa: E402
from bench.chaos_storm import Storm  # noqa: E402
from bench.chaos_world import chaos_contract  # noqa: E402
from bench.turns import BenchError  # noqa: E402
from console.presets.load import dump_settings, load_preset  # noqa: E402
from console.run_folder import SETTINGS_FILE, STORE_FILE  # noqa: E402
from console.settings import Settings as RunSettings  # noqa: E402

DEMONSTRATIONS = 2


@dataclasses.dataclass(frozen=True)
class Settings:
    """Kill, cut and stall actor and learner, then compare the store with what the actor was promised."""

    kills: int = 200
    """SIGKILLs, two of three to the actor: while running, starting or stopping."""
    cuts: int = 50
    """Connections reset, broken off within a message, or refused."""
    half_open: int = 20
    """Links that go silent without an end; each waits until the actor has noticed."""
    freezes: int = 10
    """Each: silences of the link without loss, slow links, and processes that stand still for a moment."""
    long_stops: int = 2
    """Actors that stand still for longer than keepalive waits, and go on."""
    real_learner: bool = False
    """Run `nudge learner` with its trainer in place of a learner that only stores."""
    folder: Path | None = None
    """Run folder, new; by default a temporary one, which is kept only when something was found."""
    seed: int = 0
    """Seed of the schedule and of the world."""
    json: bool = False
    """Print one JSON object as the last line."""


def storm(settings: Settings, folder: Path, console: Console) -> dict[str, Any]:
    """Run the schedule in a new run folder and audit its store; returns the figures."""
    begin_s = time.monotonic()
    run = _run_settings(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    dump_settings(run, folder / SETTINGS_FILE)
    rng = random.Random(settings.seed)
    with (
        Storm(run, settings.seed, real_learner=settings.real_learner) as weather,
        Progress(console=console) as progress,
    ):
        weather.wait_for_steps(1)
        schedule = _schedule(weather, settings, rng)
        for fault in progress.track(schedule, description="faults"):
            fault()
            weather.wait(rng.uniform(0.0, 0.4))
            if rng.random() < 0.6:
                weather.wait_for_steps(rng.randrange(1, 20))
        # Some found nothing to do: a process that had stopped by itself, a link that was down already.
        for name, fault, wanted in (
            ("kills", weather.kill, settings.kills),
            ("cuts", weather.cut, settings.cuts),
            ("half_open", weather.half_open, settings.half_open),
        ):
            while weather.counts[name] < wanted:
                weather.wait_for_steps(1)
                fault()
        weather.wait_for_steps(10)
        weather.calm_down()
    verdict = audit(folder / STORE_FILE, run.contract, settings.seed, read_journals(folder), weather.killed_actors)
    for line in weather.unexpected:
        verdict.find("unexpected_ends", "processes", line)
    for line in verdict.findings:
        console.print(line, style="red", markup=False, highlight=False)
    return _figures(weather, verdict, time.monotonic() - begin_s)


def _schedule(weather: Storm, settings: Settings, rng: random.Random) -> list[Callable[[], None]]:
    """All faults in a seeded order."""
    faults: list[Callable[[], None]] = [
        *[weather.kill] * settings.kills,
        *[weather.cut] * settings.cuts,
        *[weather.half_open] * settings.half_open,
        *[weather.freeze, weather.slow, weather.stop] * settings.freezes,
        *[lambda: weather.stop(long=True)] * settings.long_stops,
    ]
    rng.shuffle(faults)
    return faults


def _run_settings(folder: Path, settings: Settings) -> RunSettings:
    """The `fast` preset in another world; a learner that trains does little of it."""
    run = load_preset(RunSettings, "fast")
    trainer = run.learner.trainer.model_copy(
        update={"demo_episodes": DEMONSTRATIONS, "utd": 0.1, "publish_every_updates": 5, "checkpoint_every_updates": 20}
    )
    encoder = run.learner.encoder.model_copy(update={"source": "random:0"})
    return run.model_copy(
        update={
            "run": folder.name,
            "runs": folder.parent,
            "seed": settings.seed,
            "contract": chaos_contract(),
            "loop": run.loop.model_copy(
                update={
                    "demo_episodes": DEMONSTRATIONS,
                    "max_env_steps": 10**9,
                    "most_steps_ahead": 300,
                }
            ),
            "link": run.link.model_copy(update={"connect_timeout_s": 100.0, "backoff_max_s": 1.0}),
            "service": run.service.model_copy(update={"port": 0}),
            "dashboard": run.dashboard.model_copy(update={"with_learner": False}),
            "learner": run.learner.model_copy(update={"trainer": trainer, "encoder": encoder}),
        }
    )


def _figures(weather: Storm, verdict: Verdict, seconds: float) -> dict[str, Any]:
    kinds = ("lost", "doubled", "mismatched", "foreign", "misplaced", "promised_twice", "unfinished", "unexpected_ends")
    faults = ("kills", "cuts", "half_open", "freezes", "slow_links", "stops", "long_stops")
    return {
        "steps_sent": verdict.sent,
        "steps_stored": verdict.stored,
        **{kind: verdict.counts[kind] for kind in kinds},
        **{fault: weather.counts[fault] for fault in faults},
        "half_open_noticed_max_s": round(max(weather.half_open_noticed_s, default=0.0), 2),
        "seconds": round(seconds, 1),
        "clean": verdict.clean,
    }


def main() -> None:
    """Run the storm as the command line says."""
    settings = tyro.cli(Settings)
    console = Console(width=None if sys.stdout.isatty() else 160)
    folder = settings.folder or Path(tempfile.mkdtemp(prefix="nudge-chaos-")) / "run"
    try:
        figures = storm(settings, folder, console)
    except BenchError as error:
        sys.exit(f"bench/chaos.py: {error}")
    for name, value in figures.items():
        console.print(f"{name:24} {value}")
    if settings.folder is None and figures["clean"]:
        shutil.rmtree(folder.parent)
    else:
        console.print(f"the run folder is kept: {folder}")
    if settings.json:
        print(json.dumps(figures))
    sys.exit(0 if figures["clean"] else 1)


if __name__ == "__main__":
    main()
