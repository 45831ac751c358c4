"""Which policy of a run is judged: the best of its last snapshots, on starts that are not the evaluation's."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from console.evaluate import Placement, load_policy, run_trial
from console.report_data import write_atomically
from console.run_folder import CANDIDATES, POLICY_FILE, SELECTION_FILE
from console.settings import Settings
from robot.env import make_env
from robot.task import GraspLift

# Not the seed of training (`seed`) nor of the grid (`evaluation.seed`): added to the latter.
SELECTION_SEED = 77


def select_policy(settings: Settings, console: Console) -> None:
    """Let the candidates try the same random starts; the most successful one becomes the run's policy.

    Ties go to the newer. Writes `selection.json` with the successes of each. Does nothing without candidates.
    """
    folder, trials = settings.folder, settings.evaluation.selection_trials
    newest = folder / POLICY_FILE
    candidates = [*sorted((folder / CANDIDATES).glob("*.safetensors")), newest]
    if trials == 0 or len(candidates) < 2 or not newest.is_file():
        return
    torch.set_num_threads(1)
    generator = np.random.default_rng(settings.evaluation.seed + SELECTION_SEED)
    task = GraspLift(settings.task)
    starts = [Placement(0, 0, task.draw_start(generator)) for _ in range(trials)]
    successes: dict[Path, int] = {}
    with closing(make_env(settings.contract, settings.arm, settings.task, settings.seed)) as env:
        for path in track(candidates, "choosing the policy", console=console, transient=True):
            policy, _ = load_policy(path, settings)
            successes[path] = sum(run_trial(env, policy, start, settings).success for start in starts)
    best = max(reversed(candidates), key=lambda path: successes[path])
    record = {"trials": trials, "chosen": best.name, "successes": {path.name: n for path, n in successes.items()}}
    write_atomically(folder / SELECTION_FILE, (json.dumps(record, indent=1) + "\n").encode())
    console.print(
        f"chosen: {best.name}, {successes[best]} of {trials} other starts; the newest had {successes[newest]}"
    )
    if best != newest:
        write_atomically(newest, best.read_bytes())
