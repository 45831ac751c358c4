"""How the cost of replay grows: inserting, drawing, saving and reopening, by size, cameras and batch.

    python bench/replay.py [--json] [--sizes 1000 10000 100000] [--cameras 1 2 3] [--folder PATH]

Synthetic steps of the shapes of preset `fast`, and frames of 128x128 for fresh crops, which are inserted but not
encoded. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import numpy as np  # noqa: E402 - the path comes first
import tyro  # noqa: E402

from learner.replay import Replay  # noqa: E402
from learner.replay_layout import EncodedObservation, EncodedStep, ReplayLayout, make_layout  # noqa: E402
from policy.encoder import ResNet10Shape, random_encoder  # noqa: E402
from policy.experience import Source, StepId  # noqa: E402
from policy.fakes import fake_contract  # noqa: E402
from policy.features import Featurizer  # noqa: E402
from policy.settings import FeatureSettings  # noqa: E402

Augmentation = Literal["cached", "on-the-fly"]
CHANNELS = 64
PROPRIOCEPTION_DIMS = 13
EPISODE_STEPS = 80  # 8 s at 10 Hz
DIFFERENT_STEPS = 64  # which come again and again, as new ones
STEPS_PER_CHECKPOINT = 1_250  # 5,000 updates at 4 a step
WARM_UP_DRAWS, DRAWS = 50, 400
KEY = {"made": "by the benchmark"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the cost of replay grows with transitions, cameras and batch."""

    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Transitions at which to measure, at least 1,500 apart: a checkpoint interval is added at each."""
    cameras: tuple[int, ...] = (1, 2, 3)
    """Numbers of cameras to try."""
    batches: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Transitions drawn at once."""
    frame_sizes: tuple[int, ...] = (1_000, 10_000)
    """The same as sizes, for frames, with two cameras: 98 KB each."""
    folder: Path | None = None
    """Folder on the disk to measure; the system's temporary one if none."""
    json: bool = False
    """Print one JSON object as the last line."""


class Steps:
    """Endless steps of a layout, in episodes of 80, half of them demonstrations."""

    def __init__(self, layout: ReplayLayout) -> None:
        rng = np.random.default_rng(0)
        views = layout.views
        pieces = [
            rng.integers(0, 256, views.shape).astype(views.dtype)
            if np.dtype(views.dtype) == np.uint8
            else rng.standard_normal(views.shape).astype(views.dtype)
            for _ in range(DIFFERENT_STEPS)
        ]
        body = rng.standard_normal(layout.proprioception).astype(np.float32)
        self._seen = [EncodedObservation(piece, body) for piece in pieces]
        self._action = rng.uniform(-1, 1, layout.action).astype(np.float32)

    def __iter__(self) -> Iterator[EncodedStep]:
        for index in itertools.count():
            episode, step = divmod(index, EPISODE_STEPS)
            last = step == EPISODE_STEPS - 1
            yield EncodedStep(
                cursor=index + 1,
                id=StepId("bench", episode, step),
                observation=self._seen[index % DIFFERENT_STEPS],
                action=self._action,
                source=Source.POLICY if episode % 2 else Source.DEMO,
                reward=float(last),
                terminated=last,
                final=self._seen[0] if last else None,
            )


def make_fast_layout(cameras: int, augmentation: Augmentation) -> ReplayLayout:
    """What preset `fast` stores, with as many cameras of 128x128."""
    contract = fake_contract(cameras, PROPRIOCEPTION_DIMS)
    shape = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 8, CHANNELS))  # nothing is encoded
    featurizer = Featurizer(random_encoder(0, shape), None, contract)
    return make_layout(featurizer, FeatureSettings(augmentation=augmentation), contract)


