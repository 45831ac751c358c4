"""Nudge's side of `control_loop.py`: `nudge virtual`, `nudge learner` and `nudge actor`, as people start them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from actor.spool import Spool
from bench.turns import BenchError
from console.presets.load import load_settings
from console.run_folder import READY_FILE, SPOOL_FILE, TIMING_FILE
from console.settings import Settings
from console.stopping import Child
from policy.fakes import fake_episode
from policy.wire import pack_step
from robot.virtual.commands import State
from robot.virtual.control import Remote
from robot.virtual.station import CONTROL_SOCKET

READY_S = 120.0
PRESET_FILE = "control.yaml"
# The learner needs demonstrations to begin; what they show does not matter to the time that anything takes.
DEMO_EPISODES, DEMO_STEPS = 2, 40
# More updates than any machine makes: the learner trains without a pause.
ENDLESS_UTD = 100_000
# Servos that stand in for hardware may be kept waiting on a busy machine: that is late, but no reason to stop.
PATIENCE = {"answer_timeout_s": 0.1, "tries": 10}


@contextmanager
def station(folder: Path) -> Iterator[Mapping[str, int]]:
    """`nudge virtual` in this folder; ports of its cameras, by name."""
    with Child("virtual arm", ["virtual", "--folder", str(folder), "--camera-port", "0"], folder.with_suffix(".log")):
        with Remote.when_ready(folder / CONTROL_SOCKET, READY_S) as remote:
            cameras = remote.tell(State())["cameras"]
        yield {name: camera["port"] for name, camera in cameras.items()}


def make_settings(
    folder: Path, station_folder: Path, cameras: Mapping[str, int], control_hz: float, episode_s: float
) -> Settings:
    """The preset `virtual` for this station at this rate, with a learner that never waits; written into the folder."""
    preset = {
        "extends": "virtual",
        "preset_name": "control",
        "arm": {
            "so101": {
                **PATIENCE,
                "port": str(station_folder / "follower"),
                "calibration_dir": str(station_folder / "calibration"),
                "witness": str(station_folder / "control"),
                "cameras": {
                    "devices": [
                        {"kind": "zmq", "name": name, "port": port, "noisy": False} for name, port in cameras.items()
                    ]
                },
            }
        },
        "contract": {"control_hz": control_hz},
        "task": {"max_episode_steps": round(episode_s * control_hz)},
        "loop": {"demo_episodes": DEMO_EPISODES},
        "dashboard": {"with_learner": False},
        "learner": {"trainer": {"demo_episodes": DEMO_EPISODES, "utd": ENDLESS_UTD, "threads": 1}},
    }
    path = folder / PRESET_FILE
    path.write_text(yaml.safe_dump(preset))
    return load_settings(Settings, ["--preset", str(path), "--runs", str(folder)], "virtual", "control_loop")


@contextmanager
def training(settings: Settings) -> Iterator[str]:
    """`nudge learner` at work, as soon as an actor brings it what waits in the spool; its address."""
    settings.folder.mkdir()
    with Spool(settings.folder / SPOOL_FILE, settings.contract, settings.link) as spool:
        rng = np.random.default_rng(0)
        for episode in range(DEMO_EPISODES):
            steps = fake_episode(settings.contract, DEMO_STEPS, rng, session=spool.session, episode=episode)
            spool.commit([(step, pack_step(step)) for step in steps])
    with _child("learner", settings, "--service.port", "0") as learner:
        ready = settings.folder / READY_FILE
        _await(learner, ready.is_file)
        yield json.loads(ready.read_text())["address"]


def drive(settings: Settings, address: str, seconds: float) -> dict[str, Any]:
    """Let `nudge actor` make as many ticks as fit into so many seconds; what its `timing.json` holds."""
    steps = DEMO_EPISODES * DEMO_STEPS + round(seconds * settings.contract.control_hz)
    with _child("actor", settings, "--link.address", address, "--loop.max-env-steps", str(steps)) as actor:
        _await(actor, lambda: actor.status is not None, 4 * seconds + READY_S)
        if actor.status != 0:
            raise BenchError(
                f"actor: it ended with status {actor.status}; the end of its output:\n{actor.last_lines()}"
            )
    return dict(json.loads((settings.folder / TIMING_FILE).read_text()))


def _child(verb: str, settings: Settings, *options: str) -> Child:
    preset = settings.runs / PRESET_FILE
    arguments = [verb, "--preset", str(preset), "--runs", str(settings.runs), *options]
    return Child(verb, arguments, settings.runs / f"{verb}.log")


def _await(child: Child, holds: Any, within_s: float = READY_S) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        if child.status is not None or time.monotonic() > deadline_s:
            raise BenchError(f"{child.name}: it did not get there; the end of its output:\n{child.last_lines()}")
        time.sleep(0.1)
