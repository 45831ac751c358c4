"""`nudge selftest`: is the simulated scene sound? Run it before any training, and after any change to the scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field
from rich.console import Console

from console.presets.load import parse_options
from policy.contract import Frozen
from robot.env import ArmEnv, make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import SimArm, sim_contract
from robot.task import CubePose, Start
from teleop.scripted import ScriptedOperator
from teleop.settings import OperatorSettings
from teleop.takeover import OperatorView

REACH_TARGETS_M = ((0.20, -0.08, 0.02), (0.30, -0.08, 0.02), (0.20, 0.08, 0.02), (0.30, 0.08, 0.02), (0.25, 0.0, 0.12))
REACHED_M = 0.005


class SelftestSettings(Frozen):
    """How thorough the self-test is."""

    seed: int = Field(default=0, description="Seed of the picks.")
    picks: int = Field(default=10, gt=0, description="Scripted picks; nine in ten must succeed.")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    passed: bool
    detail: str


def main(argv: list[str]) -> int:
    """Run all checks; 1 when one fails."""
    settings = parse_options(SelftestSettings, argv, "nudge selftest")
    console, failed = Console(), False
    for check in checks(settings):
        failed |= not check.passed
        mark = "[green]pass[/]" if check.passed else "[red]FAIL[/]"
        console.print(f"{mark}  {check.name}: {check.detail}")
    return int(failed)


def checks(settings: SelftestSettings) -> Iterator[Check]:
    """All checks of the simulated scene, one after the other."""
    env = make_env(sim_contract(), ArmSettings(), TaskSettings(), settings.seed)
    try:
        yield _nothing_touches_at_rest(env)
        yield _targets_are_reached(env)
        yield _scripted_picks_succeed(env, settings)
    finally:
        env.close()


def _nothing_touches_at_rest(env: ArmEnv) -> Check:
    arm = env.arm
    assert isinstance(arm, SimArm)
    env.reset(options={"start": Start(CubePose(0.30, 0.08, 0.0), np.array([0.25, 0.0, 0.10]))})
    pairs = {
        tuple(sorted(arm.model.body(int(arm.model.geom_bodyid[geom])).name for geom in pair))
        for pair in arm.data.contact.geom
    }
    unexpected = sorted(pairs - {("cube", "world")})
    return Check("nothing touches at rest but cube and table", not unexpected, str(unexpected or "no other contact"))


def _targets_are_reached(env: ArmEnv) -> Check:
    errors_m = []
    for target_m in REACH_TARGETS_M:
        observation, _ = env.reset(options={"start": Start(CubePose(0.25, 0.0, 0.0), np.array([0.25, 0.0, 0.12]))})
        # Go over the cube, never through it: first sideways at height, then down.
        for height_m in (0.12, target_m[2]):
            for _ in range(20):
                tool_m = observation["proprioception"][6:9]
                move = (np.array([*target_m[:2], height_m]) - tool_m) / 0.02
                action = np.append(np.clip(move, -1, 1), 0.0).astype(np.float32)
                observation, *_ = env.step(action)
        errors_m.append(float(np.linalg.norm(observation["proprioception"][6:9] - target_m)))
    worst_mm = 1e3 * max(errors_m)
    return Check("five targets are reached", worst_mm <= 1e3 * REACHED_M, f"worst {worst_mm:.1f} mm off")


def _scripted_picks_succeed(env: ArmEnv, settings: SelftestSettings) -> Check:
    operator = ScriptedOperator(sim_contract(), OperatorSettings(), settings.seed)
    successes = 0
    for pick in range(settings.picks):
        observation, info = env.reset(seed=settings.seed + pick)
        operator.begin_episode(demonstrating=True)
        ended = False
        while not ended:
            action = operator.poll(OperatorView(observation["proprioception"], info["sim_only"])).action
            assert action is not None  # it drives throughout
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
        successes += bool(info["success"])
    return Check("scripted picks succeed", successes >= 0.9 * settings.picks, f"{successes} of {settings.picks}")
