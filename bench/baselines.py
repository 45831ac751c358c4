"""What imitation alone comes to on the same demonstrations: ours (`nudge train-bc`) and ACT, trained by LeRobot.

    python bench/baselines.py SOURCE [--json] [--demonstrations 20] [--act-steps 20000] [--preset fast] [--seed 0]
        [--rows 5] [--columns 5] [--yaws 4] [--folder F] [--no-act] [--no-bc] [-- --policy.dim_model=256 ...]

SOURCE is a run, a demo set or a file of experience. Both policies are judged by the same trials of the preset's
simulated task. What follows `--` goes to `lerobot-train` as it is, which needs LeRobot's extra `training`.
See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

from actor.inference import Policy  # noqa: E402
from bench.kept_folder import kept_or_temporary  # noqa: E402
from bench.lerobot_act import ActBaseline, train_act  # noqa: E402
from console.arm import opened_arm  # noqa: E402
from console.evaluation.grid import placements  # noqa: E402
from console.evaluation.main import judged_apart, load_policy  # noqa: E402
from console.experience import find_experience  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.settings import Settings  # noqa: E402
from console.statistics import wilson_interval  # noqa: E402
from console.train_bc import TrainBcOptions, train  # noqa: E402
from demos.experience_file import new_experience  # noqa: E402
from demos.lerobot_export import LeRobotExportSettings, export_dataset  # noqa: E402
from policy.experience import Observation  # noqa: E402
from policy.experience_file import EpisodeSelection, ExperienceFile  # noqa: E402
from robot.env import ArmEnv  # noqa: E402
from robot.safety.emergency import EmergencyStop  # noqa: E402

CONSOLE = Console(stderr=True)


class Baseline(Protocol):
    """A policy in its trials."""

    def begin(self) -> None:
        """A trial begins."""
        ...

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """The action (A,) of -1..1."""
        ...


class BcBaseline:
    """The snapshot of `nudge train-bc`, without chance."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._generator = policy, torch.Generator()

    def begin(self) -> None:
        """It remembers nothing."""

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See `Baseline`."""
        return self._policy.select_action(observation, 0.0, self._generator)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures; those of what was left out are missing."""
    settings = judged_apart(load_preset(Settings, arguments.preset))
    grid = {name: getattr(arguments, name) for name in ("rows", "columns", "yaws")}
    settings = settings.model_copy(
        update={
            "runs": folder,
            "run": "bc",
            "seed": arguments.seed,
            "evaluation": settings.evaluation.model_copy(update=grid),
        }
    )
    demos = folder / "demos.sqlite"
    figures: dict[str, Any] = demonstrations(arguments, settings, demos)
    if not arguments.no_bc:
        figures |= _named("bc", bc(demos, settings))
    if not arguments.no_act:
        figures |= _named("act", act(demos, settings, arguments, folder))
    return figures


def demonstrations(arguments: argparse.Namespace, settings: Settings, target: Path) -> dict[str, Any]:
    """The first demonstrations that ended, those that both learn from, as a file of their own."""
    with closing(ExperienceFile(find_experience(arguments.source, arguments.runs))) as file:
        settings.contract.require_equal(file.contract, "the preset", str(arguments.source))
        chosen = file.choose(EpisodeSelection(demonstrations=True)).ids[: arguments.demonstrations]
        with new_experience(target, file.contract) as made:
            steps = 0
            for episode_id in chosen:
                episode = file.episode(episode_id)
                made.append(episode, file.contract)
                steps += len(episode)
    return {"demonstrations": len(chosen), "steps": steps}


def bc(demos: Path, settings: Settings) -> dict[str, Any]:
    """Clone, and judge."""
    figures = train(TrainBcOptions(source=str(demos), settings=settings), CONSOLE)
    policy, updates = load_policy(Path(figures["snapshot"]), settings)
    trained = {"updates": updates, "training_s": figures["wall_s"], "held_out_error": figures["held_out_error"]}
    return trained | judge(BcBaseline(policy), settings, "bc")


