"""A run folder for the dashboard: a real store and real metrics, with a tiny contract that tells where the cube is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from console.presets.load import dump_settings, load_preset
from console.run_folder import METRICS_FILE, SETTINGS_FILE, STORE_FILE
from console.settings import Settings
from learner.store import ExperienceStore
from policy.contract import Dimension
from policy.experience import Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=2, proprioception=2, size_px=16).model_copy(
    update={"sim_only": tuple(Dimension(name=f"cube.{axis}", unit="m", low=-1, high=1) for axis in "xy")}
)
SESSION = "a" * 32


def settings_of(runs: Path, run: str = "lift") -> Settings:
    """Of a run with that contract; its dashboard takes any free port."""
    fast = load_preset(Settings, "fast")
    dashboard = fast.dashboard.model_copy(update={"port": 0, "refresh_s": 0.1})
    return fast.model_copy(update={"runs": runs, "run": run, "contract": CONTRACT, "dashboard": dashboard})


def episode(
    index: int, sources: Sequence[Source], *, success: bool = True, cube: tuple[float, float] = (0.2, 0.0)
) -> list[Step]:
    """An episode with the cube at a place [m], and a source for each of its steps."""
    made = fake_episode(
        CONTRACT, len(sources), np.random.default_rng(index), session=SESSION, episode=index, terminated=success
    )
    at = np.array(cube, np.float32)
    return [
        replace(step, source=source, observation=replace(step.observation, sim_only=at), wall_ns=10**9 * (index + 1))
        for step, source in zip(made, sources, strict=True)
    ]


def append(settings: Settings, steps: Sequence[Step]) -> None:
    """Put steps into the run's store, as its learner would."""
    with ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store:
        store.append([pack_step(step) for step in steps])


def reading(updates: int, env_steps: int = 100, **metrics: float) -> str:
    """A line of metrics."""
    return json.dumps({"updates": updates, "env_steps": env_steps, "wall_s": 1.0, "metrics": metrics}) + "\n"


def finished_run(runs: Path) -> Settings:
    """A run with two demonstrations, three online episodes, of which the operator helped one, and metrics."""
    settings = settings_of(runs)
    settings.folder.mkdir(parents=True)
    dump_settings(settings, settings.folder / SETTINGS_FILE)
    policy, human = Source.POLICY, Source.HUMAN
    made = [
        *(episode(index, 4 * [Source.DEMO]) for index in range(2)),
        episode(2, 4 * [policy], success=False),
        episode(3, [policy, human, human, policy]),
        episode(4, 4 * [policy]),
    ]
    append(settings, [step for steps in made for step in steps])
    lines = [reading(200 * index, q_mean=index, entropy=-1.0, updates_per_s=20.0) for index in range(1, 6)]
    (settings.folder / METRICS_FILE).write_text("".join(lines))
    return settings
