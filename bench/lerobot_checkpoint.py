"""LeRobot's own way to save and to resume, unmodified: what `lerobot.rl.learner` does with the two replay buffers.

A checkpoint deletes both data sets and writes all transitions anew (`ReplayBuffer.to_lerobot_dataset`); resuming reads
them back one by one (`ReplayBuffer.from_lerobot_dataset`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

# Before LeRobot is imported: nothing is looked for on the hub, and no bar for each buffer.
os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}

import torch
from lerobot.configs.default import DatasetConfig
from lerobot.policies.factory import make_pre_post_processors
from lerobot.rl.buffer import ReplayBuffer
from lerobot.rl.learner import (
    initialize_offline_replay_buffer,
    initialize_replay_buffer,
    load_training_state,
    save_training_checkpoint,
)
from lerobot.rl.train_rl import TrainRLServerPipelineConfig
from torch import Tensor

from bench.lerobot_learner import build_algorithm
from policy.experience import Observation, Step

FPS = 10
UPDATES = 1000  # only the name of the checkpoint


def time_lerobot(recorded: Sequence[Step], transitions: int, folder: Path) -> dict[str, float]:
    """Save and resume LeRobot's learner with so many recorded transitions, half of them in its offline buffer.

    Returns `save_s` and `resume_s` [s], the latter without building the networks, and `bytes` on the disk.
    """
    logging.disable(logging.WARNING)  # it tells on pages which decoders of videos are not there; images it reads
    algorithm = build_algorithm(len(recorded[0].observation.frames), seed=0)
    config = algorithm.policy.config
    config.push_to_hub = False
    config.online_buffer_capacity = config.offline_buffer_capacity = transitions // 2
    run = TrainRLServerPipelineConfig(
        policy=config, dataset=DatasetConfig(repo_id="bench/demonstrations"), output_dir=folder
    )
    preprocessor, postprocessor = make_pre_post_processors(policy_cfg=config, dataset_stats=config.dataset_stats)
    online, demos = (_filled_buffer(recorded, transitions // 2) for _ in range(2))
    optimizers = algorithm.make_optimizers_and_scheduler()
    start_s = time.perf_counter()
    save_training_checkpoint(
        cfg=run,
        optimization_step=UPDATES,
        online_steps=10 * UPDATES,
        interaction_message=None,
        policy=algorithm.policy,
        optimizers=optimizers,
        replay_buffer=online,
        algorithm=algorithm,
        offline_replay_buffer=demos,
        dataset_repo_id=run.dataset.repo_id,
        fps=FPS,
        preprocessor=preprocessor,
        postprocessor=postprocessor,
    )
    save_s = time.perf_counter() - start_s
    del online, demos
    run.resume = True
    start_s = time.perf_counter()
    buffers = [initialize_replay_buffer(run, "cpu", "cpu"), initialize_offline_replay_buffer(run, "cpu", "cpu")]
    step, _ = load_training_state(run, optimizers, algorithm)
    resume_s = time.perf_counter() - start_s
    _require_whole(buffers, transitions, step)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {"save_s": save_s, "resume_s": resume_s, "bytes": float(size)}


def _filled_buffer(recorded: Sequence[Step], transitions: int) -> ReplayBuffer:
    """A buffer as LeRobot's learner makes it, filled through `add` with the recording, over and over."""
    keys = list(_state(recorded[0].observation))
    buffer = ReplayBuffer(capacity=transitions, device="cpu", state_keys=keys, optimize_memory=True)
    for step, following in islice(zip(cycle(recorded), cycle([*recorded[1:], recorded[0]]), strict=False), transitions):
        after = following.observation if step.final is None else step.final
        action = torch.from_numpy(step.action)[None]
        done = step.final is not None
        buffer.add(_state(step.observation), action, step.reward, _state(after), done=done, truncated=False)
    return buffer


def _state(observation: Observation) -> dict[str, Tensor]:
    """Frames as LeRobot holds them: float32 of 0..1, (1, 3, H, W)."""
    images = {
        f"observation.images.camera{index}": torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
        for index, frame in enumerate(observation.frames.values())
    }
    return {**images, "observation.state": torch.from_numpy(observation.proprioception)[None]}


def _require_whole(buffers: list[Any], transitions: int, step: int | None) -> None:
    """What was timed must have worked: LeRobot goes on with what it has when its state cannot be read."""
    found = sum(len(buffer) for buffer in buffers)
    if found != transitions or step != UPDATES:
        raise RuntimeError(
            f"LeRobot resumed {found} of {transitions} transitions at update {step}, expected {UPDATES}; its figures "
            f"would mean nothing"
        )