def grow(layout: ReplayLayout, sizes: Sequence[int], batches: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Fill one replay up to each size in turn, and measure there."""
    steps = iter(Steps(layout))
    before = anonymous_bytes()
    replay, points = Replay(folder, layout, KEY), []
    for size in sorted(sizes):
        inserted = _insert(replay, itertools.islice(steps, size - replay.steps))
        drawn = {str(batch): _draw_s(replay, batch) for batch in batches}
        grown = anonymous_bytes() - before
        points.append(
            {
                "transitions": len(replay),
                **inserted,
                "draw_s": drawn,
                "disk_bytes_per_transition": layout.slot_bytes * (EPISODE_STEPS + 1) / EPISODE_STEPS,
                "disk_bytes_reserved": sum(path.stat().st_size for path in folder.glob("*.bin")),
                "anonymous_bytes": grown,
                **_reopen(replay, steps),
            }
        )
    return points


def _insert(replay: Replay, steps: Iterator[EncodedStep]) -> dict[str, float]:
    """Processor time of a step, and the longest that one took by the clock (replay grew, or the disk was slow)."""
    cpu_s, walls_s = time.thread_time(), []
    for step in steps:
        start_s = time.perf_counter()
        replay.add(step)
        walls_s.append(time.perf_counter() - start_s)
    spent_s = (time.thread_time() - cpu_s) / len(walls_s)
    return {"insert_s": spent_s, "inserts_per_s": 1 / spent_s, "longest_insert_s": max(walls_s)}


def _draw_s(replay: Replay, batch: int) -> float:
    """Median processor time of one draw [s]."""
    rng, times_s = np.random.default_rng(0), []
    for _ in range(WARM_UP_DRAWS + DRAWS):
        start_s = time.thread_time()
        replay.sample(batch, 0.5, 3, 0.97, rng)
        times_s.append(time.thread_time() - start_s)
    return statistics.median(times_s[WARM_UP_DRAWS:])


def _reopen(replay: Replay, steps: Iterator[EncodedStep]) -> dict[str, float]:
    """By the clock: save what one checkpoint interval brings, open again, compare with the steps of the store."""
    replay.save()
    for step in itertools.islice(steps, STEPS_PER_CHECKPOINT):
        replay.add(step)
    start_s = time.perf_counter()
    replay.save()
    saved_s = time.perf_counter()
    again = Replay(replay.folder, replay.layout, KEY)
    opened_s = time.perf_counter()
    number = np.arange(replay.steps)
    place = number % EPISODE_STEPS
    ids = np.stack([np.zeros_like(number), number // EPISODE_STEPS, place, place == EPISODE_STEPS - 1], axis=1)
    compare_s = time.perf_counter()
    assert again.holds_exactly(["bench"], ids)
    done_s = time.perf_counter()
    return {"save_s": saved_s - start_s, "open_s": opened_s - saved_s, "compare_s": done_s - compare_s}


def anonymous_bytes() -> int:
    """Memory of this process that no file backs: pages of mapped files are the system's to drop. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def measure(settings: Settings) -> dict[str, Any]:
    """All figures, as the JSON object has them."""
    found: dict[str, Any] = {"cached": {}, "load_before": os.getloadavg()[0]}
    for cameras in settings.cameras:
        layout = make_fast_layout(cameras, "cached")
        with tempfile.TemporaryDirectory(prefix="nudge-bench-", dir=settings.folder) as folder:
            found["cached"][str(cameras)] = grow(layout, settings.sizes, settings.batches, Path(folder))
        print_points(f"stored views, {cameras} cameras", found["cached"][str(cameras)])
    with tempfile.TemporaryDirectory(prefix="nudge-bench-", dir=settings.folder) as folder:
        found["frames"] = grow(make_fast_layout(2, "on-the-fly"), settings.frame_sizes, (), Path(folder))
    print_points("frames, 2 cameras", found["frames"])
    return found


def print_points(title: str, points: Sequence[dict[str, Any]]) -> None:
    """A line for each size."""
    for point in points:
        draws = ", ".join(f"{batch}: {1e3 * seconds:.2f}" for batch, seconds in point["draw_s"].items())
        print(
            f"{title}, {point['transitions']:>7,} transitions: {point['inserts_per_s']:>6,.0f} inserts/s (longest "
            f"{1e3 * point['longest_insert_s']:.0f} ms), {point['disk_bytes_per_transition']:,.0f} B each on disk, "
            f"{point['anonymous_bytes'] / 1e6:.0f} MB anonymous; save {point['save_s']:.2f} s, open "
            f"{point['open_s']:.3f} s, compare {point['compare_s']:.3f} s; draw [ms] {draws or 'not measured'}",
            flush=True,
        )


def main() -> None:
    """Measure as the command line says."""
    settings = tyro.cli(Settings)
    measured = measure(settings)
    if settings.json:
        print(json.dumps(measured))


if __name__ == "__main__":
    main()
