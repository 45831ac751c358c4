"""A policy on an arm, trial after trial: the loop of an evaluation, and the pictures of its video."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from actor.clock import Deadlines
from actor.inference import Policy
from actor.recovery import wait_until_sound
from console.evaluation.grid import Placement
from console.evaluation.judge import OperatorJudge
from console.report.data import LateTicks, Trial
from console.settings import Settings
from console.video import control_caption, side_by_side
from policy.experience import Observation, Source
from robot.env import ArmEnv
from robot.errors import ArmFault
from robot.sim import Film, SimArm
from teleop.takeover import Verdict


@dataclass(frozen=True, slots=True)
class CameraMan:
    """Adds what the cameras see to the pictures of the video."""

    film: Film
    settings: Settings
    pictures: list[NDArray[np.uint8]]

    def shoot(self, placement: Placement, step: int, *, success: bool) -> None:
        """One picture, after a step."""
        frames = {camera.name: self.film(camera.name) for camera in self.settings.contract.cameras}
        cell = f"cell {placement.row},{placement.column}"
        self.pictures.append(
            side_by_side(frames, control_caption(Source.POLICY, step, success or None, cell), upscale=1)
        )


class Bench:
    """In real time where the world does not wait.

    judge: who says what came of a trial; None leaves it to the task
    """

    def __init__(
        self, env: ArmEnv, policy: Policy, settings: Settings, console: Console, judge: OperatorJudge | None
    ) -> None:
        self._env, self._policy, self._settings, self._console = env, policy, settings, console
        self._judge = judge
        waits = isinstance(env.arm, SimArm) and settings.loop.pace != "realtime"
        self._deadlines = None if waits else Deadlines(settings.contract.control_hz)

    def late(self) -> LateTicks | None:
        """Of all ticks so far; None where the world waits."""
        if self._deadlines is None:
            return None
        ticks = self._deadlines.late
        return LateTicks(ticks=ticks.count, count=self._deadlines.overruns, worst_ms=round(1e3 * ticks.longest_s, 3))

    def sound_trial(self, placement: Placement, number: int, camera_man: CameraMan | None) -> Trial:
        """Trial `number`, from 1; anew where a fault or the operator's word has spoilt it. Ctrl+C ends the wait."""
        while True:
            try:
                trial = self._trial(placement, number, camera_man)
                if trial is not None:
                    return trial
            except ArmFault as fault:
                wait_until_sound(self._env, fault, self._tell, threading.Event())
                self._console.print("the arm is sound; this trial is made anew", style="green")

    def _tell(self, fault: ArmFault) -> None:
        self._console.print(str(fault), style="red", markup=False, highlight=False, soft_wrap=True)

    def _trial(self, placement: Placement, number: int, camera_man: CameraMan | None) -> Trial | None:
        """One trial; None where the operator says that it does not count."""
        env, settings, deadlines, judge = self._env, self._settings, self._deadlines, self._judge
        generator = torch.Generator()  # deterministic actions draw nothing from it
        seen, info = env.reset(options={"start": placement.start})
        if judge is not None:
            seen, info = judge.await_cube(env, placement, number)
        if deadlines is not None:
            deadlines.start()
        steps, ended, success, verdict = 0, False, False, None
        while not ended:
            observation = Observation(
                {camera.name: seen[camera.name] for camera in settings.contract.cameras},
                seen["proprioception"],
                info["sim_only"],
            )
            action = self._policy.select_action(observation, 0.0, generator)
            env.act(action)
            if deadlines is not None:
                deadlines.wait()
            seen, _, terminated, truncated, info = env.observe()
            steps += 1
            verdict = None if judge is None else judge.verdict()
            ended = terminated or truncated or verdict is not None
            success = bool(info["success"]) or verdict is Verdict.SUCCESS
            if camera_man is not None:
                camera_man.shoot(placement, steps, success=success)
        if judge is not None and verdict is None:
            verdict = judge.verdict_at_time_out(env)
        if verdict is Verdict.RERECORD:
            return None
        cube = placement.start.cube
        return Trial(
            row=placement.row,
            column=placement.column,
            cube_x_m=cube.x_m,
            cube_y_m=cube.y_m,
            cube_yaw_rad=cube.yaw_rad,
            success=success or verdict is Verdict.SUCCESS,
            steps=steps,
            robot_time_s=steps / settings.contract.control_hz,
        )
