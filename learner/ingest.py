"""From the store's steps to encoded ones, beside the trainer's thread: on all cores while many steps wait.

A step that comes is encoded with the first view of its frames, the unshifted one. The other views follow, oldest step
first, while no step waits, in threads to which the system gives what others leave of the processor.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from learner.replay import EncodedStep, LaterViews
from learner.step_encoder import StepEncoder
from policy.contract import Contract
from policy.encoder import Encoder
from policy.experience import Observation, Step
from policy.features import FeatureReduction, Featurizer, fit_reduction
from policy.settings import FeatureSettings

POLL_S = 0.02  # wait between two looks into a store that has nothing new
PAGE = 32  # frames encoded at once to fit the reduction
LIVE_PAGE = 16  # steps that are read and encoded at once; few, so that `env_steps` is never old
MOST_WORKERS = 8  # threads that encode
QUEUE_STEPS = 256  # encoded steps that may wait for the trainer; at most 16 KB each with the fast preset
NICER = 10  # of the threads that encode later views: about a tenth of a core that somebody else wants as well


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


class GrowingSteps(StepSource, Protocol):
    """A source to which steps come while it is read."""

    def cursors_after(self, cursor: int, limit: int) -> Sequence[int]:
        """The cursors alone of what `read_after` would give."""
        ...


class Ingest:
    """Reads and encodes whatever the store has beyond `cursor`, until `stop`. `run` is the body of a thread.

    On a processor each of several threads encodes a step with one core: threads of one operation wait for each other,
    ten times as long where an actor has one of the cores.
    cursor, views_cursor: the last step that replay has, and the last one that has all views there
    encoded: what the store has, in its order; the later views of a step some time after the step
    """

    def __init__(self, store: GrowingSteps, encoder: StepEncoder, cursor: int, views_cursor: int) -> None:
        self.encoded: queue.Queue[EncodedStep | LaterViews] = queue.Queue(QUEUE_STEPS)
        self.env_steps = store.counts().env_steps
        self._store = store
        self._encoder = encoder
        self._cursor = cursor
        self._views_cursor = views_cursor

    def run(self, stop: threading.Event) -> None:
        """Encode until `stop`; an error ends the thread, and whoever waits for it gets the error."""
        ahead: deque[Future[list[EncodedStep]]] = deque()
        later: deque[Future[list[LaterViews]]] = deque()
        workers = _workers(self._encoder.featurizer.encoder)
        with (
            ThreadPoolExecutor(workers, "encode", torch.set_num_threads, (1,)) as pool,
            ThreadPoolExecutor(workers, "views", _work_when_others_rest) as spare,
        ):
            while not stop.is_set():
                self.env_steps = self._store.counts().env_steps
                page = self._store.cursors_after(self._cursor, LIVE_PAGE)
                if page:
                    ahead.append(pool.submit(self._first, self._cursor, len(page)))
                    self._cursor = page[-1]
                while len(ahead) > (workers if page else 0) and not stop.is_set():
                    self._put(ahead.popleft().result(), stop)
                if not page:
                    self._go_on_with_views(later, 2 * workers, spare)
                    while later and later[0].done() and not stop.is_set():
                        self._put(later.popleft().result(), stop)
                    stop.wait(POLL_S)
            spare.shutdown(cancel_futures=True)

    def _go_on_with_views(self, later: deque[Future[list[LaterViews]]], enough: int, spare: ThreadPoolExecutor) -> None:
        """Have the views of the next steps encoded, unless enough wait for that."""
        while self._encoder.views_later and len(later) < enough and self._views_cursor < self._cursor:
            page = self._store.cursors_after(self._views_cursor, LIVE_PAGE)
            page = [cursor for cursor in page if cursor <= self._cursor]  # no step that came just now
            later.append(spare.submit(self._later, self._views_cursor, len(page)))
            self._views_cursor = page[-1]

    def _first(self, after: int, count: int) -> list[EncodedStep]:
        """In a worker, which decodes the pictures, too."""
        return self._encoder.encode_first(self._store.read_after(after, count))

    def _later(self, after: int, count: int) -> list[LaterViews]:
        return self._encoder.encode_later(self._store.read_after(after, count))

    def _put(self, encoded: Sequence[EncodedStep | LaterViews], stop: threading.Event) -> None:
        for each in encoded:
            while not stop.is_set():
                try:
                    self.encoded.put(each, timeout=0.1)
                except queue.Full:
                    continue
                break


def fit_on_demos(
    store: StepSource, encoder: Encoder, contract: Contract, settings: FeatureSettings, seed: int
) -> FeatureReduction | None:
    """The reduction that `settings` ask for, fitted on at most `fit_frames` demo observations; None for none."""
    return fit_on_maps(encode_some_demos(store, encoder, contract, settings, seed), settings)


def encode_some_demos(
    store: StepSource, encoder: Encoder, contract: Contract, settings: FeatureSettings, seed: int
) -> dict[int, Tensor]:
    """What the reduction is fitted on: maps of at most `fit_frames` demo observations, by cursor; {} if there is none.

    Each float32 (cameras, channels, h, w), as it comes from the encoder.
    """
    if settings.reduced_channels is None:
        return {}
    featurizer = Featurizer(encoder, None, contract)
    cursors = _some_demo_cursors(store, settings.fit_frames, seed)

    def encode(some: Sequence[int]) -> Tensor:
        observations = [store.read_after(cursor - 1, 1)[0][1].observation for cursor in some]
        return featurizer.maps(np.stack([featurizer.stack(each.frames) for each in observations], axis=1))

    pages = [cursors[start : start + LIVE_PAGE] for start in range(0, len(cursors), LIVE_PAGE)]
    with ThreadPoolExecutor(_workers(encoder), "fit", torch.set_num_threads, (1,)) as pool:
        maps = [each for page in pool.map(encode, pages) for each in page.unbind(1)]
    return dict(zip(cursors, maps, strict=True))


def fit_on_maps(maps: Mapping[int, Tensor], settings: FeatureSettings) -> FeatureReduction | None:
    """The reduction that `settings` ask for, fitted on what `encode_some_demos` gave."""
    if settings.reduced_channels is None:
        return None
    return fit_reduction(torch.stack(list(maps.values()), dim=1), settings.reduced_channels, settings.whiten_softness)


def fit_on_observations(
    observations: Sequence[Observation], featurizer: Featurizer, reduced_channels: int, whiten_softness: float
) -> FeatureReduction:
    """The reduction to so many channels, fitted on all of them. featurizer: one that does not reduce"""
    frames = np.stack([featurizer.stack(each.frames) for each in observations], axis=1)  # (cameras, N, H, W, 3)
    chunks = [featurizer.maps(frames[:, start : start + PAGE]) for start in range(0, frames.shape[1], PAGE)]
    return fit_reduction(torch.cat(chunks, dim=1), reduced_channels, whiten_softness)


def _some_demo_cursors(store: StepSource, limit: int, seed: int) -> list[int]:
    """At most `limit` demonstrated steps, each with the same chance (reservoir sampling, algorithm R)."""
    rng = np.random.default_rng([seed, limit])
    chosen: list[int] = []
    for seen, cursor in enumerate(store.demo_cursors()):
        if len(chosen) < limit:
            chosen.append(cursor)
        elif (place := int(rng.integers(seen + 1))) < limit:
            chosen[place] = cursor
    return chosen


def _workers(encoder: Encoder) -> int:
    """Threads that encode: one for each core that this process may use, or one that feeds another device."""
    if encoder.device.type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def _work_when_others_rest() -> None:
    """For a thread that must take no core from an update, an actor or a step that came."""
    torch.set_num_threads(1)
    if sys.platform == "linux":  # elsewhere a thread has no such number of its own
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + NICER, 19))
