"""From the store into replay: what is encoded, in which order, and that a run stopped anywhere ends the same."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from learner.checkpoint_folder import list_checkpoints
from learner.ingest import (
    NICER,
    POLL_S,
    QUEUE_STEPS,
    Ingest,
    _work_when_others_rest,
    encode_some_demos,
    fit_on_demos,
    fit_on_maps,
)
from learner.publisher import PolicyPublisher
from learner.replay import EncodedStep, LaterViews
from learner.settings import LearnerSettings
from learner.step_encoder import StepEncoder
from learner.trainer import Trainer
from policy.encoder import Encoder, ResNet10Shape, random_encoder
from policy.experience import Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.features import Featurizer
from policy.settings import FeatureSettings
from waiting import eventually

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=32)
TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 16))
FEATURES = FeatureSettings(views=2, reduced_channels=None)
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Counts:
    env_steps: int
    demo_episodes: int


class Recorded:
    """A store with some episodes, of which nothing more comes."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps

    def read_after(self, cursor: int, limit: int) -> list[tuple[int, Step]]:
        return [(cursor + i + 1, step) for i, step in enumerate(self.steps[cursor : cursor + limit])]

    def cursors_after(self, cursor: int, limit: int) -> list[int]:
        return [each for each, _ in self.read_after(cursor, limit)]

    def demo_cursors(self) -> list[int]:
        return [cursor for cursor, step in enumerate(self.steps, start=1) if step.source is Source.DEMO]

    def ids_up_to(self, cursor: int) -> tuple[list[str], NDArray[np.int64]]:
        return ["0" * 32], np.array(
            [(0, *step.id.order, step.terminated) for step in self.steps[:cursor]], np.int64
        ).reshape(-1, 4)

    def counts(self) -> Counts:
        return Counts(len(self.steps), sum(step.last and step.source is Source.DEMO for step in self.steps))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(0, TINY)


@pytest.fixture(scope="module")
def store() -> Recorded:
    rng = np.random.default_rng(0)
    sources = (Source.DEMO, Source.POLICY, Source.DEMO, Source.POLICY)
    return Recorded(
        [s for i, source in enumerate(sources) for s in fake_episode(CONTRACT, 5, rng, episode=i, source=source)]
    )


