"""Crop views, the fitted reduction and the featurizer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.contract import Contract
from policy.encoder import Encoder, ResNet10Shape, random_encoder
from policy.errors import EncoderError
from policy.fakes import fake_contract, fake_observation
from policy.features import FeatureReduction, Featurizer, crop_views, fit_reduction, map_shape

TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 16))


@pytest.fixture(scope="module")
def contract() -> Contract:
    return fake_contract()


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(0, TINY)


class TestCropViews:
    def test_the_first_view_is_the_frame_itself(self) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
        views = crop_views(frames, 4, 4, np.random.default_rng(1))
        assert views.shape == (2, 4, 16, 16, 3)
        assert np.array_equal(views[:, 0], frames)

    @given(pad=st.integers(0, 4), seed=st.integers(0, 1000))
    @settings(max_examples=30, deadline=None)
    def test_each_view_is_a_shift_with_replicated_edges(self, pad: int, seed: int) -> None:
        frames = np.arange(1 * 12 * 12 * 3, dtype=np.int64).astype(np.uint8).reshape(1, 12, 12, 3)
        view = crop_views(frames, 2, pad, np.random.default_rng(seed))[0, 1]
        rows = np.arange(12)
        matches = [
            (down, right)
            for down in range(-pad, pad + 1)
            for right in range(-pad, pad + 1)
            if np.array_equal(view, frames[0][np.clip(rows + down, 0, 11)][:, np.clip(rows + right, 0, 11)])
        ]
        assert matches

    def test_the_same_seed_gives_the_same_views_and_cameras_shift_apart(self) -> None:
        frames = np.tile(np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8), (2, 1, 1, 1))
        first = crop_views(frames, 8, 4, np.random.default_rng(5))
        assert np.array_equal(first, crop_views(frames, 8, 4, np.random.default_rng(5)))
        assert not np.array_equal(first[0], first[1])


class TestReduction:
    def test_two_directions_of_known_variance_are_found_and_whitened(self) -> None:
        # Channel vectors (+-3, 0, 5) and (0, +-1, 5): mean (0, 0, 5), variances with n-1 = 7 in the divisor:
        # 4 * 9 / 7 = 36/7 along x, 4 * 1 / 7 = 4/7 along y, 0 along z.
        vectors = torch.tensor([[3.0, 0, 5], [-3, 0, 5], [0, 1, 5], [0, -1, 5]]).repeat(2, 1)
        maps = vectors.T.reshape(1, 1, 3, 2, 4)
        reduction = fit_reduction(maps, 2, whiten_softness=0.5)
        # eps = 0.5 * mean(36/7, 4/7) = 10/7; scales 1/sqrt(46/7) and 1/sqrt(14/7)
        scale = torch.tensor([(46 / 7) ** -0.5, 2**-0.5])
        torch.testing.assert_close(reduction.mean, torch.tensor([[0.0, 0, 5]]))
        expected = torch.tensor([[[1.0, 0], [0, 1], [0, 0]]]) * scale
        torch.testing.assert_close(reduction.projection, expected)
        assert reduction.explained_variance == pytest.approx((1.0,))
        # (3, 0, 5) -> (3, 0) scaled
        reduced = reduction.apply(maps)
        torch.testing.assert_close(reduced[0, 0, :, 0, 0], torch.tensor([3.0, 0.0]) * scale)

    def test_the_explained_part_of_the_variance_is_reported(self) -> None:
        # Variances 36/7 and 4/7 as above: one direction keeps 36/40 = 0.9.
        vectors = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]]).repeat(2, 1)
        reduction = fit_reduction(vectors.T.reshape(1, 1, 2, 2, 4), 1, whiten_softness=0.1)
        assert reduction.explained_variance == pytest.approx((0.9,))

    def test_cameras_are_reduced_apart_and_a_fit_repeats(self) -> None:
        maps = torch.randn(2, 30, 8, 2, 2, generator=torch.Generator().manual_seed(0))
        first, second = fit_reduction(maps, 4, 0.1), fit_reduction(maps.clone(), 4, 0.1)
        assert first.hash == second.hash
        alone = fit_reduction(maps[1:], 4, 0.1)
        torch.testing.assert_close(first.projection[1:], alone.projection)
        reduced = first.apply(maps)
        by_hand = torch.einsum("ncij,cr->nrij", maps[0] - first.mean[0][:, None, None], first.projection[0])
        torch.testing.assert_close(reduced[0], by_hand, rtol=1e-4, atol=1e-5)

    def test_too_many_channels_and_a_covered_camera_are_refused(self) -> None:
        with pytest.raises(EncoderError, match="the encoder gives 8"):
            fit_reduction(torch.randn(1, 5, 8, 2, 2), 9, 0.1)
        with pytest.raises(EncoderError, match="camera 1 are all alike"):
            fit_reduction(torch.stack([torch.randn(5, 8, 2, 2), torch.ones(5, 8, 2, 2)]), 4, 0.1)


class TestFeaturizer:
    def test_maps_come_camera_first_in_the_order_of_the_contract(self, contract: Contract, encoder: Encoder) -> None:
        featurizer = Featurizer(encoder, None, contract)
        observation = fake_observation(contract, np.random.default_rng(0))
        frames = featurizer.stack(dict(reversed(observation.frames.items())))
        assert np.array_equal(frames[1], observation.frames["camera1"])
        maps = featurizer.maps(frames[:, None])
        assert maps.shape == (2, 1, 16, 4, 4)
        torch.testing.assert_close(maps[1], encoder.encode(frames[1][None]), rtol=1e-4, atol=1e-5)
        assert featurizer.reduction_hash == "none"

    def test_the_reduction_changes_shape_and_hash(self, contract: Contract, encoder: Encoder) -> None:
        reduction = FeatureReduction(torch.zeros(2, 16), torch.zeros(2, 16, 3), (1.0, 1.0))
        featurizer = Featurizer(encoder, reduction, contract)
        assert featurizer.shape == (2, 3, 4, 4)
        assert featurizer.reduction_hash == reduction.hash

    def test_a_reduction_of_another_encoder_is_refused(self, contract: Contract, encoder: Encoder) -> None:
        reduction = FeatureReduction(torch.zeros(2, 32), torch.zeros(2, 32, 3), (1.0, 1.0))
        with pytest.raises(EncoderError, match=r"\(2, 32\), but there are \(2, 16\)"):
            Featurizer(encoder, reduction, contract)

    def test_the_map_of_a_70_px_frame_has_three_cells_a_side(self) -> None:
        assert map_shape(fake_contract(1, 2, size_px=70), 5) == (1, 5, 3, 3)  # ceil(70 / 32) = 3
