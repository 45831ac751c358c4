"""Stored and fresh views: the same crops, the same transitions, the same batches where nothing is cropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.batch import Batch
from learner.replay import EncodedObservation, Replay
from learner.replay_layout import EncodedStep, make_layout
from learner.step_encoder import StepEncoder
from learner.views import views_key
from policy.contract import Contract
from policy.encoder import Encoder, ResNet10Shape, random_encoder
from policy.experience import Observation, Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.features import Featurizer
from policy.settings import FeatureSettings

TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 16))
SIZE_PX = 32
CONTRACT = fake_contract(cameras=2, proprioception=3, size_px=SIZE_PX)
PAD_PX = 2
STORED = FeatureSettings(views=4, pad_px=PAD_PX, reduced_channels=None)
FRESH = FeatureSettings(augmentation="on-the-fly", pad_px=PAD_PX, reduced_channels=None)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(0, TINY)


class TellsOffsets(Featurizer):
    """In the place of maps: from where in the frame the middle of each view comes, minus the middle."""

    def __init__(self, encoder: Encoder, contract: Contract) -> None:
        super().__init__(encoder, None, contract)
        self.shape = len(contract.cameras), 2, 1, 1

    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        middle = torch.from_numpy(frames[:, :, SIZE_PX // 2, SIZE_PX // 2, :2].astype(np.float32))
        return (middle - SIZE_PX // 2)[..., None, None]  # (cameras, N, 2, 1, 1)


def ramp(_: Observation) -> Observation:
    """Each pixel tells its row and column."""
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    frame = np.stack([rows, columns, rows], axis=-1).astype(np.uint8)
    return Observation({c.name: frame for c in CONTRACT.cameras}, np.zeros(3, np.float32), np.zeros(0, np.float32))


def demo_and_online(steps: int = 6) -> list[Step]:
    rng = np.random.default_rng(0)
    return [
        *fake_episode(CONTRACT, steps, rng, episode=0),
        *fake_episode(CONTRACT, steps, rng, episode=1, source=Source.POLICY, terminated=False),
    ]


def encoded(steps: list[Step], featurizer: Featurizer, settings: FeatureSettings) -> list[EncodedStep]:
    encoder = StepEncoder(featurizer, settings, CONTRACT, seed=0)
    return [encoder.encode(cursor + 1, step) for cursor, step in enumerate(steps)]


def fill(folder: Path, steps: list[EncodedStep], featurizer: Featurizer, settings: FeatureSettings) -> Replay:
    key = views_key(featurizer, settings, CONTRACT, 0)
    replay = Replay(folder, make_layout(featurizer, settings, CONTRACT), key, 4)
    for step in steps[replay.steps :]:
        replay.add(step)
    return replay


def draw(replay: Replay, size: int = 32, seed: int = 0) -> Batch:
    return replay.sample(size, 0.5, 3, 0.97, np.random.default_rng(seed))


def numbers(batch: Batch) -> list[Tensor]:
    return [batch.proprioception, batch.next_proprioception, batch.action, batch.reward, batch.discount]


def require_uniform(offsets: Tensor) -> None:
    """offsets: (N, 2), each of the (2 pad + 1)^2 equally likely; six standard deviations are allowed."""
    sides = 2 * PAD_PX + 1
    cell = ((offsets[:, 0] + PAD_PX) * sides + offsets[:, 1] + PAD_PX).long()
    counts = torch.bincount(cell, minlength=sides**2)
    assert len(counts) == sides**2
    expected = len(offsets) / sides**2
    assert (counts - expected).abs().max() < 6 * expected**0.5


class TestBatches:
    def test_without_padding_one_stored_view_and_fresh_ones_are_the_same(
        self, tmp_path: Path, encoder: Encoder
    ) -> None:
        # Equal but for the last bit of a float16: products of other sizes may be summed in another order.
        featurizer, steps = Featurizer(encoder, None, CONTRACT), demo_and_online()
        batches = []
        for settings in (STORED, FRESH):
            plain = settings.model_copy(update={"views": 1, "pad_px": 0})
            replay = fill(tmp_path / plain.augmentation, encoded(steps, featurizer, plain), featurizer, plain)
            batches.append(draw(replay))
        stored, fresh = batches
        assert all(map(torch.equal, numbers(stored), numbers(fresh)))
        assert stored.maps.abs().max() > 0.1
        torch.testing.assert_close(stored.maps, fresh.maps, rtol=2**-10, atol=2**-14)
        torch.testing.assert_close(stored.next_maps, fresh.next_maps, rtol=2**-10, atol=2**-14)

    def test_a_seed_draws_the_same_transitions_whatever_the_views(self, tmp_path: Path, encoder: Encoder) -> None:
        featurizer, steps = Featurizer(encoder, None, CONTRACT), demo_and_online()
        drawn = []
        for index, settings in enumerate((STORED, STORED.model_copy(update={"views": 1}), FRESH)):
            replay = fill(tmp_path / str(index), encoded(steps, featurizer, settings), featurizer, settings)
            rng = np.random.default_rng(3)
            drawn.append([[n.clone() for n in numbers(replay.sample(8, 0.5, 3, 0.97, rng))] for _ in range(3)])
        for first, *others in zip(*drawn, strict=True):
            assert all(all(map(torch.equal, first, other)) for other in others)

    def test_a_batch_larger_than_is_encoded_at_once(self, tmp_path: Path, encoder: Encoder) -> None:
        featurizer = Featurizer(encoder, None, CONTRACT)
        plain = FRESH.model_copy(update={"pad_px": 0})
        replay = fill(tmp_path, encoded(demo_and_online(2), featurizer, plain), featurizer, plain)
        batch = draw(replay, 150)
        seen = {tuple(body.tolist()): maps for body, maps in zip(batch.proprioception, batch.maps[1], strict=True)}
        assert len(seen) == 4
        for body, maps in zip(batch.proprioception, batch.maps[1], strict=True):
            torch.testing.assert_close(maps, seen[tuple(body.tolist())], rtol=2**-9, atol=2**-13)


class TestCrops:
    def test_fresh_views_have_every_offset_and_are_drawn_apart(self, tmp_path: Path, encoder: Encoder) -> None:
        featurizer = TellsOffsets(encoder, CONTRACT)
        batch = draw(fill(tmp_path, self.ramps(3, featurizer, FRESH), featurizer, FRESH), 4096)
        maps, next_maps = batch.maps[..., 0, 0].float(), batch.next_maps[..., 0, 0].float()  # (cameras, B, 2)
        for offsets in (*maps, *next_maps):
            require_uniform(offsets)
        # Top and left of two cameras, now and next: eight rows of 4096, a correlation of 0.1 is 6 standard deviations.
        rows = torch.cat([maps, next_maps]).transpose(1, 2).reshape(8, -1)
        assert (torch.corrcoef(rows) - torch.eye(8)).abs().max() < 0.1

    def test_stored_views_are_the_frame_itself_and_draws_from_the_same_crops(self, encoder: Encoder) -> None:
        featurizer = TellsOffsets(encoder, CONTRACT)
        steps = self.ramps(400, featurizer, STORED)
        images = np.stack([step.observation.images[..., 0, 0] for step in steps])  # (N, cameras, views, 2)
        assert (images[:, :, 0] == 0).all()
        offsets = torch.from_numpy(images[:, :, 1:].astype(np.float32)).transpose(0, 1)  # (cameras, N, views - 1, 2)
        for camera in offsets:
            require_uniform(camera.reshape(-1, 2))
        assert (torch.corrcoef(offsets.flatten(2).transpose(1, 2).reshape(12, -1)) - torch.eye(12)).abs().max() < 0.35

    def test_each_stored_view_is_drawn_as_often(self, tmp_path: Path, encoder: Encoder) -> None:
        featurizer = Featurizer(encoder, None, CONTRACT)
        (step,) = encoded(fake_episode(CONTRACT, 1, np.random.default_rng(0)), featurizer, STORED)
        batch = draw(fill(tmp_path, [step], featurizer, STORED), 2048)
        for camera, maps in enumerate(batch.maps):
            views = torch.from_numpy(step.observation.images[camera])
            counts = [int((maps == view).flatten(1).all(1).sum()) for view in views]
            assert sum(counts) == 2048
            assert max(abs(count - 512) for count in counts) < 6 * (512 * 3 / 4) ** 0.5

    @staticmethod
    def ramps(steps: int, featurizer: Featurizer, settings: FeatureSettings) -> list[EncodedStep]:
        episode = fake_episode(CONTRACT, 1, np.random.default_rng(0))[0]
        encoder = StepEncoder(featurizer, settings, CONTRACT, seed=0)
        seen = ramp(episode.observation)
        step = Step(**{name: getattr(episode, name) for name in Step.__slots__} | {"observation": seen, "final": seen})
        found = [encoder.encode(cursor + 1, step) for cursor in range(steps)]
        ids = [type(step.id)(step.id.session, cursor, 0) for cursor in range(steps)]
        return [
            EncodedStep(e.cursor, i, e.observation, e.action, e.source, e.reward, e.terminated, e.final)
            for e, i in zip(found, ids, strict=True)
        ]


class TestFrames:
    def test_frames_are_kept_as_they_came_and_once(self, tmp_path: Path, encoder: Encoder) -> None:
        featurizer, steps = Featurizer(encoder, None, CONTRACT), demo_and_online(3)
        replay = fill(tmp_path, encoded(steps, featurizer, FRESH), featurizer, FRESH)
        kept = replay._columns.arrays["frames"]
        assert np.array_equal(kept[0, 1], steps[0].observation.frames["camera1"])
        assert replay._used == 2 * (3 + 1)

    def test_a_transition_of_two_cameras_takes_less_than_100_kb(self, encoder: Encoder) -> None:
        # 2 * 128 * 128 * 3 = 98,304 bytes, 13 + 4 numbers of 4, 24 of the step; each 80 steps one final observation:
        # 98,396 * 81 / 80 = 99,626
        contract = fake_contract(cameras=2, proprioception=13)
        layout = make_layout(Featurizer(encoder, None, contract), FRESH, contract)
        assert layout.slot_bytes == 98_396
        assert layout.slot_bytes * 81 / 80 < 100_000

    def test_it_goes_on_where_it_was_saved(self, tmp_path: Path, encoder: Encoder) -> None:
        featurizer = Featurizer(encoder, None, CONTRACT)
        steps = encoded(demo_and_online(5), featurizer, FRESH)
        whole = fill(tmp_path / "whole", steps, featurizer, FRESH)
        part = fill(tmp_path / "part", steps[:7], featurizer, FRESH)
        part.save()
        part.add(steps[7])  # and the process died
        again = fill(tmp_path / "part", steps, featurizer, FRESH)
        assert (again.steps, again.cursor, len(again)) == (10, 10, 10)
        a, b = draw(whole), draw(again)
        assert all(map(torch.equal, numbers(a), numbers(b)))
        assert torch.equal(a.maps, b.maps)

    def test_another_way_to_keep_starts_afresh_and_frames_outlive_another_reduction(
        self, tmp_path: Path, encoder: Encoder
    ) -> None:
        featurizer = Featurizer(encoder, None, CONTRACT)
        steps = encoded(demo_and_online(3), featurizer, FRESH)
        fill(tmp_path, steps, featurizer, FRESH).save()
        wider = FRESH.model_copy(update={"pad_px": 4, "views": 9})
        assert fill(tmp_path, [], Featurizer(random_encoder(1, TINY), None, CONTRACT), wider).steps == 6
        stored = fill(tmp_path, encoded(demo_and_online(2), featurizer, STORED), featurizer, STORED)
        assert stored.steps == 4
        assert not (tmp_path / "frames.bin").exists()

    def test_maps_in_the_place_of_frames_are_refused(self, tmp_path: Path, encoder: Encoder) -> None:
        featurizer = Featurizer(encoder, None, CONTRACT)
        (step,) = encoded(demo_and_online(1)[:1], featurizer, STORED)
        assert isinstance(step.observation, EncodedObservation)
        with pytest.raises(Exception, match=r"frames: got float16 .*, this replay holds uint8 \(2, 32, 32, 3\)"):
            fill(tmp_path, [step], featurizer, FRESH)
