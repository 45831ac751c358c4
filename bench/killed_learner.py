"""A learner in a process of its own that can be killed at any operation on its checkpoints, and how it is started.

The real trainer over a real store, with encoder and networks so small that a checkpoint comes every few milliseconds.
All steps are there beforehand, and all updates are owed. Of each frame there is one view, and no reduction for which
some frames would be encoded apart from the others. So what is learned does not depend on timing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learner.checkpoint_folder import CHECKPOINTS, last_policy_version
from learner.publisher import PolicyPublisher
from learner.settings import LearnerSettings
from learner.store import ExperienceStore
from learner.trainer import Trainer
from policy.encoder import ResNet10Shape, random_encoder
from policy.experience import Source
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

STORE = "experience.sqlite"
CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=32)
TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 16))
EVERY = 5  # updates between two checkpoints, and between two snapshots
UNFINISHED = (".tmp", ".partial", ".replaced", ".removed")
_OPERATIONS = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove")


def fill_store(folder: Path, episodes: int = 6, steps: int = 6) -> None:
    """Episodes of noise, half of them demonstrations."""
    with ExperienceStore(folder / STORE, CONTRACT) as store:
        for index in range(episodes):
            source = Source.POLICY if index % 2 else Source.DEMO
            episode = fake_episode(CONTRACT, steps, np.random.default_rng(index), episode=index, source=source)
            store.append([pack_step(step) for step in episode])


def settings(utd: float) -> LearnerSettings:
    """Small in everything."""
    return LearnerSettings.model_validate(
        {
            "features": {"views": 1, "reduced_channels": None},
            "network": {"head_width": 8, "hidden": (16,)},
            "sac": {"batch_size": 16},
            "trainer": {
                "demo_episodes": 2,
                "utd": utd,
                "publish_every_updates": EVERY,
                "log_every_updates": 4 * EVERY,
                "checkpoint_every_updates": EVERY,
                "checkpoints_kept": 2,
                "threads": 1,
                "replay_initial_slots": 64,
            },
        }
    )


def learn(folder: Path, utd: float, until: int, told: Connection, die_at: int | None = None) -> None:
    """Resume the run and train until so many updates, telling (version, updates, unfinished files) of each snapshot.

    die_at: the operation on checkpoints, counted from 1, in which the process kills itself; None lives
    """
    if die_at is not None:
        sys.addaudithook(_killing_at(die_at, str(folder / CHECKPOINTS)))
    torch.set_num_threads(1)
    stop = threading.Event()
    with ExperienceStore(folder / STORE, CONTRACT) as store:
        sink = _Telling(PolicyPublisher(last_policy_version(folder / CHECKPOINTS, EVERY, EVERY)))
        trainer = Trainer(settings(utd), CONTRACT, store, sink, random_encoder(0, TINY), folder, 0)

        def tell(version: int) -> None:
            updates = trainer.status().updates
            told.send((version, updates, [path.name for path in folder.rglob("*") if path.name.endswith(UNFINISHED)]))
            if updates >= until:
                stop.set()

        sink.tell = tell
        trainer.run(stop)


class _Telling:
    """A publisher that tells of each snapshot after it."""

    def __init__(self, publisher: PolicyPublisher) -> None:
        self._publisher = publisher
        self.tell: Callable[[int], None] = lambda _version: None

    def publish(self, snapshot: bytes) -> int:
        version = self._publisher.publish(snapshot)
        self.tell(version)
        return version


def _killing_at(die_at: int, below: str) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook: Python calls it before each operation on a file."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in _OPERATIONS and any(str(each).startswith(below) for each in arguments[:2]):
            seen += 1
            if seen >= die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook
