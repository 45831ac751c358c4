"""The trainable networks: shapes, the tanh-Gaussian density, dropout, the discrete gripper."""

from __future__ import annotations

import math

import pytest
import torch

from policy.contract import Contract
from policy.errors import SnapshotError
from policy.fakes import fake_contract
from policy.network import (
    EncoderIdentity,
    GroupedLinear,
    GroupedNorm,
    PolicyNetwork,
    PolicySpec,
    SpatialHeads,
    drop,
    float_maps,
    tanh_gaussian,
)
from policy.settings import NetworkSettings

CONTRACT = fake_contract(cameras=2, proprioception=5)


def make_spec(contract: Contract = CONTRACT, **network: object) -> PolicySpec:
    return PolicySpec(
        contract_hash=contract.hash,
        encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=12),
        reduced_channels=6,
        network=NetworkSettings.model_validate({"head_width": 8, "hidden": (16,), **network}),
    )


class TestTanhGaussian:
    def test_density_by_hand(self) -> None:
        # u = 0.5 + 2 * 0.25 = 1, a = tanh 1; log N(u; 0.5, 2) = -0.25^2/2 - log 2 - log(2 pi)/2
        # log pi(a) = that - log(1 - tanh(1)^2)
        action, log_prob = tanh_gaussian(torch.tensor([[0.5]]), torch.tensor([[math.log(2)]]), torch.tensor([[0.25]]))
        expected = -(0.25**2) / 2 - math.log(2) - math.log(2 * math.pi) / 2 - math.log(1 - math.tanh(1) ** 2)
        assert action.item() == pytest.approx(math.tanh(1))
        assert log_prob.item() == pytest.approx(expected, rel=1e-5)

    def test_density_of_a_saturated_action_is_finite(self) -> None:
        for mean in (-200.0, 200.0):
            action, log_prob = tanh_gaussian(torch.tensor([[mean]]), torch.zeros(1, 1), torch.zeros(1, 1))
            assert action.item() == pytest.approx(math.copysign(1, mean))
            # -log(2 pi)/2 - 2 (log 2 - |u|) = -0.9189 - 1.3863 + 400
            assert log_prob.item() == pytest.approx(400 - 2.3052, abs=1e-2)

    def test_density_integrates_to_one(self) -> None:
        mean, log_std = torch.full((20001, 1), 0.3), torch.full((20001, 1), math.log(0.8))
        u = torch.linspace(-6, 6, 20001)[:, None]
        action, log_prob = tanh_gaussian(mean, log_std, (u - mean) / log_std.exp())
        assert torch.trapezoid(log_prob.exp(), action[:, 0]).item() == pytest.approx(1, abs=1e-3)


class TestLayers:
    def test_groups_do_not_mix(self) -> None:
        linear, norm = GroupedLinear(3, 4, 5), GroupedNorm(3, 5)
        torch.nn.init.normal_(linear.bias)
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
        x = torch.randn(3, 7, 4)
        y = norm(linear(x))
        for group in range(3):
            z = x[group] @ linear.weight[group] + linear.bias[group]
            z = torch.nn.functional.layer_norm(z, (5,), norm.weight[group, 0], norm.bias[group, 0])
            torch.testing.assert_close(y[group], torch.tanh(z), rtol=1e-4, atol=1e-5)

    def test_spatial_embeddings_by_einsum(self) -> None:
        heads = SpatialHeads((2, 6, 4, 4), NetworkSettings(head="spatial", head_width=8))
        maps = torch.randn(2, 3, 6, 4, 4)
        embedded = torch.einsum("nbcs,ncsf->nbcf", maps.flatten(3), heads.kernel).reshape(2, 3, 48)
        linear = torch.einsum("nbi,noi->nbo", embedded, heads.linear.weight) + heads.linear.bias.transpose(1, 2)
        torch.testing.assert_close(heads(maps, None), heads.norm(linear), rtol=1e-4, atol=1e-5)

    def test_dropout_zeroes_what_its_probability_says_and_leaves_the_rest(self) -> None:
        x = torch.full((1, 1, 1 << 16), 3.0)
        every = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(x.shape)  # each number once
        dropped = drop(x, 0.1, every)
        # round(.1 * 65536) = 6554 of 65536
        assert (dropped == 0).sum().item() == 6554
        assert set(dropped.flatten().tolist()) == {0.0, 3.0}

    def test_dropout_keeps_the_mean_of_the_embeddings(self) -> None:
        heads = SpatialHeads((1, 6, 4, 4), NetworkSettings(head="spatial", head_width=8, dropout=0.25))
        assert heads.dropped == (1, 48)
        maps = float_maps(torch.randn(1, 1, 6, 4, 4).half().expand(1, 4096, 6, 4, 4))
        words = torch.randint(-(1 << 15), 1 << 15, (1, 48, 4096), dtype=torch.int16)
        seen: list[torch.Tensor] = []
        heads.linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        heads(maps, None)
        heads(maps, words)
        plain, dropped = (embedded[0].T for embedded in seen)  # (B, 48)
        torch.testing.assert_close(dropped[dropped != 0], (plain / 0.75)[dropped != 0])
        # a part of sqrt(.25 * .75 / 4096) = 0.007 is the standard error of each mean, before it is scaled by 1 / .75
        torch.testing.assert_close(dropped.mean(0), plain[0], rtol=0.05, atol=1e-3)

    def test_float_maps_are_the_stored_ones(self) -> None:
        maps = torch.randn(2, 3, 6, 4, 4).half()
        assert torch.equal(float_maps(maps), maps.float())
        assert float_maps(maps).flatten(3).permute(0, 2, 3, 1).flatten(0, 1)._base is not None  # no copy


