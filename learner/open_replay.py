"""The replay of a run: opened where it was left, or made afresh when it does not fit the run or its store."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from learner.device_rows import DeviceMemory
from learner.replay import Replay, delete_replay
from learner.replay_layout import make_layout
from learner.settings import LearnerSettings
from learner.views import views_key
from policy.contract import Contract
from policy.features import Featurizer

log = logging.getLogger(__name__)


class KnownSteps(Protocol):
    """What replay is compared with, of `learner.store.ExperienceStore`."""

    def ids_up_to(self, cursor: int) -> tuple[Sequence[str], NDArray[np.int64]]:
        """The sessions, and of every step up to `cursor`: int64 (N, 4).

        Its columns: the session's place among them, episode, step, and whether it is `terminated`, which no change of
        an episode's end leaves as it was.
        """
        ...


def open_replay(
    folder: Path, featurizer: Featurizer, settings: LearnerSettings, contract: Contract, store: KnownSteps, seed: int
) -> Replay:
    """Open or make it; its maps lie in the memory of the device that learns, if that is not the CPU."""
    trainer, device = settings.trainer, torch.device(settings.trainer.device)
    on_host = device.type == "cpu" or trainer.replay_device_gb == 0
    make = functools.partial(
        Replay,
        folder,
        make_layout(featurizer, settings.features, contract),
        views_key(featurizer, settings.features, contract, seed),
        trainer.replay_initial_slots,
        None if on_host else DeviceMemory(device, trainer.replay_device_gb),
    )
    replay = make()
    if replay.cursor and not replay.holds_exactly(*store.ids_up_to(replay.cursor)):
        log.warning(
            "%s: its steps are not those of the store, which was pruned, replaced or judged anew; made again", folder
        )
        del replay  # with what it holds of the device's memory
        delete_replay(folder)
        replay = make()
    return replay
