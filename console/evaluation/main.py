"""`nudge eval`: the policy alone, on a fixed grid, judged by the simulator's truth or by the operator's keys.

The newest policy of a run, whose evaluation the report shows, or checkpoints, of which the best is kept and can be
rolled back to.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console
from rich.progress import track

from actor.inference import Policy
from actor.judge_settings import JudgeSettings
from console.arm import opened_arm
from console.checkpoints import checkpoint_table, choose_checkpoint, require_checkpoints
from console.errors import ConsoleError
from console.evaluation.bench import Bench, CameraMan
from console.evaluation.cycle_time import evaluated_cycle
from console.evaluation.grid import SYMMETRY_RAD, conditions, make_grid, placements
from console.evaluation.judge import UNFINISHED_FILE, opened_judge, told_trial, unfinished_trials
from console.evaluation.placement_guide import GUIDE_FILE, write_guide
from console.evaluation.punctuality import asked_niceness, asked_realtime
from console.presets.load import AMONG_OPTIONS, load_options
from console.report.data import Evaluation, Trial
from console.run_folder import POLICY_FILE, VIDEO_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import interrupted_as_by_hand
from console.video import write_video
from learner.checkpoint_folder import CHECKPOINTS, POLICY, list_checkpoints, updates_of
from learner.disk import write_atomically
from learner.evaluations import EVALUATION_FILE, read_evaluation
from policy.contract import Frozen
from policy.encoder import load_encoder
from policy.snapshot import read_spec
from robot.arm import Arm
from robot.safety.emergency import EmergencyStop
from robot.sim import Film, SimArm

VIDEO_PX = 320
VIDEO_TRIALS = 8
FEWEST_TRIALS = 20  # 10 of 10 is what a policy that fails every fourth time does once in 18 times


class EvalOptions(Frozen):
    """The policy alone, on a fixed grid: the newest one of a run, a checkpoint, or all of them."""

    settings: Annotated[Settings, *AMONG_OPTIONS]
    guide: bool = Field(
        default=False, description="Write a sheet of the cells in real size, to be printed for the table, and no more."
    )


def main(argv: list[str]) -> int:
    """Evaluate the newest policy of a run, a snapshot or checkpoints; returns the exit status."""
    interrupted_as_by_hand()
    options = load_options(EvalOptions, argv, DEFAULT_PRESET, "nudge eval")
    settings, console = judged_apart(options.settings), Console()
    if options.guide:
        console.print(_guide(settings), highlight=False, markup=False, soft_wrap=True)
        return 0
    folders = _chosen_checkpoints(settings)
    if folders is None:
        _tell(evaluate(settings, console, lines=not console.is_terminal), settings.folder, console)
    for folder in folders or ():
        _tell(evaluate_checkpoint(folder, settings, console), folder, console)
    if folders is not None:
        console.print(checkpoint_table(settings.folder / CHECKPOINTS))
    return 0


def judged_apart(settings: Settings) -> Settings:
    """The same, judged by somebody else than a classifier, which never grades its pupil: the simulator, or you."""
    if settings.task.judge != "classifier":
        return settings
    judge = "simulator" if settings.contract.sim_only else "operator"
    task = settings.task.model_copy(update={"judge": judge})
    return settings.model_copy(update={"task": task, "judge": JudgeSettings()})


def evaluate(settings: Settings, console: Console, *, lines: bool = False) -> Evaluation:
    """Run all trials of the grid with the newest policy, or a snapshot in the run folder.

    Writes `evaluation.json` and a video there; a checkpoint of exactly this policy gets the evaluation, too.
    lines: say of each trial what came of it, instead of a bar that shows how far it is
    """
    path = settings.folder / (settings.evaluation.checkpoint or POLICY_FILE)
    pictures: list[NDArray[np.uint8]] = []
    snapshot = path.read_bytes() if path.is_file() else b""  # a learner that trains may replace it meanwhile
    evaluation = _run_trials(path, settings, console, pictures, lines=lines)
    if pictures:
        write_video(settings.folder / VIDEO_FILE, pictures, settings.contract.control_hz)
    evaluation.save(settings.folder)
    (path.parent / UNFINISHED_FILE).unlink(missing_ok=True)
    for folder in list_checkpoints(settings.folder / CHECKPOINTS):
        kept = folder / POLICY
        if updates_of(folder) == evaluation.policy_version and kept.is_file() and kept.read_bytes() == snapshot:
            evaluation.save(folder)
    return evaluation


def evaluate_checkpoint(folder: Path, settings: Settings, console: Console) -> Evaluation:
    """Run all trials of the grid with the policy of a checkpoint; writes `evaluation.json` into its folder."""
    console.print(f"checkpoint {folder.name}")
    evaluation = _run_trials(folder / POLICY, settings, console, None)
    if not folder.is_dir():
        raise ConsoleError(
            f"checkpoint {folder}: the learner has pruned it while it was evaluated; raise "
            f"learner.trainer.checkpoints_kept, or evaluate a newer one"
        )
    evaluation.save(folder)
    (folder / UNFINISHED_FILE).unlink(missing_ok=True)
    return evaluation


def _chosen_checkpoints(settings: Settings) -> list[Path] | None:
    """The checkpoints that the settings name; None when they mean a snapshot in the run folder."""
    root, chosen = settings.folder / CHECKPOINTS, settings.evaluation.checkpoint
    if chosen == "all":
        return _without_evaluation(require_checkpoints(root), settings)
    if chosen in ("newest", "best") or chosen.isdecimal():
        return [choose_checkpoint(root, chosen)]
    return None


def _without_evaluation(folders: list[Path], settings: Settings) -> list[Path]:
    """Those that were not evaluated under these conditions: the same trials would give the same."""
    here = conditions(settings)
    found = {folder: read_evaluation(folder) for folder in folders}
    return [folder for folder, each in found.items() if each is None or each.conditions != here]


def _run_trials(
    path: Path,
    settings: Settings,
    console: Console,
    pictures: list[NDArray[np.uint8]] | None,
    *,
    lines: bool = False,
) -> Evaluation:
    """All trials of the grid, with deterministic actions. pictures: gets those of the video; None films nothing.

    What a person has judged is kept after each trial: an evaluation that was left goes on where it was.
    """
    settings = judged_apart(settings)
    torch.set_num_threads(1)
    policy, updates = load_policy(path, settings)
    grid, emergency = list(placements(settings)), EmergencyStop()
    filmed = set(np.linspace(0, len(grid) - 1, min(VIDEO_TRIALS, len(grid))).astype(int).tolist())
    unfinished, trials = path.parent / UNFINISHED_FILE, list[Trial]()
    with (
        asked_niceness(settings.loop, console),
        opened_judge(settings, len(grid), emergency, console) as judge,
        opened_arm(settings, settings.seed, emergency) as env,
        _film(env.arm) as film,
        asked_realtime(settings.loop, console),
    ):
        bench = Bench(env, policy, settings, console, judge)
        if judge is not None:
            trials = unfinished_trials(path.parent, conditions(settings), updates)
            if trials:
                console.print(f"going on after {len(trials)} trials that were judged before ({unfinished})")
        # Whoever judges reads where the cube goes: no bar is drawn over it.
        left = enumerate(grid[len(trials) :], start=len(trials))
        shown = (
            left
            if judge is not None or lines
            else track(left, "evaluating", len(grid), console=console, transient=True)
        )
        for index, placement in shown:
            camera_man = None
            if film is not None and pictures is not None and index in filmed:
                camera_man = CameraMan(film, settings, pictures)
            trials.append(bench.sound_trial(placement, index + 1, camera_man))
            if judge is None and lines:
                console.print(f"trial {index + 1} of {len(grid)}: {told_trial(trials)}", highlight=False)
            if judge is not None:
                judge.tell(trials)
                so_far = _evaluation(trials, bench, updates, path.name, settings)
                write_atomically(unfinished, so_far.model_dump_json(indent=1).encode())
    return _evaluation(trials, bench, updates, path.name, settings)


def _evaluation(trials: list[Trial], bench: Bench, updates: int, checkpoint: str, settings: Settings) -> Evaluation:
    return Evaluation(
        trials=tuple(trials),
        grid=make_grid(settings),
        policy_version=updates,
        checkpoint=checkpoint,
        deterministic=True,
        label=settings.task.judge,
        conditions=conditions(settings),
        late=bench.late(),
    )


def _tell(evaluation: Evaluation, folder: Path, console: Console) -> None:
    low, high = evaluation.wilson()
    cycle, late = evaluated_cycle(evaluation), evaluation.late
    console.print(
        f"autonomous success {evaluation.successes}/{len(evaluation.trials)} = {evaluation.success_rate():.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}), written to {folder / EVALUATION_FILE}",
        soft_wrap=True,
    )
    if cycle is not None:
        console.print(f"cycle time of those that succeeded: {cycle}")
    if len(evaluation.trials) < FEWEST_TRIALS:
        console.print(
            f"{len(evaluation.trials)} trials tell little: take {FEWEST_TRIALS} at least (evaluation.rows, columns, "
            "yaws)",
            style="yellow",
            soft_wrap=True,
        )
    if late is not None and late.count:
        console.print(
            f"{late.count} of {late.ticks} ticks began late, the worst by {late.worst_ms:.0f} ms: on a machine that is "
            f"less busy the policy may do better",
            style="yellow",
            soft_wrap=True,
        )


def _guide(settings: Settings) -> str:
    """Write the sheet for the table; where it is."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    yaws = settings.evaluation.yaws
    turns = [SYMMETRY_RAD * turn / yaws for turn in range(yaws)]
    return f"print at 100 %: {write_guide(settings.folder / GUIDE_FILE, make_grid(settings), turns)}"


def load_policy(path: Path, settings: Settings) -> tuple[Policy, int]:
    """The policy in a snapshot file, and after how many updates it was taken."""
    if not path.is_file():
        raise ConsoleError(
            f"policy {path}: there is no such file; train first, or name one with --evaluation.checkpoint"
        )
    data = path.read_bytes()
    policy = Policy(read_spec(data), settings.contract, load_encoder(settings.learner.encoder))
    return policy, policy.load_snapshot(data)


def _film(arm: Arm) -> AbstractContextManager[Film | None]:
    """Pictures for the video; a real arm cannot be filmed from outside."""
    return arm.filming(VIDEO_PX) if isinstance(arm, SimArm) else nullcontext()
