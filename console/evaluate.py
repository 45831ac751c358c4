"""`nudge eval`: the policy alone, on a fixed grid, judged by the simulator's truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from actor.inference import Policy
from console.errors import ConsoleError
from console.presets import load_settings
from console.report_data import Evaluation, Grid, Trial
from console.run_folder import POLICY_FILE, VIDEO_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.video import control_caption, side_by_side, write_video
from policy.encoder import load_encoder
from policy.experience import Observation, Source
from policy.snapshot import read_spec
from robot.arm import Arm
from robot.env import ArmEnv, make_env
from robot.sim import Film, SimArm
from robot.task import CubePose, Start

VIDEO_PX = 320
VIDEO_TRIALS = 8
# A cube looks the same after a quarter turn.
SYMMETRY_RAD = math.pi / 2


@dataclass(frozen=True, slots=True)
class Placement:
    """One trial to come: its cell and its start."""

    row: int
    column: int
    start: Start


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
    """Evaluate the newest policy of a run and write `evaluation.json` and a video into its folder."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge eval")
    console = Console()
    evaluation = evaluate(settings, console)
    low, high = evaluation.wilson()
    console.print(
        f"autonomous success {evaluation.successes}/{len(evaluation.trials)} = {evaluation.success_rate():.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}), written to {settings.folder / 'evaluation.json'}"
    )
    return 0


def evaluate(settings: Settings, console: Console) -> Evaluation:
    """Run all trials of the grid with deterministic actions; writes `evaluation.json` and the video."""
    torch.set_num_threads(1)
    chosen = settings.evaluation
    path = settings.folder / (chosen.checkpoint or POLICY_FILE)
    policy, updates = load_policy(path, settings)
    env = make_env(settings.contract, settings.arm, settings.task, settings.seed)
    grid = list(placements(settings))
    filmed = set(np.linspace(0, len(grid) - 1, min(VIDEO_TRIALS, len(grid))).astype(int).tolist())
    trials: list[Trial] = []
    pictures: list[NDArray[np.uint8]] = []
    with closing(env), _film(env.arm) as film:
        for index, placement in enumerate(track(grid, "evaluating", console=console, transient=True)):
            camera_man = _CameraMan(film, settings, pictures) if index in filmed else None
            trials.append(_run_trial(env, policy, placement, settings, camera_man))
    write_video(settings.folder / VIDEO_FILE, pictures, settings.contract.control_hz)
    evaluation = Evaluation(
        trials=tuple(trials),
        grid=_grid(settings),
        policy_version=updates,
        checkpoint=path.name,
        deterministic=True,
        label="simulator",
    )
    evaluation.save(settings.folder)
    return evaluation


def load_policy(path: Path, settings: Settings) -> tuple[Policy, int]:
    """The policy in a snapshot file, and after how many updates it was taken."""
    if not path.is_file():
        raise ConsoleError(
            f"policy {path}: there is no such file; train first, or name one with --evaluation.checkpoint"
        )
    data = path.read_bytes()
    policy = Policy(read_spec(data), settings.contract, load_encoder(settings.learner.encoder))
    return policy, policy.load_snapshot(data)


def _film(arm: Arm) -> AbstractContextManager[Film]:
    if not isinstance(arm, SimArm):
        raise ConsoleError(f"video: got {type(arm).__name__}, only the simulated arm can be filmed from outside")
    return arm.filming(VIDEO_PX)


def _run_trial(
    env: ArmEnv, policy: Policy, placement: Placement, settings: Settings, camera_man: _CameraMan | None
) -> Trial:
    generator = torch.Generator()  # deterministic actions draw nothing from it
    seen, info = env.reset(options={"start": placement.start})
    steps, ended = 0, False
    while not ended:
        observation = Observation(
            {camera.name: seen[camera.name] for camera in settings.contract.cameras},
            seen["proprioception"],
            info["sim_only"],
        )
        action = policy.select_action(observation, True, generator)
        seen, _, terminated, truncated, info = env.step(action)
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


def placements(settings: Settings) -> Iterator[Placement]:
    """Cell centres times yaws; the tool's start is drawn as in training, from a seed of its own."""
    chosen = settings.evaluation
    grid = _grid(settings)
    generator = np.random.default_rng(chosen.seed)
    start_m, noise_m = np.array(settings.task.start_m), np.array(settings.task.start_noise_m)
    for row in range(grid.rows):
        for column in range(grid.columns):
            x_m, y_m = grid.centre_m(row, column)
            for turn in range(chosen.yaws):
                cube = CubePose(x_m, y_m, SYMMETRY_RAD * turn / chosen.yaws)
                yield Placement(row, column, Start(cube, start_m + generator.uniform(-noise_m, noise_m)))


def _grid(settings: Settings) -> Grid:
    (x_low_m, x_high_m), (y_low_m, y_high_m) = settings.task.field_x_m, settings.task.field_y_m
    return Grid(
        rows=settings.evaluation.rows,
        columns=settings.evaluation.columns,
        x_low_m=x_low_m,
        x_high_m=x_high_m,
        y_low_m=y_low_m,
        y_high_m=y_high_m,
    )
