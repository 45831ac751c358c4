"""From the store into replay: what is encoded, in which order, and that a run stopped anywhere ends the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from learner.checkpoint_folder import list_checkpoints
from learner.ingest import QUEUE_STEPS, Ingest, StepEncoder, fit_on_demos
from learner.publisher import PolicyPublisher
from learner.settings import LearnerSettings
from learner.trainer import Trainer
from policy.encoder import Encoder, ResNet10Shape, random_encoder
from policy.experience import Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.features import Featurizer
from policy.settings import FeatureSettings

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


class TestIngest:
    def test_every_step_comes_once_in_order_and_it_waits_when_nobody_takes_them(self, encoder: Encoder) -> None:
        steps = fake_episode(CONTRACT, QUEUE_STEPS + 20, np.random.default_rng(0))
        small = [replace(step, observation=steps[0].observation) for step in steps]
        settings = FEATURES.model_copy(update={"augmentation": "on-the-fly"})
        step_encoder = StepEncoder(Featurizer(encoder, None, CONTRACT), settings, CONTRACT, 0)
        ingest, stop = Ingest(Recorded(small), step_encoder, cursor=3), threading.Event()
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
    whole = train(tmp_path / "whole", store, encoder, settings, 40)
    train(tmp_path / "parts", store, encoder, settings, 7)
    parts = train(tmp_path / "parts", store, encoder, settings, 40)
    assert list_checkpoints(tmp_path / "whole" / "checkpoints")[-1].name == "update-000000040"
    assert whole.keys() == parts.keys()
    different = [name for name, tensor in whole.items() if not torch.equal(tensor, parts[name])]
    assert different == []