def act(demos: Path, settings: Settings, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Export, let LeRobot train, and judge."""
    export_dataset(demos, folder / "dataset", LeRobotExportSettings())
    begun_s = time.monotonic()
    s_per_step = train_act(folder, arguments, CONSOLE)
    trained = {"updates": arguments.act_steps, "training_s": time.monotonic() - begun_s, "s_per_update": s_per_step}
    (left,) = (folder / "act" / "checkpoints").glob(f"{arguments.act_steps:06d}*/pretrained_model")
    return trained | judge(ActBaseline(left), settings, "act")


def judge(policy: Baseline, settings: Settings, name: str) -> dict[str, Any]:
    """Success on the grid, by the simulator's truth, with Wilson's 95 % interval."""
    torch.set_num_threads(1)
    trials = list(placements(settings))
    with opened_arm(settings, settings.seed, EmergencyStop()) as env:
        results = [
            _trial(env, policy, {"start": each.start}, settings)
            for each in track(trials, f"judging {name}", console=CONSOLE, transient=True)
        ]
    successes = sum(success for success, _ in results)
    cells: dict[str, tuple[int, int]] = {}
    for placement, (success, _) in zip(trials, results, strict=True):
        cell = f"{placement.row},{placement.column}"
        so_far, count = cells.get(cell, (0, 0))
        cells[cell] = (so_far + success, count + 1)
    interval = wilson_interval(successes, len(results))
    return {
        "success": successes / len(results),
        "successes": successes,
        "trials": len(results),
        "cells": cells,
        "wilson_low": interval.low,
        "wilson_high": interval.high,
        "cycle_steps": float(np.median([steps for success, steps in results if success])) if successes else None,
    }


def _trial(env: ArmEnv, policy: Baseline, options: dict[str, Any], settings: Settings) -> tuple[bool, int]:
    seen, info = env.reset(options=options)
    policy.begin()
    steps, ended = 0, False
    while not ended:
        frames = {camera.name: seen[camera.name] for camera in settings.contract.cameras}
        seen, _, terminated, truncated, info = env.step(
            policy.act(Observation(frames, seen["proprioception"], info["sim_only"]))
        )
        steps, ended = steps + 1, terminated or truncated
    return bool(info["success"]), steps


def _named(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_{key}": value for key, value in figures.items()}


def table(figures: dict[str, Any]) -> Table:
    """For a person."""
    made = Table(
        title=f"imitation of {figures['demonstrations']} demonstrations, {figures['steps']} steps", title_justify="left"
    )
    for heading in ("", "autonomous success", "95 % interval", "updates", "training"):
        made.add_column(heading, justify="left" if not heading else "right")
    for name, title in (("bc", "nudge train-bc"), ("act", "ACT, lerobot-train")):
        of = {key.removeprefix(f"{name}_"): value for key, value in figures.items() if key.startswith(f"{name}_")}
        if of:
            made.add_row(
                title,
                f"{of['successes']}/{of['trials']} = {of['success']:.0%}",
                f"{of['wilson_low']:.0%} to {of['wilson_high']:.0%}",
                f"{of['updates']}",
                f"{of['training_s']:.0f} s",
            )
    return made


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; what follows `--` is `lerobot`, options of `lerobot-train`."""
    given = sys.argv[1:] if argv is None else argv
    end = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a run, a demo set, or a file of experience")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--demonstrations", type=int, default=20, help="the first so many")
    parser.add_argument("--seed", type=int, default=0)
    for name, value in (("rows", 5), ("columns", 5), ("yaws", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--act-steps", type=int, default=20_000, help="updates of ACT")
    parser.add_argument("--batch", type=int, default=8, help="of ACT, LeRobot's default")
    parser.add_argument("--chunk", type=int, default=20, help="actions that ACT predicts at once")
    parser.add_argument("--executed", type=int, default=10, help="of these, how many are executed before the next look")
    parser.add_argument("--device", default="cpu", help="of ACT's training")
    parser.add_argument("--folder", type=Path, help="where all files go and stay; none: a temporary one")
    parser.add_argument("--no-act", action="store_true")
    parser.add_argument("--no-bc", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(given[:end])
    arguments.lerobot = given[end + 1 :]
    return arguments


def main() -> None:
    """Measure and print."""
    arguments = parse()
    with kept_or_temporary(arguments.folder) as folder:
        figures = measure(arguments, folder)
    CONSOLE.print(table(figures))
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
