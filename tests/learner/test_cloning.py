"""Behaviour cloning: what is learned from, what is held out, by hand and by what it comes to."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.cloning import (
    ClonedSteps,
    CloningSettings,
    _batch,
    clone,
    cloning_loss,
    encode,
    fit_on,
    held_out_error,
    split,
)
from learner.step_encoder import StepEncoder
from policy.encoder import load_encoder
from policy.experience import Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.features import Featurizer
from policy.network import PolicyNetwork, PolicySpec, make_spec
from policy.settings import EncoderSettings, FeatureSettings, NetworkSettings

CONTRACT = fake_contract(cameras=2, proprioception=3, size_px=32)
ENCODER = load_encoder(EncoderSettings(source="random:0", dtype="float32"))
FEATURES = FeatureSettings(reduced_channels=4, views=2, fit_frames=20)
CPU = torch.device("cpu")


def spec(network: NetworkSettings) -> PolicySpec:
    return make_spec(CONTRACT, ENCODER, 4, network)


SMALL = spec(NetworkSettings(head_width=4, proprioception_width=16, hidden=(32,)))
SPATIAL = spec(NetworkSettings(head="spatial", head_width=4, hidden=(16,), gripper="discrete", shared_trunk=False))


def synthetic(count: int, seed: int) -> ClonedSteps:
    """Actions that the proprioception tells; maps of noise."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-1, 1, (count, 3)).astype(np.float32)
    action = np.concatenate([0.8 * body, np.sign(body[:, :1])], axis=1).astype(np.float32)
    return ClonedSteps(rng.normal(size=(count, 2, 2, 4, 1, 1)).astype(np.float16), body, action)


class TestTheSplit:
    @given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 9))
    def test_holds_out_whole_episodes_and_leaves_some_to_learn_from(self, count: int, share: float, seed: int) -> None:
        ids = list(range(100, 100 + count))
        training, held_out = split(ids, share, seed)
        assert sorted(training + held_out) == ids
        assert len(held_out) >= 1
        assert len(training) >= 1
        assert abs(len(held_out) - share * count) <= 0.5 or len(held_out) in (1, count - 1)

    def test_depends_on_the_seed_alone(self) -> None:
        assert split(range(20), 0.2, 3) == split(range(20), 0.2, 3) != split(range(20), 0.2, 4)


class TestTheLoss:
    def test_by_hand(self) -> None:
        network = PolicyNetwork(SMALL, CONTRACT)
        torch.nn.init.zeros_(network.actor.out.weight)
        steps = ClonedSteps(np.zeros((1, 2, 1, 4, 1, 1), np.float16), np.zeros((1, 3), np.float32), ACTION)
        # The mean is 0: 0.5^2 + 0.2^2 + 0.1^2 + 1^2
        assert held_out_error(network, steps, 8) == pytest.approx(0.25 + 0.04 + 0.01 + 1.0)

    def test_by_hand_with_a_discrete_gripper(self) -> None:
        network = PolicyNetwork(SPATIAL, CONTRACT)
        assert network.grasp is not None
        torch.nn.init.zeros_(network.actor.out.weight)
        torch.nn.init.zeros_(network.grasp.out.weight)
        steps = ClonedSteps(np.zeros((1, 2, 1, 4, 1, 1), np.float16), np.zeros((1, 3), np.float32), ACTION)
        # Three commands that are equally likely: log 3.
        assert held_out_error(network, steps, 8) == pytest.approx(0.25 + 0.04 + 0.01 + math.log(3))

    @pytest.mark.parametrize("which", [SMALL, SPATIAL])
    def test_every_number_that_acts_gets_a_gradient(self, which: PolicySpec) -> None:
        network, steps = PolicyNetwork(which, CONTRACT), synthetic(16, 0)
        maps = torch.from_numpy(steps.maps[:, :, 0]).float().transpose(0, 1)
        body, action = torch.from_numpy(steps.proprioception), torch.from_numpy(steps.action)
        cloning_loss(network, maps, body, action, torch.Generator().manual_seed(0)).backward()
        untouched = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
        assert untouched == []


