"""Demonstrations: how soon a learner can begin with them, whether exchange keeps each bit, and whether kills lose any.

    python bench/demos.py [--json] [--steps 8000] [--kills 30] [--folder PATH]

Demonstrations of the scripted operator on the simulated arm, two cameras, preset `fast`. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import tyro  # noqa: E402 - the path comes first
from rich.console import Console  # noqa: E402

from bench.recorded import Recording, record  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.report.main import machine  # noqa: E402
from console.settings import Settings  # noqa: E402
from learner.trainer_status import TrainerStatus  # noqa: E402
from policy.experience import Step  # noqa: E402

DIFFERENT_STEPS = 240  # recorded; they come again and again, as new ones
GROUP_STEPS = 64  # of one transaction
SESSION = "ab" * 16
EXCHANGED = 3  # demonstrations that make the round trip
LOOK_EVERY_S = 0.005  # at the trainer's status


@dataclasses.dataclass(frozen=True)
class Options:
    """How soon a learner can begin with demonstrations, what exchange keeps, what kills lose."""

    steps: int = 8_000
    """Steps of the demo set, two frames each."""
    kills: int = 30
    """Recorders to kill."""
    folder: Path | None = None
    """Folder on the disk to measure; the system's temporary one if none."""
    json: bool = False
    """Print one JSON object as the last line."""


def make_set(settings: Settings, steps: int, folder: Path) -> Path:
    """A demo set of so many steps or a few more, in whole episodes: a few different ones, over and over."""
    from demos.checks import Checks
    from demos.make_set import make_demo_set
    from learner.store import ExperienceStore
    from policy.experience_file import ExperienceFile
    from policy.wire import pack_step, pack_step_id

    recording = successes(record(settings, DIFFERENT_STEPS))
    packed = [pack_step(step) for step in recording.steps]
    episodes = math.ceil(steps / len(packed) * sum(step.last for step in recording.steps)) + 1  # they differ in length
    path = folder / "demonstrated.sqlite"
    with ExperienceStore(path, settings.contract) as store:
        numbered = whole_episodes(recording, max(episodes, EXCHANGED), settings.contract.control_hz)
        while group := list(islice(numbered, GROUP_STEPS)):
            messages = []
            for place, step in group:
                message = type(packed[0])()
                message.CopyFrom(packed[place])
                message.id.CopyFrom(pack_step_id(step.id))
                message.monotonic_ns = message.wall_ns = step.monotonic_ns
                messages.append(message)
            store.append(messages)
    checks = Checks(settings.contract, settings.demonstration_checks, settings.task)
    with closing(ExperienceFile(path)) as experience:
        made = make_demo_set(experience, folder / "sets", "bench", checks=checks)
    path.unlink()
    return made.folder


def time_ready(settings: Settings, demo_set: Path) -> dict[str, float]:
    """Start a learner on a demo set until it learns and has all views [s]; importing torch is not counted.

    From the beginning on: `open_s`, the store is open; `adopt_s`, it has the set's episodes, every byte of which was
    looked at if they were new; `ready_s`, all demonstrations can be drawn, with one view at least; `first_update_s`;
    `views_s`, they have all views. `updates`: what was learned by then, beside the encoding. `processor_s`: what of the
    processors it took until the first update, also on a busy machine.
    """
    import torch

    from console.demos.sets import adopt_demo_sets
    from console.run_folder import STORE_FILE
    from learner.publisher import PolicyPublisher
    from learner.store import ExperienceStore
    from learner.trainer import Trainer
    from policy.encoder import load_encoder

    settings = settings.model_copy(update={"demo_sets": (demo_set,)})
    encoder = load_encoder(settings.learner.encoder)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports `torch._dynamo`
    settings.folder.mkdir(parents=True, exist_ok=True)
    stop, reached, begun_s, start_s = threading.Event(), {}, time.process_time(), time.perf_counter()
    with ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store, ThreadPoolExecutor(1) as pool:
        reached["open_s"] = time.perf_counter() - start_s
        adopt_demo_sets(settings, store, Console(stderr=True))
        reached["adopt_s"] = time.perf_counter() - start_s
        publisher, learner = PolicyPublisher(), settings.learner
        trainer = Trainer(learner, settings.contract, store, publisher, encoder, settings.folder, settings.seed)
        training = pool.submit(trainer.run, stop)

        def wait(name: str, holds: Callable[[TrainerStatus], bool]) -> None:
            while not holds(trainer.status()):
                if training.done():
                    training.result()  # raises what ended it
                time.sleep(LOOK_EVERY_S)
            reached[name] = time.perf_counter() - start_s

        try:
            wait("ready_s", lambda now: now.phase.startswith("training"))
            before = trainer.status().updates
            wait("first_update_s", lambda now: now.updates > before)
            reached["processor_s"] = time.process_time() - begun_s
            wait("views_s", lambda now: now.views_missing == 0)
            reached["updates"] = float(trainer.status().updates - before)
        finally:
            stop.set()
        training.result()
    return reached


