"""The checkpoint benchmark: a run that it makes is one that the learner resumes, and LeRobot's side is LeRobot."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from bench.checkpoint import figures
from bench.nudge_checkpoint import time_resuming, time_saving
from bench.recorded import Recording
from console.presets.load import load_preset
from console.settings import Settings
from learner.checkpoint_folder import list_checkpoints
from learner.store import StoreReader
from policy.fakes import fake_episode

FAST = load_preset(Settings, "fast")
RECORDING = Recording(fake_episode(FAST.contract, 6, np.random.default_rng(0)))

needs_lerobot_rl = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None,
    reason="LeRobot's rl modules need the extra lerobot[dataset]; `make` installs it",
)


def test_a_run_is_saved_and_resumed_with_all_its_steps(tmp_path: Path) -> None:
    trainer = FAST.learner.trainer.model_copy(update={"demo_episodes": 1})
    learner = FAST.learner.model_copy(update={"trainer": trainer})
    settings = FAST.model_copy(update={"runs": tmp_path, "run": "ours", "learner": learner})
    saved = time_saving(settings, RECORDING, 80)
    assert saved["save_s"] > 0
    newest = list_checkpoints(settings.folder / "checkpoints")[-1]
    assert saved["bytes"] == sum(path.stat().st_size for path in newest.iterdir())
    replay = (settings.folder / "replay" / "maps.bin").stat().st_ino
    resumed = time_resuming(settings, cold=True)
    assert 0 < resumed["store_s"] < resumed["resume_s"]
    # The store knows the steps of replay as its own: it was not made again.
    assert json.loads((settings.folder / "replay" / "replay.json").read_text())["steps"] == 80
    assert (settings.folder / "replay" / "maps.bin").stat().st_ino == replay
    with StoreReader(settings.folder / "experience.sqlite") as store:
        assert (store.counts().env_steps, store.counts().demo_episodes) == (80, 7)  # of 14 episodes and 2 steps


def test_the_figures_of_a_run_without_lerobot_are_complete() -> None:
    ours = dict.fromkeys(("save_s", "resume_s", "bytes", "store_s", "cold_resume_s", "cold_store_s"), 1.0)
    sizes = {"ours": 50, "small": 5, "lerobot": 1}
    found = figures(ours, ours, None, sizes)
    assert (found["save_s"], found["transitions"], found["lerobot_save_s"]) == (1.0, 50, None)
    peer = {"save_s": 3.0, "resume_s": 4.0, "bytes": 5.0}
    with_peer = figures(ours, ours, peer, sizes | {"lerobot": 500})
    assert with_peer.keys() == found.keys()
    assert (with_peer["lerobot_save_s"], with_peer["lerobot_save_s_per_1000"]) == (3.0, 6.0)


@needs_lerobot_rl
@pytest.mark.slow
def test_lerobot_writes_and_reads_every_transition(tmp_path: Path) -> None:
    from bench.lerobot_checkpoint import time_lerobot

    found = time_lerobot(RECORDING.steps, 24, tmp_path / "lerobot")
    assert found.keys() == {"save_s", "resume_s", "bytes"}
    assert min(found.values()) > 0