ACTION = np.array([[0.5, -0.2, 0.1, 1.0]], np.float32)


class TestCloning:
    SETTINGS = CloningSettings(batch_size=32, learning_rate=3e-3, largest_epochs=30, patience_epochs=10)

    def test_learns_what_the_body_tells_and_keeps_the_best_pass(self) -> None:
        held_out = synthetic(64, 1)
        made = clone(SMALL, CONTRACT, synthetic(128, 0), held_out, self.SETTINGS, 0, CPU)
        errors = [epoch.held_out for epoch in made.history]
        assert made.best == int(np.argmin(errors))
        assert errors[made.best] < 0.5 * errors[0]
        assert held_out_error(made.network, held_out, 32) == pytest.approx(errors[made.best])
        assert made.updates == 128 // 32 * (made.best + 1)

    def test_a_seed_gives_the_same_weights_and_another_one_others(self) -> None:
        short = self.SETTINGS.model_copy(update={"largest_epochs": 2})
        first, same, other = (
            clone(SPATIAL, CONTRACT, synthetic(64, 0), synthetic(32, 1), short, seed, CPU).network.state_dict()
            for seed in (0, 0, 1)
        )
        assert all(torch.equal(first[name], same[name]) for name in first)
        assert not all(torch.equal(first[name], other[name]) for name in first)

    def test_stops_when_the_held_out_error_no_longer_falls(self) -> None:
        noise = replace(synthetic(32, 2), action=synthetic(32, 3).action)  # nothing here can be learned
        settings = self.SETTINGS.model_copy(update={"largest_epochs": 500, "patience_epochs": 3})
        made = clone(SMALL, CONTRACT, noise, synthetic(32, 4), settings, 0, CPU)
        assert len(made.history) == made.best + 1 + 3


class TestBatches:
    def test_learn_from_every_view_and_are_judged_by_the_unshifted_one(self) -> None:
        steps = synthetic(500, 0)
        steps.maps[:] = np.arange(2)[:, None, None, None]  # each view says which it is
        rows = np.arange(500)
        drawn, body, action = _batch(steps, rows, np.random.default_rng(0), CPU)
        shares = drawn[:, :, 0, 0, 0].mean(dim=1)  # of the second view, by camera
        assert (shares > 0.4).all()
        assert (shares < 0.6).all()
        unshifted, _, _ = _batch(steps, rows, None, CPU)
        assert unshifted.shape == (2, 500, 4, 1, 1)
        assert not unshifted.any()
        np.testing.assert_array_equal(body, steps.proprioception)
        np.testing.assert_array_equal(action, steps.action)


class TestEncoding:
    def test_takes_the_operators_steps_alone_with_the_views_of_replay(self) -> None:
        episode = fake_episode(CONTRACT, 6, np.random.default_rng(0))
        sources = [Source.DEMO, Source.HOLD, Source.POLICY, Source.HUMAN, Source.DEMO, Source.DEMO]
        mixed: list[Step] = [replace(step, source=source) for step, source in zip(episode, sources, strict=True)]
        assert mixed[5].reward == 1  # the last two rest: the one with the success is learned from
        mixed[4:] = [replace(step, action=np.zeros_like(step.action)) for step in mixed[4:]]
        reduction = fit_on([mixed], Featurizer(ENCODER, None, CONTRACT), FEATURES, 0)
        made = encode([mixed], StepEncoder(Featurizer(ENCODER, reduction, CONTRACT), FEATURES, CONTRACT, 0))
        assert made.maps.shape == (3, 2, 2, 4, 1, 1)
        operators = [mixed[place] for place in (0, 3, 5)]
        np.testing.assert_array_equal(made.action, [step.action for step in operators])
        # A body of the contract's range -2..2 is normalised to half of it.
        np.testing.assert_allclose(
            made.proprioception, [step.observation.proprioception / 2 for step in operators], atol=1e-6
        )