class TestPolicyNetwork:
    @pytest.mark.parametrize("head", ["dense", "spatial"])
    @pytest.mark.parametrize("gripper", ["continuous", "discrete"])
    @pytest.mark.parametrize("shared", [True, False])
    def test_actions_have_the_contracts_length_and_range(self, head: str, gripper: str, shared: bool) -> None:
        network = PolicyNetwork(make_spec(head=head, gripper=gripper, shared_trunk=shared), CONTRACT)
        maps, proprioception = torch.randn(2, 9, 6, 4, 4), torch.randn(9, 5)
        actions = network.act(maps, proprioception, torch.randn(9, 3 if gripper == "discrete" else 4))
        assert actions.shape == (9, 4)
        assert actions.abs().max() <= 1
        if gripper == "discrete":
            assert set(actions[:, -1].tolist()) <= {-1.0, 0.0, 1.0}

    def test_without_width_for_it_proprioception_changes_nothing(self) -> None:
        network = PolicyNetwork(make_spec(proprioception_width=0), CONTRACT)
        maps = torch.randn(2, 9, 6, 4, 4)
        first, second = (network.act(maps, torch.randn(9, 5), None) for _ in range(2))
        assert torch.equal(first, second)
        seeing = PolicyNetwork(make_spec(), CONTRACT)
        assert not torch.equal(*(seeing.act(maps, torch.randn(9, 5), None) for _ in range(2)))

    def test_the_discrete_gripper_is_where_its_value_is_highest(self) -> None:
        network = PolicyNetwork(make_spec(gripper="discrete"), CONTRACT)
        assert network.grasp is not None
        for index, gripper in ((0, -1.0), (1, 0.0), (2, 1.0)):
            with torch.no_grad():
                network.grasp.out.weight.zero_()
                network.grasp.out.bias.zero_()
                network.grasp.out.bias[0, 0, index] = 1
            action = network.act(torch.randn(2, 1, 6, 4, 4), torch.randn(1, 5), None)
            assert action[0, -1].item() == gripper

    def test_the_standard_deviation_keeps_its_limits(self) -> None:
        network = PolicyNetwork(make_spec(std_min=0.1, std_max=0.5), CONTRACT)
        with torch.no_grad():
            network.actor.out.weight.mul_(1000)
            _, log_std = network.actor(torch.randn(50, network.trunk.width))
        assert log_std.exp().min().item() == pytest.approx(0.1, rel=1e-5)
        assert log_std.exp().max().item() == pytest.approx(0.5, rel=1e-5)

    def test_every_trainable_tensor_gets_a_gradient(self) -> None:
        network = PolicyNetwork(make_spec(head="spatial"), CONTRACT)
        network.act(torch.randn(2, 9, 6, 4, 4), torch.randn(9, 5), torch.randn(9, 4)).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())

    def test_acting_changes_nothing_and_repeats(self) -> None:
        network = PolicyNetwork(make_spec(head="spatial"), CONTRACT)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        maps, proprioception = torch.randn(2, 1, 6, 4, 4), torch.randn(1, 5)
        first = network.act(maps, proprioception, None)
        assert torch.equal(first, network.act(maps, proprioception, None))
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())

    def test_another_contract_is_refused(self) -> None:
        with pytest.raises(SnapshotError, match="policy for contract"):
            PolicyNetwork(make_spec(), fake_contract(cameras=1))

    def test_the_spec_survives_json(self) -> None:
        spec = make_spec(head="spatial", gripper="discrete")
        assert PolicySpec.model_validate_json(spec.model_dump_json()) == spec