def round_trip_equal(demo_set: Path, folder: Path) -> bool:
    """Whether a few demonstrations come back from a LeRobotDataset with each bit."""
    from demos.content_hash import content_hash
    from demos.experience_file import new_experience
    from demos.lerobot_export import LeRobotExportSettings, export_dataset
    from demos.lerobot_import import import_dataset
    from policy.experience_file import EpisodeSelection, ExperienceFile

    some, back = folder / "some.sqlite", folder / "back.sqlite"
    with (
        closing(ExperienceFile(demo_set / "experience.sqlite")) as experience,
        new_experience(some, experience.contract) as few,
    ):
        for row in experience.choose(EpisodeSelection()).ids[:EXCHANGED]:
            few.append(experience.episode(row), experience.contract)
    export_dataset(some, folder / "dataset", LeRobotExportSettings())
    import_dataset(folder / "dataset", back)
    return content_hash(some) == content_hash(back)


def successes(recording: Recording) -> Recording:
    """The demonstrations among it that came to something."""
    kept, episode = [], []
    for step in recording.steps:
        episode.append(step)
        if step.last:
            kept += episode if step.reward > 0 else []
            episode = []
    return Recording(kept)


def whole_episodes(recording: Recording, episodes: int, control_hz: float) -> Iterator[tuple[int, Step]]:
    """So many, over and over, as new ones and as punctual as can be; each step with its place in the recording."""
    period_ns = round(1e9 / control_hz)
    for number, step in enumerate(recording.endless(SESSION)):
        if step.id.episode == episodes:
            return
        now_ns = number * period_ns
        yield number % len(recording.steps), dataclasses.replace(step, monotonic_ns=now_ns, wall_ns=now_ns)


def measure(options: Options, folder: Path) -> dict[str, Any]:
    """All figures, as the JSON object has them."""
    fast = load_preset(Settings, "fast")
    trainer = fast.learner.trainer.model_copy(update={"demo_episodes": 1})
    learner = fast.learner.model_copy(update={"trainer": trainer})
    settings = fast.model_copy(update={"runs": folder, "run": "run", "learner": learner})
    load, start_s = os.getloadavg()[0], time.perf_counter()
    demo_set = _in_a_process(make_set, settings, options.steps, folder)
    made_s = time.perf_counter() - start_s
    cold, warm = (_in_a_process(time_ready, settings, demo_set) for _ in range(2))
    from bench.killed_recorder import kill_recorders
    from demos.demo_set import read_facts

    killed = kill_recorders(folder, options.kills)
    return {
        "cold_s": cold["first_update_s"],
        "warm_s": warm["first_update_s"],
        "frames": read_facts(demo_set).steps * len(settings.contract.cameras),
        "round_trip_equal": _in_a_process(round_trip_equal, demo_set, folder),
        "kills": killed.kills,
        "steps_lost": killed.lost,
        "steps_told": killed.told,
        "unfinished": killed.unfinished,
        "make_s": made_s,
        "cold": cold,
        "warm": warm,
        "machine": machine(),
        "load_before": load,
    }


def _in_a_process[**P, T](measure_one: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Each measurement in a new process: nothing is loaded, and no other's threads are there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure_one, *args, **kwargs).result()


def main() -> None:
    """Measure as the command line says."""
    options = tyro.cli(Options)
    with tempfile.TemporaryDirectory(prefix="nudge-bench-", dir=options.folder) as name:
        found = measure(options, Path(name))
    print(f"{found['machine']}, load {found['load_before']:.1f} before")
    for when in ("cold", "warm"):
        parts = ", ".join(f"{key} {value:,.2f}" for key, value in found[when].items())
        print(f"{found['frames']:,} demo frames, {when}: first update after {found[f'{when}_s']:.1f} s ({parts})")
    print(f"LeRobotDataset and back: {'each bit equal' if found['round_trip_equal'] else 'NOT EQUAL'}")
    print(f"{found['kills']} kills: {found['steps_lost']} of {found['steps_told']} steps lost")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
