"""What the wire costs: latency from a step to its being durable and drawable, bytes, and steps a second of 4 actors.

    python bench/wire.py                 # a table
    python bench/wire.py --json          # and one JSON object as the last line

Real link, service and store in processes of their own, fed with recorded steps of the simulated arm. See
bench/README.md.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import numpy as np  # noqa: E402 - the path comes first
import tyro  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.proxy import LOOPBACK, Proxy, Way  # noqa: E402
from bench.recorded import Recording, record  # noqa: E402
from bench.turns import BenchError  # noqa: E402
from bench.wire_actor import Load, WireActor  # noqa: E402
from bench.wire_learner import WireLearner  # noqa: E402
from bench.wire_snapshots import snapshot_of  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.settings import Settings as RunSettings  # noqa: E402

PRESETS = ("fast", "paper")
CONTROL_HZ = 10.0
SETTLE_S = 60.0  # for the bytes, and for the last steps to be drawable


@dataclasses.dataclass(frozen=True)
class Settings:
    """Latency, bytes and throughput between actor and learner, beside what LeRobot sends."""

    seconds: float = 30.0
    """Time to send at 10 Hz, and about the time of the run with several actors [s]."""
    actors: int = 4
    """Actors that send at once as fast as they can."""
    recorded_steps: int = 200
    """Steps of the simulated arm to record at least, in whole episodes."""
    seed: int = 0
    """Seed of the recording and of the networks whose weights are pushed."""
    lerobot: bool = True
    """Measure LeRobot's transport too."""
    json: bool = False
    """Print one JSON object as the last line."""


def measure(settings: Settings, console: Console) -> dict[str, Any]:
    """Measure everything in turn; returns the figures."""
    run = load_preset(RunSettings, "fast").model_copy(update={"seed": settings.seed})
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    with console.status("recording the simulated arm"):
        recording = record(run, settings.recorded_steps)
    with console.status(f"latency at {CONTROL_HZ:g} Hz and at full speed"):
        figures |= measure_latency(run, recording, settings)
    with console.status("bytes of steps and pushes"):
        figures |= measure_bytes(run, recording, settings)
    with console.status(f"{settings.actors} actors at once"):
        figures |= measure_throughput(run, recording, settings)
    if settings.lerobot:
        with console.status("LeRobot's transport (its import takes a while)"):
            figures |= _lerobot(run, recording, settings)
    return figures


def measure_latency(run: RunSettings, recording: Recording, settings: Settings) -> dict[str, Any]:
    """Ages of steps as they become durable and drawable, while nobody trains."""
    count = max(1, round(settings.seconds * CONTROL_HZ))
    with _learner(run, recording) as (learner, folder), _actors(run, folder, learner.port, recording, 1) as (actor,):
        paced = _send(actor, learner, Load(count, CONTROL_HZ), drawable=True)
    with _learner(run, None) as (learner, folder), _actors(run, folder, learner.port, recording, 1) as (actor,):
        fast = _send(actor, learner, Load(4 * count), drawable=False)
    names = {"latency": paced[0], "drawable": paced[1], "full_speed_latency": fast[0]}
    return {
        f"{name}_p{percent}_ms": round(float(np.percentile(ages_ms, percent)), 2)
        for name, ages_ms in names.items()
        for percent in (50, 99)
    }


def _send(actor: WireActor, learner: WireLearner, load: Load, *, drawable: bool) -> tuple[list[float], list[float]]:
    """Ages [ms] of the steps of a load as they became durable, and as they became drawable if that is asked for."""
    actor.begin(load)
    actor.finish()
    durable_ms, drawable_ms = list[float](), list[float]()
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        arrived = learner.arrivals()
        durable_ms += arrived.durable_ms
        drawable_ms += arrived.drawable_ms
        if len(durable_ms) >= load.steps and (not drawable or len(drawable_ms) >= load.steps):
            return durable_ms, drawable_ms
        if time.monotonic() > deadline_s:
            raise BenchError(f"{len(durable_ms)} of {load.steps} steps are durable, {len(drawable_ms)} drawable")
        time.sleep(0.1)