class TestStepEncoder:
    def test_a_step_always_gives_the_same_numbers_and_the_first_view_is_the_frame(
        self, encoder: Encoder, store: Recorded
    ) -> None:
        featurizer = Featurizer(encoder, None, CONTRACT)
        first, again = (StepEncoder(featurizer, FEATURES, CONTRACT, 3).encode(5, store.steps[4]) for _ in range(2))
        assert first.final is not None
        assert again.final is not None
        assert np.array_equal(first.observation.images, again.observation.images)
        assert np.array_equal(first.final.images, again.final.images)
        frame = store.steps[4].observation.frames["camera0"]
        expected = encoder.encode(frame[None])[0].half()
        torch.testing.assert_close(torch.from_numpy(first.observation.images[0, 0]), expected, rtol=2e-3, atol=1e-4)
        other = StepEncoder(featurizer, FEATURES, CONTRACT, 4).encode(5, store.steps[4])
        assert not np.array_equal(first.observation.images[:, 1], other.observation.images[:, 1])

    def test_first_and_later_views_are_those_that_it_gives_at_once_to_the_last_bit(
        self, encoder: Encoder, store: Recorded
    ) -> None:
        settings = FEATURES.model_copy(update={"views": 3})
        step_encoder, step = StepEncoder(Featurizer(encoder, None, CONTRACT), settings, CONTRACT, 3), store.steps[4]
        whole, first = step_encoder.encode(5, step), step_encoder.encode_first([(5, step)])[0]
        later = step_encoder.encode_later([(5, step)])[0]
        assert (later.cursor, later.id) == (5, step.id)
        assert whole.final is not None
        assert first.final is not None
        parts = zip((first.observation, first.final), later.images, (whole.observation, whole.final), strict=True)
        for one, others, both in parts:
            assert np.array_equal(np.concatenate([one.images, others], axis=1), both.images)

    def test_frames_for_fresh_crops_are_not_encoded(self, encoder: Encoder, store: Recorded) -> None:
        settings = FEATURES.model_copy(update={"augmentation": "on-the-fly"})
        step = StepEncoder(Featurizer(encoder, None, CONTRACT), settings, CONTRACT, 3).encode(5, store.steps[4])
        assert np.array_equal(step.observation.images[0], store.steps[4].observation.frames["camera0"])
        assert step.observation.images.dtype == np.uint8

    def test_the_reduction_is_fitted_on_demonstrations_alone(self, encoder: Encoder, store: Recorded) -> None:
        settings = FeatureSettings(reduced_channels=4)
        demos = Recorded([step for step in store.steps if step.source is Source.DEMO])
        first, second = (fit_on_demos(s, encoder, CONTRACT, settings, 0) for s in (store, demos))
        assert first is not None
        assert second is not None
        assert first.hash == second.hash
        assert fit_on_demos(store, encoder, CONTRACT, FEATURES, 0) is None

    def test_what_it_was_fitted_on_is_not_encoded_again(self, encoder: Encoder, store: Recorded) -> None:
        settings = FEATURES.model_copy(update={"reduced_channels": 4, "fit_frames": 6})
        known = encode_some_demos(store, encoder, CONTRACT, settings, 0)
        assert len(known) == 6
        featurizer = Featurizer(encoder, fit_on_maps(known, settings), CONTRACT)
        page = list(enumerate(store.steps, start=1))
        plain = StepEncoder(featurizer, settings, CONTRACT, 0).encode_first(page)
        spared = StepEncoder(featurizer, settings, CONTRACT, 0, known).encode_first(page)
        for one, other in zip(plain, spared, strict=True):
            both = [torch.from_numpy(each.observation.images) for each in (one, other)]
            torch.testing.assert_close(*both, rtol=2**-9, atol=2**-11)
        zeros = {cursor: torch.zeros_like(maps) for cursor, maps in known.items()}
        changed = StepEncoder(featurizer, settings, CONTRACT, 0, zeros).encode_first(page)
        different = [
            one.cursor
            for one, other in zip(spared, changed, strict=True)
            if not np.array_equal(one.observation.images, other.observation.images)
        ]
        assert different == sorted(known)


