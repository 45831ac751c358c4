"""From the store's steps to encoded ones, beside the trainer's thread: on all cores while many steps wait."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch

from learner.replay import EncodedObservation, EncodedStep
from policy.contract import Contract
from policy.encoder import Encoder
from policy.experience import Observation, Step
from policy.features import FeatureReduction, Featurizer, crop_views, fit_reduction
from policy.preprocess import normalise
from policy.settings import FeatureSettings

POLL_S = 0.02  # wait between two looks into a store that has nothing new
PAGE = 32  # frames encoded at once to fit the reduction
LIVE_PAGE = 8  # steps read at once while training, so that `env_steps` is never old
MOST_WORKERS = 8  # threads that encode
QUEUE_STEPS = 256  # encoded steps that may wait for the trainer; 16 KB each with the fast preset


class StepCounts(Protocol):
    """What encoding and the trainer ask of `learner.store.StoreCounts`."""

    @property
    def env_steps(self) -> int:
        """Steps in the store, demonstrations included."""
        ...

    @property
    def demo_episodes(self) -> int:
        """Complete demonstrations."""
        ...


class StepSource(Protocol):
    """What encoding asks of `learner.store.ExperienceStore`, from any thread."""

    def read_after(self, cursor: int, limit: int) -> Sequence[tuple[int, Step]]:
        """Up to `limit` steps that arrived after `cursor`, oldest first, each with its cursor."""
        ...

    def demo_cursors(self) -> Sequence[int]:
        """The cursors of all demonstrated steps, oldest first."""
        ...

    def counts(self) -> StepCounts:
        """How much is there."""
        ...


class StepEncoder:
    """Steps as replay keeps them. The same step always gives the same numbers."""

    def __init__(self, featurizer: Featurizer, settings: FeatureSettings, contract: Contract, seed: int) -> None:
        self.featurizer = featurizer
        self._settings = settings
        self._contract = contract
        self._seed = seed

    def encode(self, cursor: int, step: Step) -> EncodedStep:
        """Encode one step of the store."""
        return EncodedStep(
            cursor=cursor,
            id=step.id,
            observation=self._observation(step.observation, cursor, 0),
            action=step.action,
            source=step.source,
            reward=step.reward,
            terminated=step.terminated,
            final=None if step.final is None else self._observation(step.final, cursor, 1),
            rejected=step.rejected,
            after_end=step.after_end,
        )

    def _observation(self, observation: Observation, cursor: int, final: int) -> EncodedObservation:
        body = normalise(observation.proprioception, self._contract.proprioception)
        frames = self.featurizer.stack(observation.frames)  # (cameras, H, W, 3)
        if self._settings.augmentation == "on-the-fly":
            return EncodedObservation(frames, body)
        rng = np.random.default_rng([self._seed, cursor, final])
        views = crop_views(frames, self._settings.views, self._settings.pad_px, rng)  # (cameras, views, H, W, 3)
        return EncodedObservation(self.featurizer.maps(views).to(device="cpu", dtype=torch.float16).numpy(), body)


class Ingest:
    """Reads and encodes whatever the store has beyond `cursor`, until `stop`. `run` is the body of a thread.

    On a processor each of several threads encodes a step with one core: threads of one operation wait for each other,
    ten times as long where an actor has one of the cores.
    """

    def __init__(self, store: StepSource, encoder: StepEncoder, cursor: int) -> None:
        self.encoded: queue.Queue[EncodedStep] = queue.Queue(QUEUE_STEPS)
        self.env_steps = store.counts().env_steps
        self._store = store
        self._encoder = encoder
        self._cursor = cursor

    def run(self, stop: threading.Event) -> None:
        """Encode until `stop`; an error ends the thread, and whoever waits for it gets the error."""
        ahead: deque[Future[EncodedStep]] = deque()
        workers = _workers(self._encoder.featurizer.encoder)
        with ThreadPoolExecutor(workers, "encode", torch.set_num_threads, (1,)) as pool:
            while not stop.is_set():
                self.env_steps = self._store.counts().env_steps
                page = self._store.read_after(self._cursor, LIVE_PAGE)
                for self._cursor, step in page:
                    ahead.append(pool.submit(self._encoder.encode, self._cursor, step))
                while len(ahead) > (workers if page else 0) and not stop.is_set():
                    self._put(ahead.popleft().result(), stop)
                if not page:
                    stop.wait(POLL_S)

    def _put(self, step: EncodedStep, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.encoded.put(step, timeout=0.1)
            except queue.Full:
                continue
            return


def fit_on_demos(
    store: StepSource, encoder: Encoder, contract: Contract, settings: FeatureSettings, seed: int
) -> FeatureReduction | None:
    """The reduction that `settings` ask for, fitted on at most `fit_frames` demo observations; None for none."""
    if settings.reduced_channels is None:
        return None
    chosen = _some_demo_observations(store, settings.fit_frames, seed)
    return fit_on_observations(
        chosen, Featurizer(encoder, None, contract), settings.reduced_channels, settings.whiten_softness
    )


def fit_on_observations(
    observations: Sequence[Observation], featurizer: Featurizer, reduced_channels: int, whiten_softness: float
) -> FeatureReduction:
    """The reduction to so many channels, fitted on all of them. featurizer: one that does not reduce"""
    frames = np.stack([featurizer.stack(each.frames) for each in observations], axis=1)  # (cameras, N, H, W, 3)
    chunks = [featurizer.maps(frames[:, start : start + PAGE]) for start in range(0, frames.shape[1], PAGE)]
    return fit_reduction(torch.cat(chunks, dim=1), reduced_channels, whiten_softness)


def _some_demo_observations(store: StepSource, limit: int, seed: int) -> list[Observation]:
    """At most `limit` demo observations, each with the same chance (reservoir sampling, algorithm R)."""
    rng = np.random.default_rng([seed, limit])
    chosen: list[int] = []
    for seen, cursor in enumerate(store.demo_cursors()):
        if len(chosen) < limit:
            chosen.append(cursor)
        elif (place := int(rng.integers(seen + 1))) < limit:
            chosen[place] = cursor
    return [store.read_after(cursor - 1, 1)[0][1].observation for cursor in chosen]


def _workers(encoder: Encoder) -> int:
    """Threads that encode: one for each core that this process may use, or one that feeds another device."""
    if encoder.device.type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)
