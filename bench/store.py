"""What it costs to store a step: groups of several sizes by one writer, then four writers at once.

    python bench/store.py [--json] [--seconds 5] [--folder PATH]

The steps are demonstrations of the simulated arm, packed beforehand: checking, the transaction and the flush to the
disk are measured, and checking alone as well.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import numpy as np  # noqa: E402

from bench.recorded import record  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.settings import Settings  # noqa: E402
from learner.store import ExperienceStore  # noqa: E402
from nudge.v1 import learner_pb2 as pb  # noqa: E402
from policy.contract import Contract  # noqa: E402
from policy.wire import pack_step, unpack_step  # noqa: E402

GROUPS = (1, 8, 64)
WRITERS = 4
WRITERS_GROUP = 8  # what waits while the disk takes the group before
RECORDED_STEPS = 64


@dataclass(frozen=True)
class Appends:
    """Times of many `append` calls with groups of one size [s]."""

    group: int
    took_s: Sequence[float]

    def figures(self) -> dict[str, float]:
        """Of one call and of one step."""
        p50, p99 = (float(value) * 1e3 for value in np.percentile(self.took_s, (50, 99)))
        steps_per_s = self.group * len(self.took_s) / sum(self.took_s)
        return {"append_p50_ms": p50, "append_p99_ms": p99, "steps_per_s": steps_per_s}


class Episodes:
    """The recorded episodes over and over, as messages of one session; only their ids are made anew."""

    def __init__(self, recorded: Sequence[pb.Step]) -> None:
        self._messages = self._endless(recorded)

    def take(self, count: int) -> list[pb.Step]:
        """The next messages."""
        return list(itertools.islice(self._messages, count))

    @staticmethod
    def _endless(recorded: Sequence[pb.Step]) -> Iterator[pb.Step]:
        session, episode, number = uuid.uuid4().hex, 0, 0
        for source in itertools.cycle(recorded):
            message = pb.Step()
            message.CopyFrom(source)
            message.id.session, message.id.episode, message.id.step = session, episode, number
            yield message
            last = message.terminated or message.truncated
            episode, number = (episode + 1, 0) if last else (episode, number + 1)


def measure(recorded: Sequence[pb.Step], contract: Contract, folder: Path, seconds: float) -> dict[str, Any]:
    """All figures, as the JSON object has them."""
    with ExperienceStore(folder / "experience.sqlite", contract) as store:
        groups = {group: one_writer(store, recorded, group, seconds) for group in GROUPS}
        together = many_writers(store, recorded, seconds)
        stored = store.counts().env_steps
    start_s = time.perf_counter()
    for message in recorded:
        unpack_step(message, contract)
    return {
        "groups": {str(group): appends.figures() for group, appends in groups.items()},
        "writers": WRITERS,
        "writers_group": WRITERS_GROUP,
        "writers_steps_per_s": together,
        "check_ms_per_step": (time.perf_counter() - start_s) / len(recorded) * 1e3,
        "bytes_per_step": (folder / "experience.sqlite").stat().st_size / stored,
        "steps_stored": stored,
    }


def one_writer(store: ExperienceStore, recorded: Sequence[pb.Step], group: int, seconds: float) -> Appends:
    """Append groups of one size, one after the other, for a while."""
    episodes = Episodes(recorded)
    took_s: list[float] = []
    while sum(took_s) < seconds:
        messages = episodes.take(group)
        start_s = time.perf_counter()
        store.append(messages)
        took_s.append(time.perf_counter() - start_s)
    return Appends(group, took_s)


def many_writers(store: ExperienceStore, recorded: Sequence[pb.Step], seconds: float) -> float:
    """Steps per second that as many sessions get into the store at once."""
    before, deadline_s = store.counts().env_steps, time.perf_counter() + seconds

    def write() -> None:
        episodes = Episodes(recorded)
        while time.perf_counter() < deadline_s:
            store.append(episodes.take(WRITERS_GROUP))

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    start_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (store.counts().env_steps - before) / (time.perf_counter() - start_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each figure [s]")
    parser.add_argument("--folder", type=Path, help="folder on the disk to measure; the system's temporary one if none")
    options = parser.parse_args()
    settings = load_preset(Settings, "fast")
    recorded = [pack_step(step) for step in record(settings, RECORDED_STEPS).steps]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(recorded, settings.contract, Path(folder), options.seconds)
    for group, of in figures["groups"].items():
        print(
            f"group of {group:>2}: append {of['append_p50_ms']:6.2f} ms p50, {of['append_p99_ms']:6.2f} ms p99; "
            f"{of['steps_per_s']:5.0f} steps/s"
        )
    print(f"{WRITERS} writers, groups of {WRITERS_GROUP}: {figures['writers_steps_per_s']:.0f} steps/s")
    print(f"checking alone: {figures['check_ms_per_step']:.2f} ms a step; {figures['bytes_per_step']:.0f} bytes a step")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
