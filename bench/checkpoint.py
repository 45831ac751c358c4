"""Time to save and to resume, ours and LeRobot's.

    python bench/checkpoint.py [--json] [--transitions 50000] [--lerobot-transitions 1000] [--no-lerobot] [--folder F]

Ours at two sizes, one a tenth of the other: what a checkpoint costs does not depend on the number of transitions.
LeRobot's writes them all anew; it is measured at a number of its own. See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.recorded import Recording, record  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.settings import Settings  # noqa: E402

RECORDED_STEPS = 64


def measure_ours(transitions: int, recording: Recording, folder: Path) -> dict[str, float]:
    """Save a run of the preset `fast` and resume it, warm and cold, each in a process of its own."""
    fast = load_preset(Settings, "fast")
    trainer = fast.learner.trainer.model_copy(update={"demo_episodes": 1})  # a small run has fewer than the preset asks
    learner = fast.learner.model_copy(update={"trainer": trainer})
    settings = fast.model_copy(update={"runs": folder, "run": f"ours-{transitions}", "learner": learner})
    saved = _in_a_process(_saving, settings, recording, transitions)
    warm, cold = (_in_a_process(_resuming, settings, cold=each) for each in (False, True))
    return saved | warm | {f"cold_{name}": value for name, value in cold.items()}


def measure_lerobot(transitions: int, recording: Recording, folder: Path) -> dict[str, float]:
    """Save and resume LeRobot's learner."""
    return _in_a_process(_lerobot, recording, transitions, folder / "lerobot")


def figures(
    ours: dict[str, float], small: dict[str, float], lerobot: dict[str, float] | None, sizes: dict[str, int]
) -> dict[str, Any]:
    """The JSON object; what was not measured is null. sizes: transitions of each side."""
    peer = lerobot or {}

    def per_thousand(key: str) -> float | None:
        return peer[key] / sizes["lerobot"] * 1000 if lerobot else None

    return {
        "save_s": ours["save_s"],
        "resume_s": ours["resume_s"],
        "transitions": sizes["ours"],
        "checkpoint_bytes": ours["bytes"],
        "store_s": ours["store_s"],
        "cold_resume_s": ours["cold_resume_s"],
        "cold_store_s": ours["cold_store_s"],
        "small_save_s": small["save_s"],
        "small_resume_s": small["resume_s"],
        "small_transitions": sizes["small"],
        "lerobot_save_s": peer.get("save_s"),
        "lerobot_resume_s": peer.get("resume_s"),
        "lerobot_transitions": sizes["lerobot"] if lerobot else None,
        "lerobot_bytes": peer.get("bytes"),
        "lerobot_save_s_per_1000": per_thousand("save_s"),
        "lerobot_resume_s_per_1000": per_thousand("resume_s"),
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--transitions", type=int, default=50_000, help="of our larger run")
    parser.add_argument("--lerobot-transitions", type=int, default=1000, help="in LeRobot's two buffers together")
    parser.add_argument("--no-lerobot", action="store_true", help="ours alone")
    parser.add_argument("--folder", type=Path, help="on the disk that will hold the runs; by default the temporary one")
    options = parser.parse_args()
    sizes = {"ours": options.transitions, "small": options.transitions // 10, "lerobot": options.lerobot_transitions}
    console, load = Console(width=None if sys.stdout.isatty() else 120), os.getloadavg()[0]
    recording = record(load_preset(Settings, "fast"), RECORDED_STEPS)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="nudge-bench-") as name:
        folder = Path(name)
        with console.status("ours"):
            small, ours = (measure_ours(sizes[each], recording, folder) for each in ("small", "ours"))
        with console.status("LeRobot"):
            peer = None if options.no_lerobot else measure_lerobot(sizes["lerobot"], recording, folder)
    found = figures(ours, small, peer, sizes) | {"load_before": load}
    console.print(_table(found))
    if options.json:
        print(json.dumps(found))


def _table(found: dict[str, Any]) -> Table:
    table = Table(title="Checkpoints, two cameras of 128x128")
    for heading in ("side", "transitions", "save [s]", "resume [s]"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    for side, before in (("Nudge, preset fast", ""), ("Nudge, preset fast", "small_"), ("LeRobot", "lerobot_")):
        values = [found[f"{before}{name}"] for name in ("save_s", "resume_s")]
        if None not in values:
            table.add_row(side, f"{found[f'{before}transitions']:,}", *(f"{value:.3g}" for value in values))
    return table


def _in_a_process[**P](measure: Callable[P, dict[str, float]], *args: P.args, **kwargs: P.kwargs) -> dict[str, float]:
    """Each measurement in a new process: nothing is loaded, and no other's threads are there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *args, **kwargs).result()


def _saving(settings: Settings, recording: Recording, transitions: int) -> dict[str, float]:
    from bench.nudge_checkpoint import time_saving

    return time_saving(settings, recording, transitions)


def _resuming(settings: Settings, *, cold: bool) -> dict[str, float]:
    from bench.nudge_checkpoint import time_resuming

    return time_resuming(settings, cold=cold)


def _lerobot(recording: Recording, transitions: int, folder: Path) -> dict[str, float]:
    from bench.lerobot_checkpoint import time_lerobot

    return time_lerobot(recording.steps, transitions, folder)


if __name__ == "__main__":
    main()
