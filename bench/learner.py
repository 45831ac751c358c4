"""Updates per second of Nudge's learner and of LeRobot's, with the same shapes, in one run, taking turns.

    python bench/learner.py                 # a table
    python bench/learner.py --json          # and one JSON object as the last line

An update is timed with its sampling; building, filling the replay and warming up are not counted. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import platform
import signal
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal

# Run as a script, Python puts bench/ first on the path, where this very file would hide the room `learner`.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import torch  # noqa: E402 - the path comes first
import tyro  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.nudge_learner import build_trainer  # noqa: E402
from bench.turns import BenchError, Built, Side  # noqa: E402

SideName = Literal["fast", "paper", "lerobot", "lerobot_synchronous"]
TITLES: dict[SideName, str] = {
    "fast": "Nudge, fast preset",
    "paper": "Nudge, paper preset",
    "lerobot": "LeRobot, as shipped",
    "lerobot_synchronous": "LeRobot, no sampling threads",
}
MIN_ROUNDS = 3
BUSY_LOAD = 0.5  # load average before the run from which the figures are doubtful


@dataclasses.dataclass(frozen=True)
class Settings:
    """Updates per second of Nudge's learner against LeRobot's, taking turns in one run."""

    seconds: float = 120.0
    """Time to measure after warming up [s]; whole rounds, at least three."""
    preset: Literal["both", "fast", "paper"] = "both"
    """Which of Nudge's presets to measure."""
    threads: int | None = None
    """Torch's threads on every side; by default as each runs: Nudge's learner tries, LeRobot leaves it to torch."""
    batch: int = 256
    """Transitions an update, half of them demonstrations."""
    cameras: int = 2
    """Cameras of 128x128x3."""
    seed: int = 0
    """Seed of networks and synthetic experience."""
    json: bool = False
    """Print one JSON object as the last line."""

    @property
    def sides(self) -> tuple[SideName, ...]:
        """The sides in the order of their turns."""
        ours: tuple[SideName, ...] = ("fast", "paper") if self.preset == "both" else (self.preset,)
        return (*ours, "lerobot", "lerobot_synchronous")


def build(name: SideName, settings: Settings) -> Built:
    """Build one side in this process; LeRobot is imported only where it runs."""
    match name:
        case "fast" | "paper":
            return _build_nudge(name, settings)
        case "lerobot" | "lerobot_synchronous":
            return _build_lerobot(settings, prefetch=name == "lerobot")


def _build_nudge(preset: Literal["fast", "paper"], settings: Settings) -> Built:
    ours = build_trainer(preset, settings.batch, settings.cameras, settings.seed, threads=settings.threads)
    every = ours.settings.sac.actor_every
    facts = {
        "threads": ours.threads,
        "replay_bytes_per_transition": ours.replay_bytes_per_transition,
        "critic_updates_per_actor_update": every,
        "encode_s_per_step": ours.encode_s,
    }
    remark = f"encodes a step once, at insertion ({1000 * ours.encode_s:.0f} ms); actor every {every} updates"
    return Built(ours.update, ours.close, facts, remark)


def _build_lerobot(settings: Settings, prefetch: bool) -> Built:
    from bench.lerobot_learner import build_trainer as build_peer

    peer = build_peer(settings.batch, settings.cameras, settings.seed, prefetch=prefetch)
    shape = "x".join(map(str, peer.encoder_map))
    facts = {
        "threads": torch.get_num_threads(),
        "replay_bytes_per_transition": peer.replay_bytes_per_transition,
        "critic_updates_per_actor_update": 1,
    }
    return Built(peer.update, peer.close, facts, f"encodes every sampled frame to {shape} anew; actor every update")


def measure(settings: Settings, console: Console) -> dict[str, Any]:
    """Build all sides, let them take turns for `settings.seconds`, print the table; returns the figures."""
    sides: dict[SideName, Side] = {}
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        console.print(
            f"[yellow]This machine is busy (load {load:.1f}): sides with several threads suffer most, which flatters "
            f"the ratio. Measure on an idle machine, or with --threads 1.[/yellow]"
        )
    with ExitStack() as stack:
        for name in settings.sides:
            with console.status(f"{TITLES[name]}: building and warming up"):
                side = Side(TITLES[name], functools.partial(build, name, settings), settings.threads)
                sides[name] = stack.enter_context(closing(side))
        end_s, rounds = time.monotonic() + settings.seconds, 0
        with console.status("taking turns") as status:
            while rounds < MIN_ROUNDS or time.monotonic() < end_s:
                rounds += 1
                for side in sides.values():
                    status.update(f"round {rounds}: {side.title}")
                    side.turn()
    console.print(_table(sides, settings))
    return figures(sides, settings, load)


def _table(sides: dict[SideName, Side], settings: Settings) -> Table:
    rounds = max(side.turns for side in sides.values())
    shapes = f"{settings.cameras} cameras of 128x128, batch {settings.batch}"
    table = Table(title=f"Learner updates, {shapes}, median of {rounds} turns")
    for heading in (
        "side",
        "threads",
        "updates/s",
        "s/update",
        "CPU s/update",
        "peak RAM",
        "bytes/transition",
        "remark",
    ):
        table.add_column(heading, justify="left" if heading in {"side", "remark"} else "right")
    for side in sides.values():
        held = f"{side.facts['replay_bytes_per_transition']:,}"
        peak = f"{side.peak_bytes / 2**20:,.0f} MiB"
        numbers = (f"{1 / side.update_s:.4g}", f"{side.update_s:.4g}", f"{side.cpu_s:.4g}", peak, held)
        table.add_row(side.title, str(side.facts["threads"]), *numbers, side.remark)
    return table


def figures(sides: dict[SideName, Side], settings: Settings, load: float) -> dict[str, Any]:
    """The JSON object: what was not measured is null. load: the machine's load average before the run."""
    rate = {name: 1 / sides[name].update_s if name in sides else None for name in TITLES}

    def ratio(ours: SideName, theirs: SideName) -> float | None:
        a, b = rate[ours], rate[theirs]
        return a / b if a is not None and b is not None else None

    return {
        "ours_updates_per_s": rate["fast"],
        "lerobot_updates_per_s": rate["lerobot"],
        "ratio": ratio("fast", "lerobot"),
        "paper_updates_per_s": rate["paper"],
        "paper_ratio": ratio("paper", "lerobot"),
        "lerobot_synchronous_updates_per_s": rate["lerobot_synchronous"],
        "ratio_synchronous": ratio("fast", "lerobot_synchronous"),
        "paper_ratio_synchronous": ratio("paper", "lerobot_synchronous"),
        "sides": {
            name: {"cpu_s_per_update": side.cpu_s, "peak_ram_bytes": side.peak_bytes, **side.facts}
            for name, side in sides.items()
        },
        "rounds": max(side.turns for side in sides.values()),
        "batch": settings.batch,
        "cameras": settings.cameras,
        "threads": {name: side.facts["threads"] for name, side in sides.items()},
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "load_before": load,
            "torch": torch.__version__,
        },
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def main() -> None:
    """Measure as the command line says."""
    settings = tyro.cli(Settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the sides, which may stand still, are ended
    try:
        measured = measure(settings, Console(width=None if sys.stdout.isatty() else 160))
    except BenchError as error:
        sys.exit(f"bench/learner.py: {error}")
    if settings.json:
        print(json.dumps(measured))


if __name__ == "__main__":
    main()
