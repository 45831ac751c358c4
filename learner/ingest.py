"""From the store's steps to encoded ones: the trainer's second thread, so that encoding uses the idle core."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from learner.replay import EncodedObservation, EncodedStep
from policy.contract import Contract
from policy.encoder import Encoder
from policy.experience import Observation, Source, Step
from policy.features import FeatureReduction, Featurizer, crop_views, fit_reduction
from policy.preprocess import normalise
from policy.settings import FeatureSettings

POLL_S = 0.02  # wait between two looks into a store that has nothing new
PAGE = 32  # steps read at once to fit the reduction, and frames encoded at once
LIVE_PAGE = 8  # steps read at once while training, so that `env_steps` is never old
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
    """Reads and encodes whatever the store has beyond `cursor`, until `stop`. `run` is the body of a thread."""

    def __init__(self, store: StepSource, encoder: StepEncoder, cursor: int) -> None:
        self.encoded: queue.Queue[EncodedStep] = queue.Queue(QUEUE_STEPS)
        self.env_steps = store.counts().env_steps
        self._store = store
        self._encoder = encoder
        self._cursor = cursor

    def run(self, stop: threading.Event) -> None:
        """Encode until `stop`; an error ends the thread, and whoever waits for it gets the error."""
        while not stop.is_set():
            self.env_steps = self._store.counts().env_steps
            page = self._store.read_after(self._cursor, LIVE_PAGE)
            for cursor, step in page:
                self._put(self._encoder.encode(cursor, step), stop)
                self._cursor = cursor
                if stop.is_set():
                    return
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
    featurizer = Featurizer(encoder, None, contract)
    frames = np.stack(
        [featurizer.stack(o.frames) for o in _some_demo_observations(store, settings.fit_frames, seed)], 1
    )
    chunks = [featurizer.maps(frames[:, start : start + PAGE]) for start in range(0, frames.shape[1], PAGE)]
    return fit_reduction(torch.cat(chunks, dim=1), settings.reduced_channels, settings.whiten_softness)


def _some_demo_observations(store: StepSource, limit: int, seed: int) -> list[Observation]:
    """At most `limit` demo observations, each with the same chance (reservoir sampling, algorithm R)."""
    rng = np.random.default_rng([seed, limit])
    chosen: list[Observation] = []
    for seen, step in enumerate(step for step in _all_steps(store) if step.source is Source.DEMO):
        if len(chosen) < limit:
            chosen.append(step.observation)
        elif (place := int(rng.integers(seen + 1))) < limit:
            chosen[place] = step.observation
    return chosen


def _all_steps(store: StepSource) -> Iterator[Step]:
    cursor = 0
    while page := store.read_after(cursor, PAGE):
        for cursor, step in page:  # noqa: B007
            yield step