class TestIngest:
    def test_every_step_comes_once_in_order_and_it_waits_when_nobody_takes_them(self, encoder: Encoder) -> None:
        steps = fake_episode(CONTRACT, QUEUE_STEPS + 20, np.random.default_rng(0))
        small = [replace(step, observation=steps[0].observation) for step in steps]
        settings = FEATURES.model_copy(update={"augmentation": "on-the-fly"})
        step_encoder = StepEncoder(Featurizer(encoder, None, CONTRACT), settings, CONTRACT, 0)
        ingest, stop = Ingest(Recorded(small), step_encoder, cursor=3, views_cursor=3), threading.Event()
        thread = threading.Thread(target=ingest.run, args=(stop,))
        threads = torch.get_num_threads()
        thread.start()
        try:
            deadline = time.monotonic() + DEADLINE_S
            while not ingest.encoded.full():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            cursors = [ingest.encoded.get(timeout=DEADLINE_S).cursor for _ in range(QUEUE_STEPS + 17)]
            assert cursors == list(range(4, QUEUE_STEPS + 21))
        finally:
            stop.set()
            thread.join(DEADLINE_S)
        assert not thread.is_alive()
        assert ingest.encoded.empty()
        assert torch.get_num_threads() == threads  # the trainer's arithmetic is not its encoders'

    def test_further_views_follow_in_the_order_of_the_steps_once_no_step_waits(
        self, encoder: Encoder, store: Recorded
    ) -> None:
        step_encoder = StepEncoder(Featurizer(encoder, None, CONTRACT), FEATURES, CONTRACT, 0)
        growing = Recorded(store.steps[:16])
        ingest, stop = Ingest(growing, step_encoder, cursor=7, views_cursor=3), threading.Event()
        thread = threading.Thread(target=ingest.run, args=(stop,))
        thread.start()
        try:
            seen = [ingest.encoded.get(timeout=DEADLINE_S) for _ in range(9 + 13)]
            growing.steps = store.steps
            seen += [ingest.encoded.get(timeout=DEADLINE_S) for _ in range(2 * 4)]
        finally:
            stop.set()
            thread.join(DEADLINE_S)
        firsts = [each.cursor for each in seen if isinstance(each, EncodedStep)]
        later = [each for each in seen if isinstance(each, LaterViews)]
        assert firsts == list(range(8, 21))
        assert [each.cursor for each in later] == list(range(4, 21))
        assert all(isinstance(each, EncodedStep) for each in seen[:9])
        expected = step_encoder.encode_later(list(enumerate(store.steps, start=1))[3:11])[5]
        assert all(map(np.array_equal, later[5].images, expected.images))

    @pytest.mark.skipif(sys.platform != "linux", reason="threads of their own priority are Linux's")
    def test_who_encodes_further_views_takes_no_core_from_others(self) -> None:
        mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        with ThreadPoolExecutor(1, initializer=_work_when_others_rest) as pool:
            assert pool.submit(torch.get_num_threads).result() == 1
            found = pool.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result()
        assert found == min(mine + NICER, 19)
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine

    def test_where_one_view_is_all_nothing_follows(self, encoder: Encoder, store: Recorded) -> None:
        settings = FEATURES.model_copy(update={"views": 1})
        ingest = Ingest(store, StepEncoder(Featurizer(encoder, None, CONTRACT), settings, CONTRACT, 0), 18, 0)
        stop = threading.Event()
        thread = threading.Thread(target=ingest.run, args=(stop,))
        thread.start()
        try:
            assert [ingest.encoded.get(timeout=DEADLINE_S).cursor for _ in range(2)] == [19, 20]
            with pytest.raises(queue.Empty):
                ingest.encoded.get(timeout=5 * POLL_S)
        finally:
            stop.set()
            thread.join(DEADLINE_S)


def with_all_views(folder: Path, store: Recorded, encoder: Encoder, settings: LearnerSettings) -> None:
    """A run that has learned nothing yet, and of which all views are there: from here on no draw depends on timing."""
    waiting = settings.trainer.model_copy(update={"online_steps_before_training": 1_000})
    settings = settings.model_copy(update={"trainer": waiting})
    trainer, stop = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, folder, 0), threading.Event()
    thread = threading.Thread(target=trainer.run, args=(stop,))
    thread.start()
    eventually(lambda: trainer.status().phase == "training" and trainer.status().views_missing == 0)
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def train(
    folder: Path, store: Recorded, encoder: Encoder, settings: LearnerSettings, until: int
) -> dict[str, torch.Tensor]:
    """Train at least so far, stop, and read the last checkpoint."""
    trainer, stop = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, folder, 0), threading.Event()
    thread = threading.Thread(target=trainer.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + DEADLINE_S
    while trainer.status().updates < until and thread.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    return load_file(list_checkpoints(folder / "checkpoints")[-1] / "state.safetensors")


@pytest.mark.parametrize("augmentation", ["cached", "on-the-fly"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    tmp_path: Path, encoder: Encoder, store: Recorded, augmentation: str
) -> None:
    settings = LearnerSettings.model_validate(
        {
            "features": {"augmentation": augmentation, "views": 2, "reduced_channels": 8},
            "network": {"head_width": 8, "hidden": (16,)},
            "sac": {"batch_size": 8, "n_step": 2},
            "trainer": {"demo_episodes": 2, "utd": 2.0, "threads": 1},
        }
    )
    with_all_views(tmp_path / "whole", store, encoder, settings)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    whole = train(tmp_path / "whole", store, encoder, settings, 40)
    train(tmp_path / "parts", store, encoder, settings, 7)
    parts = train(tmp_path / "parts", store, encoder, settings, 40)
    assert list_checkpoints(tmp_path / "whole" / "checkpoints")[-1].name == "update-000000040"
    assert whole.keys() == parts.keys()
    different = [name for name, tensor in whole.items() if not torch.equal(tensor, parts[name])]
    assert different == []
