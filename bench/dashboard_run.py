"""A run of a day, made up: 2,000 episodes in a real experience store, a reading of metrics every ten seconds."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from console.run_folder import METRICS_FILE, STORE_FILE
from console.settings import Settings
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.experience import Source, Step
from policy.fakes import fake_episode
from policy.step_schema import adopt, connect, transaction
from policy.step_table import take_step
from policy.wire import pack_step

EPISODES, STEPS = 2000, 40
DEMOS = 20
HOURS, READING_S = 24, 10
UPDATES_PER_READING = 200
SESSION = "d" * 32
LINES_OF_HEALTH = 8


def make_day(settings: Settings) -> None:
    """Write store and metrics into the run folder, as a day of learning would have left them."""
    settings.folder.mkdir(parents=True)
    contract, now_ns = settings.contract, time.time_ns()
    with closing(connect(settings.folder / STORE_FILE)) as connection:
        adopt(connection, settings.folder / STORE_FILE, contract)
        for begin in range(0, EPISODES, 200):
            with transaction(connection):
                for index in range(begin, begin + 200):
                    ago_s = HOURS * 3600 * (1 - index / EPISODES)
                    for step, message in an_episode(contract, index, now_ns - int(1e9 * ago_s)):
                        take_step(connection, step, message)
    (settings.folder / METRICS_FILE).write_text("".join(readings()))


def an_episode(contract: Contract, index: int, begun_ns: int, noise: int = 2) -> Iterator[tuple[Step, pb.Step]]:
    """Demonstrations first; then the policy, which the operator helps less and less, and which succeeds more often.

    noise: of the pictures; 16 makes PNGs as large as those of a camera, 2 keeps a day's on a small disk
    """
    progress, rng = index / EPISODES, np.random.default_rng(index)
    helped = index >= DEMOS and rng.random() < 0.6 * (1 - progress)
    success = index < DEMOS or bool(rng.random() < 0.3 + 0.7 * progress)
    template = fake_episode(_with_tiny_frames(contract), 1, rng, session=SESSION, episode=index)[0]
    sim_only = np.zeros(len(contract.sim_only), np.float32)
    sim_only[:2] = rng.uniform((0.18, -0.08), (0.28, 0.08))
    seen = replace(template.observation, frames=_frames(contract, index, noise), sim_only=sim_only)
    packed = pack_step(replace(template, observation=seen, terminated=False, final=None))  # its PNGs serve all steps
    for place in range(STEPS):
        last = place == STEPS - 1
        source = Source.DEMO if index < DEMOS else Source.HUMAN if helped and 10 <= place < 22 else Source.POLICY
        if last:
            packed.final_observation.CopyFrom(packed.observation)
        step = replace(
            template,
            id=replace(template.id, step=place),
            observation=seen,
            source=source,
            reward=float(last and success),
            terminated=last and success,
            truncated=last and not success,
            policy_version=index,
            monotonic_ns=place * 10**8,
            wall_ns=begun_ns + place * 10**8,
            final=seen if last else None,
        )
        yield step, packed


def readings() -> Iterator[str]:
    """A line for each reading of the day."""
    for index in range(HOURS * 3600 // READING_S):
        yield a_reading(index)


def a_reading(index: int) -> str:
    """With as many metrics as the learner writes."""
    share, wave = index / (HOURS * 360), math.sin(index / 40)
    metrics = {
        "q_mean": 8 * share + 0.3 * wave,
        "q_max": 9 * share + 0.5,
        "q_min": -0.2 + 0.1 * wave,
        "critic_loss": 0.5 / (1 + 10 * share) + 0.05 * abs(wave),
        "actor_loss": -8 * share + wave,
        "bc_loss": 0.2 / (1 + 10 * share),
        "entropy": -1.5 - share + 0.3 * wave,
        "temperature": 0.01 * math.exp(-2 * share),
        "updates_per_s": 20 + 2 * wave,
        "effective_utd": 4.0,
        "recent_utd": 4 + 0.2 * wave,
        "steps_behind": 0.0,
        **{f"another_{number}": wave * number for number in range(8)},
        **{f"health/check_{number}": 0.0 for number in range(LINES_OF_HEALTH)},
    }
    line = {
        "updates": UPDATES_PER_READING * (index + 1),
        "env_steps": 50 * (index + 1),
        "wall_s": float(READING_S * index),
        "metrics": metrics,
    }
    return json.dumps(line) + "\n"


def _with_tiny_frames(contract: Contract) -> Contract:
    """The same with tiny frames, which are made up elsewhere."""
    cameras = tuple(camera.model_copy(update={"size_px": 8}) for camera in contract.cameras)
    return contract.model_copy(update={"cameras": cameras})


def _frames(contract: Contract, index: int, noise: int) -> dict[str, NDArray[np.uint8]]:
    """A picture of each camera."""
    rng = np.random.default_rng(index % 8)
    made = {}
    for camera in contract.cameras:
        slope = np.linspace(40, 200, camera.size_px)[:, None, None]
        made[camera.name] = (slope + rng.integers(0, noise, (camera.size_px, camera.size_px, 3))).astype(np.uint8)
    return made