def measure_bytes(run: RunSettings, recording: Recording, settings: Settings) -> dict[str, Any]:
    """Bytes through the proxy: of a recording sent once at full speed, and of one push of each preset's weights."""
    count = len(recording.steps)
    with (
        _learner(run, None) as (learner, folder),
        Proxy(learner.port) as proxy,
        _actors(run, folder, proxy.port, recording, 1) as (actor,),
    ):
        before = proxy.bytes_forwarded(Way.UP), proxy.bytes_forwarded(Way.DOWN)
        actor.begin(Load(count))
        actor.finish()
        up, down = (proxy.bytes_forwarded(way) - earlier for way, earlier in zip(Way, before, strict=True))
        pushes = {}
        for preset in PRESETS:
            before_push = proxy.bytes_forwarded(Way.DOWN)
            snapshot = snapshot_of(preset, settings.seed)
            learner.publish(snapshot)
            pushes[preset] = _settled(proxy, before_push + len(snapshot)) - before_push
    return {
        "bytes_per_step": round(up / count),
        "acknowledgement_bytes_per_step": round(down / count),
        "bytes_per_push": pushes["fast"],
        "paper_bytes_per_push": pushes["paper"],
    }


def _settled(proxy: Proxy, at_least: int) -> int:
    """Bytes that came down, once they are so many and no more come."""
    deadline_s, before = time.monotonic() + SETTLE_S, -1
    while (now := proxy.bytes_forwarded(Way.DOWN)) < at_least or now != before:
        if time.monotonic() > deadline_s:
            raise BenchError(f"push: {now} bytes came down, expected at least {at_least}")
        before = now
        time.sleep(0.2)
    return now


def measure_throughput(run: RunSettings, recording: Recording, settings: Settings) -> dict[str, Any]:
    """Steps a second that several actors get to be durable, and what was lost of them."""
    with (
        _learner(run, None) as (learner, folder),
        _actors(run, folder, learner.port, recording, settings.actors) as actors,
    ):
        # The first turn warms up, and says how many steps the second one needs.
        first = max(1, round(10 * settings.seconds))
        second = max(1, round(first / _send_at_once(actors, first) * settings.seconds))
        seconds = _send_at_once(actors, second)
        sent, stored = (first + second) * len(actors), learner.arrivals().stored
    return {
        "actors": len(actors),
        "steps_per_s": round(second * len(actors) / seconds, 1),
        "steps_sent": sent,
        "steps_lost": sent - stored,
    }


def _send_at_once(actors: Sequence[WireActor], steps: int) -> float:
    """Have every actor send so many steps as fast as it can; how long until all are durable [s]."""
    begin_s = time.monotonic()
    for actor in actors:
        actor.begin(Load(steps, window=64))
    for actor in actors:
        actor.finish()
    return time.monotonic() - begin_s


def _lerobot(run: RunSettings, recording: Recording, settings: Settings) -> dict[str, Any]:
    from bench.lerobot_wire import lerobot_bytes

    end = next(index for index, step in enumerate(recording.steps, start=1) if step.last)
    step, push = lerobot_bytes(recording.steps[:end], len(run.contract.cameras), settings.seed)
    return {"lerobot_bytes_per_step": round(step), "lerobot_bytes_per_push": round(push)}


@contextmanager
def _learner(run: RunSettings, fit_on: Recording | None) -> Iterator[tuple[WireLearner, Path]]:
    """A learner on a fresh store, and the folder for all that is on disk."""
    with tempfile.TemporaryDirectory(prefix="nudge-wire-") as folder, WireLearner(run, Path(folder), fit_on) as learner:
        yield learner, Path(folder)


@contextmanager
def _actors(
    run: RunSettings, folder: Path, port: int, recording: Recording, count: int
) -> Iterator[Sequence[WireActor]]:
    """Connected actors, each in a folder of its own."""
    with ExitStack() as stack:
        actors = []
        for index in range(count):
            own = folder / f"actor{index}"
            actor = WireActor(run, own, f"{LOOPBACK}:{port}", own.name, recording)
            actors.append(stack.enter_context(actor))
        yield actors


def _table(figures: dict[str, Any]) -> Table:
    table = Table(title="The wire between actor and learner, 2 cameras of 128x128")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    return table


def main() -> None:
    """Measure as the command line says."""
    settings = tyro.cli(Settings)
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        figures = measure(settings, console)
    except BenchError as error:
        sys.exit(f"bench/wire.py: {error}")
    console.print(_table(figures))
    if settings.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
