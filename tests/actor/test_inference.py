"""Selecting actions: the newest snapshot, its own random numbers, refusals, and the time it takes."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from actor.inference import Policy
from policy.encoder import Encoder, ResNet10Shape, random_encoder
from policy.errors import EncoderError, SnapshotError
from policy.fakes import fake_contract, fake_observation
from policy.features import FeatureReduction
from policy.network import PolicyNetwork, PolicySpec, make_spec
from policy.settings import NetworkSettings
from policy.snapshot import pack_snapshot

CONTRACT = fake_contract(cameras=2, proprioception=5)
TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 16))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(0, TINY)


def spec_of(encoder: Encoder) -> PolicySpec:
    return make_spec(CONTRACT, encoder, 6, NetworkSettings(head_width=8, hidden=(16,)))


def snapshot(spec: PolicySpec, seed: int) -> bytes:
    torch.manual_seed(seed)
    channels = spec.encoder.channels
    reduction = FeatureReduction(torch.randn(2, channels), torch.randn(2, channels, 6) / channels, (1.0, 1.0))
    return pack_snapshot(PolicyNetwork(spec, CONTRACT), reduction, updates=seed)


class TestSelectAction:
    def test_a_deterministic_action_repeats_and_a_sample_follows_its_generator(self, encoder: Encoder) -> None:
        policy = Policy(spec_of(encoder), CONTRACT, encoder)
        assert policy.load_snapshot(snapshot(policy.spec, 3)) == 3
        observation = fake_observation(CONTRACT, np.random.default_rng(0))
        generator = torch.Generator().manual_seed(0)
        mode = policy.select_action(observation, 0.0, generator)
        assert mode.shape == (4,)
        assert mode.dtype == np.float32
        assert np.abs(mode).max() <= 1
        assert np.array_equal(mode, policy.select_action(observation, 0.0, generator))
        sample = policy.select_action(observation, 1.0, generator)
        assert not np.array_equal(sample, mode)
        assert np.array_equal(sample, policy.select_action(observation, 1.0, torch.Generator().manual_seed(0)))

    def test_half_the_exploration_is_half_the_noise_before_the_action_is_squashed(self, encoder: Encoder) -> None:
        policy = Policy(spec_of(encoder), CONTRACT, encoder)
        policy.load_snapshot(snapshot(policy.spec, 3))
        observation = fake_observation(CONTRACT, np.random.default_rng(0))
        mode, half, whole = (
            np.arctanh(policy.select_action(observation, exploration, torch.Generator().manual_seed(0)))
            for exploration in (0.0, 0.1, 0.2)  # small: the hyperbolic tangent of large ones is 1
        )
        np.testing.assert_allclose(half - mode, (whole - mode) / 2, rtol=1e-3, atol=1e-4)

    def test_the_action_is_that_of_network_and_reduction_by_hand(self, encoder: Encoder) -> None:
        spec = spec_of(encoder)
        torch.manual_seed(1)
        network = PolicyNetwork(spec, CONTRACT)
        reduction = FeatureReduction(torch.randn(2, 16), torch.randn(2, 16, 6) / 16, (1.0, 1.0))
        policy = Policy(spec, CONTRACT, encoder)
        policy.load_snapshot(pack_snapshot(network, reduction, 0))
        observation = fake_observation(CONTRACT, np.random.default_rng(0))
        maps = torch.stack([encoder.encode(observation.frames[f"camera{i}"][None])[0] for i in range(2)])
        centred = maps - reduction.mean[:, :, None, None]
        reduced = torch.einsum("ncij,ncr->nrij", centred, reduction.projection)
        proprioception = torch.from_numpy(observation.proprioception) / 2  # -2..2 -> -1..1
        with torch.no_grad():
            expected = network.act(reduced[:, None], proprioception[None], None)[0]
        action = policy.select_action(observation, 0.0, torch.Generator())
        np.testing.assert_allclose(action, expected.numpy(), atol=5e-3)  # weights travel as float16

    def test_a_new_snapshot_takes_the_place_of_the_old_one(self, encoder: Encoder) -> None:
        policy = Policy(spec_of(encoder), CONTRACT, encoder)
        observation, generator = fake_observation(CONTRACT, np.random.default_rng(0)), torch.Generator()
        policy.load_snapshot(snapshot(policy.spec, 1))
        first = policy.select_action(observation, 0.0, generator)
        policy.load_snapshot(snapshot(policy.spec, 2))
        assert not np.array_equal(first, policy.select_action(observation, 0.0, generator))

    def test_a_prepared_snapshot_is_only_swapped_in_and_acts_alike(
        self, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policy, alike = Policy(spec_of(encoder), CONTRACT, encoder), Policy(spec_of(encoder), CONTRACT, encoder)
        data = snapshot(policy.spec, 1)
        alike.load_snapshot(data)
        policy.prepare(data)
        assert not policy.ready  # it acts only when it is loaded
        monkeypatch.setattr("actor.inference.unpack_snapshot", None)
        assert policy.load_snapshot(data) == 1
        observation, generator = fake_observation(CONTRACT, np.random.default_rng(0)), torch.Generator()
        expected = alike.select_action(observation, 0.0, generator)
        assert np.array_equal(policy.select_action(observation, 0.0, generator), expected)


class TestRefusals:
    def test_nothing_moves_before_the_first_snapshot(self, encoder: Encoder) -> None:
        policy = Policy(spec_of(encoder), CONTRACT, encoder)
        assert not policy.ready
        with pytest.raises(SnapshotError, match="no snapshot has arrived"):
            policy.select_action(fake_observation(CONTRACT, np.random.default_rng(0)), 0.0, torch.Generator())

    def test_a_damaged_snapshot_leaves_the_old_policy(self, encoder: Encoder) -> None:
        policy = Policy(spec_of(encoder), CONTRACT, encoder)
        policy.load_snapshot(snapshot(policy.spec, 1))
        observation, generator = fake_observation(CONTRACT, np.random.default_rng(0)), torch.Generator()
        before = policy.select_action(observation, 0.0, generator)
        with pytest.raises(SnapshotError):
            policy.load_snapshot(snapshot(policy.spec, 2)[:-4])
        assert np.array_equal(before, policy.select_action(observation, 0.0, generator))

    def test_another_encoder_is_refused(self, encoder: Encoder) -> None:
        with pytest.raises(EncoderError, match="the learner trains on 'random:0'"):
            Policy(spec_of(encoder), CONTRACT, random_encoder(1, TINY))


def test_an_action_takes_milliseconds_at_half_width() -> None:
    """2 cameras, half width, 1 thread: about 5 ms with float32 on a quiet core; the bound leaves room for busy ones."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        encoder = random_encoder(0)
        spec = spec_of(encoder)
        policy = Policy(spec, CONTRACT, encoder)
        policy.load_snapshot(snapshot(spec, 0))
        observation, generator = fake_observation(CONTRACT, np.random.default_rng(0)), torch.Generator()
        times_s = []
        for _ in range(20):
            start = time.thread_time()
            policy.select_action(observation, 1.0, generator)
            times_s.append(time.thread_time() - start)
    finally:
        torch.set_num_threads(threads)
    assert min(times_s) < 0.05
