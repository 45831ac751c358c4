"""`nudge eval`: the policy alone, on a fixed grid, judged by the simulator's truth.

The newest policy of a run, whose evaluation the report shows, or checkpoints, of which the best is kept and can be
rolled back to.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from actor.clock import Deadlines
from actor.inference import Policy
from actor.judge_settings import JudgeSettings
from actor.recovery import wait_until_sound
from console.arm import opened_arm
from console.checkpoints import checkpoint_table, choose_checkpoint, require_checkpoints
from console.errors import ConsoleError
from console.evaluation_grid import Placement, conditions, make_grid, placements
from console.presets import load_settings
from console.punctuality import asked_niceness, asked_realtime
from console.report_data import Evaluation, Trial
from console.run_folder import POLICY_FILE, VIDEO_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.video import control_caption, side_by_side, write_video
from learner.checkpoint_folder import CHECKPOINTS, POLICY, list_checkpoints
from learner.evaluations import EVALUATION_FILE, read_evaluation
from policy.encoder import load_encoder
from policy.experience import Observation, Source
from policy.snapshot import read_spec
from robot.arm import Arm
from robot.env import ArmEnv
from robot.errors import ArmFault
from robot.safety.emergency import EmergencyStop
from robot.sim import Film, SimArm

VIDEO_PX = 320
VIDEO_TRIALS = 8


@dataclass(frozen=True, slots=True)
class _CameraMan:
    """Adds what the cameras see to the pictures of the video."""

    film: Film
    settings: Settings
    pictures: list[NDArray[np.uint8]]

    def shoot(self, placement: Placement, step: int, *, success: bool) -> None:
        frames = {camera.name: self.film(camera.name) for camera in self.settings.contract.cameras}
        cell = f"cell {placement.row},{placement.column}"
        self.pictures.append(
            side_by_side(frames, control_caption(Source.POLICY, step, success or None, cell), upscale=1)
        )


def main(argv: list[str]) -> int:
    """Evaluate the newest policy of a run, a snapshot or checkpoints; returns the exit status."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge eval")
    settings, console = judged_by_truth(settings), Console()
    folders = _chosen_checkpoints(settings)
    if folders is None:
        _tell(evaluate(settings, console), settings.folder, console)
    for folder in folders or ():
        _tell(evaluate_checkpoint(folder, settings, console), folder, console)
    if folders is not None:
        console.print(checkpoint_table(settings.folder / CHECKPOINTS))
    return 0


def judged_by_truth(settings: Settings) -> Settings:
    """The same, judged by what training was not judged by: nobody presses a key, and no classifier grades its pupil.

    Raise `ConsoleError` where only keys judge, or where nobody but the classifier knows.
    """
    if settings.task.judge == "operator":
        raise ConsoleError(
            "task.judge: got operator, but in an evaluation nobody presses a key: every trial would fail; expected "
            "simulator, whose truth judges it"
        )
    if not settings.contract.sim_only:
        raise ConsoleError(
            f"task.judge: got {settings.task.judge}, and a contract that does not tell where the cube is: training and "
            f"evaluation never share a judge; expected the simulator's truth (`sim_only`), as a simulated or a virtual "
            f"arm has it"
        )
    task = settings.task.model_copy(update={"judge": "simulator"})
    return settings.model_copy(update={"task": task, "judge": JudgeSettings()})


