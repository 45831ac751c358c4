"""A run of Nudge with so many transitions, to be saved and to be resumed: store, replay and learner as they are in one.

Steps of the simulated arm are recorded once and stored over and over; each is encoded once, and put into replay as
often. Only how they were encoded so fast differs from a run that really experienced them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import time
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

import numpy as np
import torch

from bench.recorded import Recording
from console.run_folder import STORE_FILE
from console.settings import Settings
from learner.checkpoint import save_checkpoint
from learner.checkpoint_folder import CHECKPOINTS, reserve_policy_versions
from learner.ingest import fit_on_demos
from learner.replay import EncodedStep, Replay
from learner.replay_layout import make_layout
from learner.sac import Sac
from learner.step_encoder import StepEncoder
from learner.store import ExperienceStore
from learner.trainer import REPLAY, Trainer
from learner.views import views_key
from nudge.v1 import learner_pb2 as pb
from policy.encoder import load_encoder
from policy.experience import Source, StepId
from policy.features import FeatureReduction, Featurizer
from policy.network import make_spec
from policy.snapshot import pack_snapshot
from policy.wire import pack_step, pack_step_id

GROUP = 64  # steps of one transaction
SAVES = 3
SESSION = "ab" * 16


def time_saving(settings: Settings, recording: Recording, transitions: int) -> dict[str, float]:
    """Make the run, and save it as the trainer does, each time with an interval's new steps in replay.

    Returns the median `save_s` [s] and `bytes` of one checkpoint. The run folder stays, for `time_resuming`.
    """
    chosen, folder = settings.learner, settings.folder
    folder.mkdir(parents=True)
    torch.set_num_threads(1)
    interval = min(round(chosen.trainer.checkpoint_every_updates / chosen.trainer.utd), transitions // (SAVES + 1))
    _fill_store(settings, recording, transitions)
    encoder = load_encoder(chosen.encoder)
    reduction = fit_on_demos(recording, encoder, settings.contract, chosen.features, settings.seed)
    featurizer = Featurizer(encoder, reduction, settings.contract)
    layout = make_layout(featurizer, chosen.features, settings.contract)
    key = views_key(featurizer, chosen.features, settings.contract, settings.seed)
    replay = Replay(folder / REPLAY, layout, key, chosen.trainer.replay_initial_slots)
    steps = _encoded_steps(settings, recording, featurizer)
    spec = make_spec(settings.contract, encoder, chosen.features.reduced_channels, chosen.network)
    sac, rng = Sac(spec, settings.contract, chosen.sac, settings.seed, torch.device("cpu")), np.random.default_rng(0)
    _add(replay, steps, transitions - SAVES * interval)
    for _ in range(2):  # so that the optimisers have their state
        sac.update(replay.sample(chosen.sac.batch_size, 0.5, chosen.sac.n_step, chosen.sac.discount, rng))
    replay.save()
    took_s, path = [], folder
    for number in range(SAVES):
        _add(replay, steps, interval)
        # As many as are owed, but for one interval each: what follows is not what a checkpoint depends on.
        sac.updates = round(transitions * chosen.trainer.utd) - (SAVES - number)
        start_s = time.perf_counter()
        path = _save(settings, sac, replay, reduction, rng)
        took_s.append(time.perf_counter() - start_s)
    size = sum(file.stat().st_size for file in path.iterdir())
    return {"save_s": float(np.median(took_s)), "bytes": float(size)}


def time_resuming(settings: Settings, *, cold: bool) -> dict[str, float]:
    """Start the learner's trainer on such a run until it can draw and act. Importing torch is not counted.

    cold: nothing of the run is in the page cache, as after a reboot; else what was written is, as after a kill
    Returns [s]: `resume_s`, from opening the store, with its check, over networks, optimisers and replay, which is
    compared with the store, to the published policy; and `store_s`, what opening the store took of it.
    """
    encoder = load_encoder(settings.learner.encoder)  # the first one imports `transformers`
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # and this one `torch._dynamo`
    if cold:
        _drop_page_cache(settings.folder)
    sink, start_s = _Sink(), time.perf_counter()
    with ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store:
        opened_s = time.perf_counter()
        trainer = Trainer(settings.learner, settings.contract, store, sink, encoder, settings.folder, settings.seed)
        trainer.run(sink.stop)
    return {"resume_s": sink.ready_s - start_s, "store_s": opened_s - start_s}


class _Sink:
    """The first snapshot comes when everything is ready, and ends the trainer."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.ready_s = math.nan

    def publish(self, snapshot: bytes) -> int:  # noqa: ARG002  # the trainer passes it
        """Note when the first one came."""
        self.ready_s = time.perf_counter()
        self.stop.set()
        return 1


def _fill_store(settings: Settings, recording: Recording, transitions: int) -> None:
    """So many steps, every other episode as if the policy had acted."""
    packed = {
        source: [pack_step(dataclasses.replace(step, source=source)) for step in recording.steps]
        for source in (Source.DEMO, Source.POLICY)
    }
    with ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store:
        steps = enumerate(islice(recording.endless(SESSION), transitions))
        while group := list(islice(steps, GROUP)):
            messages = []
            for index, step in group:
                message = pb.Step()
                message.CopyFrom(packed[_source(step.id)][index % len(recording.steps)])
                message.id.CopyFrom(pack_step_id(step.id))
                messages.append(message)
            store.append(messages)


def _source(step: StepId) -> Source:
    return Source.POLICY if step.episode % 2 else Source.DEMO


def _encoded_steps(settings: Settings, recording: Recording, featurizer: Featurizer) -> Iterator[EncodedStep]:
    """What the store holds, in its order, without end; each recorded step is encoded once."""
    encoder = StepEncoder(featurizer, settings.learner.features, settings.contract, settings.seed)
    encoded = [encoder.encode(cursor, step) for cursor, step in enumerate(recording.steps, start=1)]
    for cursor, step, images in zip(count(1), recording.endless(SESSION), cycle(encoded), strict=False):
        yield dataclasses.replace(images, cursor=cursor, id=step.id, source=_source(step.id))


def _add(replay: Replay, steps: Iterator[EncodedStep], number: int) -> None:
    for step in islice(steps, number):
        replay.add(step)


def _save(
    settings: Settings, sac: Sac, replay: Replay, reduction: FeatureReduction | None, rng: np.random.Generator
) -> Path:
    """What `learner.trainer.Trainer` does for a checkpoint."""
    root, trainer = settings.folder / CHECKPOINTS, settings.learner.trainer
    assert not sac.not_finite()
    replay.save()
    version = sac.updates // trainer.publish_every_updates
    reserve_policy_versions(root, version, trainer.publish_every_updates, trainer.checkpoint_every_updates)
    snapshot = pack_snapshot(sac.acting, reduction, sac.updates)
    return save_checkpoint(root, sac, reduction, version, rng, trainer.checkpoints_kept, snapshot)


def _drop_page_cache(folder: Path) -> None:
    """Let the next reads come from the disk, where the system can be asked to."""
    if hasattr(os, "posix_fadvise"):
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