def evaluate(settings: Settings, console: Console) -> Evaluation:
    """Run all trials of the grid with the newest policy, or a snapshot in the run folder.

    Writes `evaluation.json` and a video there; a checkpoint of exactly this policy gets the evaluation, too.
    """
    path = settings.folder / (settings.evaluation.checkpoint or POLICY_FILE)
    pictures: list[NDArray[np.uint8]] = []
    evaluation = _run_trials(path, settings, console, pictures)
    if pictures:
        write_video(settings.folder / VIDEO_FILE, pictures, settings.contract.control_hz)
    evaluation.save(settings.folder)
    snapshot = path.read_bytes()
    for folder in list_checkpoints(settings.folder / CHECKPOINTS):
        if (folder / POLICY).is_file() and (folder / POLICY).read_bytes() == snapshot:
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
    path: Path, settings: Settings, console: Console, pictures: list[NDArray[np.uint8]] | None
) -> Evaluation:
    """All trials of the grid, with deterministic actions. pictures: gets those of the video; None films nothing."""
    settings = judged_by_truth(settings)
    torch.set_num_threads(1)
    policy, updates = load_policy(path, settings)
    grid = list(placements(settings))
    filmed = set(np.linspace(0, len(grid) - 1, min(VIDEO_TRIALS, len(grid))).astype(int).tolist())
    trials: list[Trial] = []
    with (
        asked_niceness(settings.loop, console),
        opened_arm(settings, settings.seed, EmergencyStop()) as env,
        _film(env.arm) as film,
        asked_realtime(settings.loop, console),
    ):
        bench = _Bench(env, policy, settings, console)
        for index, placement in enumerate(track(grid, "evaluating", console=console, transient=True)):
            camera_man = None
            if film is not None and pictures is not None and index in filmed:
                camera_man = _CameraMan(film, settings, pictures)
            trials.append(bench.sound_trial(placement, camera_man))
    return Evaluation(
        trials=tuple(trials),
        grid=make_grid(settings),
        policy_version=updates,
        checkpoint=path.name,
        deterministic=True,
        label="simulator",
        conditions=conditions(settings),
    )


def _tell(evaluation: Evaluation, folder: Path, console: Console) -> None:
    low, high = evaluation.wilson()
    console.print(
        f"autonomous success {evaluation.successes}/{len(evaluation.trials)} = {evaluation.success_rate():.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}), written to {folder / EVALUATION_FILE}"
    )


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


class _Bench:
    """A policy on an arm, trial after trial; in real time where the world does not wait."""

    def __init__(self, env: ArmEnv, policy: Policy, settings: Settings, console: Console) -> None:
        self._env, self._policy, self._settings, self._console = env, policy, settings, console
        self._deadlines = None if isinstance(env.arm, SimArm) else Deadlines(settings.contract.control_hz)

    def sound_trial(self, placement: Placement, camera_man: _CameraMan | None) -> Trial:
        """One trial; anew where a fault of the arm has spoilt it, once the arm is sound again. Ctrl+C ends the wait."""
        while True:
            try:
                return self._trial(placement, camera_man)
            except ArmFault as fault:
                wait_until_sound(self._env, fault, self._tell, threading.Event())
                self._console.print("the arm is sound; this trial is made anew", style="green")

    def _tell(self, fault: ArmFault) -> None:
        self._console.print(str(fault), style="red", markup=False, highlight=False, soft_wrap=True)

    def _trial(self, placement: Placement, camera_man: _CameraMan | None) -> Trial:
        env, settings, deadlines = self._env, self._settings, self._deadlines
        generator = torch.Generator()  # deterministic actions draw nothing from it
        seen, info = env.reset(options={"start": placement.start})
        if deadlines is not None:
            deadlines.start()
        steps, ended = 0, False
        while not ended:
            observation = Observation(
                {camera.name: seen[camera.name] for camera in settings.contract.cameras},
                seen["proprioception"],
                info["sim_only"],
            )
            action = self._policy.select_action(observation, True, generator)
            env.act(action)
            if deadlines is not None:
                deadlines.wait()
            seen, _, terminated, truncated, info = env.observe()
            steps += 1
            ended = terminated or truncated
            if camera_man is not None:
                camera_man.shoot(placement, steps, success=bool(info["success"]))
        cube = placement.start.cube
        return Trial(
            row=placement.row,
            column=placement.column,
            cube_x_m=cube.x_m,
            cube_y_m=cube.y_m,
            cube_yaw_rad=cube.yaw_rad,
            success=bool(info["success"]),
            steps=steps,
            robot_time_s=steps / settings.contract.control_hz,
        )
