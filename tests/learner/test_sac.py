"""Losses computed by hand, gradients that reach every tensor, and an update that does what its settings say."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
from torch import Tensor

from console.presets.load import load_preset
from console.settings import Settings
from learner.losses import actor_loss, bc_loss, critic_loss, critic_target, grasp_loss, grasp_target, temperature_loss
from learner.replay import Batch
from learner.sac import Sac, use_matmul
from learner.settings import SacSettings
from policy.fakes import fake_contract
from policy.network import EncoderIdentity, PolicySpec
from policy.settings import NetworkSettings

CONTRACT = fake_contract(cameras=2, proprioception=5)
CPU = torch.device("cpu")


def make_sac(seed: int = 0, network: dict[str, object] | None = None, **settings: object) -> Sac:
    spec = PolicySpec(
        contract_hash=CONTRACT.hash,
        encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=6),
        reduced_channels=None,
        network=NetworkSettings.model_validate({"head_width": 8, "hidden": (16, 16), **(network or {})}),
    )
    return Sac(spec, CONTRACT, SacSettings.model_validate({"batch_size": 16, **settings}), seed, CPU)


def make_batch(size: int = 16, demo: int = 8, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Batch(
        maps=normal(2, size, 6, 4, 4).half(),
        next_maps=normal(2, size, 6, 4, 4).half(),
        proprioception=normal(size, 5),
        next_proprioception=normal(size, 5),
        action=torch.tanh(normal(size, 4)),
        reward=(normal(size) > 1).float(),
        discount=torch.full((size,), 0.9),
        gripper_changes=(normal(size) > 1).float(),
        demo=demo,
    )


def weights(sac: Sac) -> dict[str, Tensor]:
    named = {f"{k}.{n}": t.clone() for k, m in sac.modules().items() for n, t in m.state_dict().items()}
    return named | {"log_temperature": sac.log_temperature.detach().clone()}


class TestLossesByHand:
    def test_critic_target_takes_the_minimum_and_stops_at_the_end(self) -> None:
        # 1 + .9 * min(4, 2) = 2.8; terminated: 5 + 0 = 5
        reward, discount = torch.tensor([1.0, 5.0]), torch.tensor([0.9, 0.0])
        next_q = torch.tensor([[4.0, 7.0], [2.0, 8.0]])
        torch.testing.assert_close(critic_target(reward, discount, next_q), torch.tensor([2.8, 5.0]))
        # and with backup entropy 1 + .9 * (2 + .5) = 3.25
        bonus = torch.tensor([0.5, 0.5])
        torch.testing.assert_close(critic_target(reward, discount, next_q, bonus), torch.tensor([3.25, 5.0]))

    def test_critic_loss_is_the_mean_over_members_and_batch(self) -> None:
        # errors 1, -1; 3, 0: (1 + 1 + 9 + 0) / 4 = 2.75
        q, target = torch.tensor([[2.0, 3.0], [4.0, 4.0]]), torch.tensor([1.0, 4.0])
        assert critic_loss(q, target).item() == pytest.approx(2.75)

    def test_actor_loss_takes_the_mean_or_the_minimum_of_the_critics(self) -> None:
        # The entropy term is .1 times (-2, 4), that is -.2 and .4.
        q, log_prob, alpha = torch.tensor([[1.0, 3.0], [3.0, 3.0]]), torch.tensor([-2.0, 4.0]), torch.tensor(0.1)
        # With the mean: ((-.2 - 2) + (.4 - 3)) / 2 = -2.4; with the minimum: ((-.2 - 1) + (.4 - 3)) / 2 = -1.9.
        assert actor_loss(q, log_prob, alpha).item() == pytest.approx(-2.4)
        assert actor_loss(q, log_prob, alpha, "min").item() == pytest.approx(-1.9)

    def test_temperature_falls_while_entropy_is_above_its_target(self) -> None:
        log_alpha = torch.tensor(math.log(0.5), requires_grad=True)
        # entropy = -mean(-1, -3) = 2, target -2: loss = .5 * (2 + 2) = 2; d/d log alpha = alpha * 4 = 2 > 0: it falls
        loss = temperature_loss(log_alpha, torch.tensor([-1.0, -3.0]), -2.0)
        loss.backward()
        assert loss.item() == pytest.approx(2)
        assert log_alpha.grad is not None
        assert log_alpha.grad.item() == pytest.approx(2)

    def test_bc_loss_sums_over_dimensions(self) -> None:
        # tanh(0) = 0, tanh(.5493) = .5: squared errors (.2^2 + .3^2) and (1 + 0): (.13 + 1) / 2 = .565
        mean = torch.tensor([[0.0, 0.5493061], [0.0, 0.5493061]])
        demo = torch.tensor([[0.2, 0.2], [1.0, 0.5]])
        assert bc_loss(mean, demo).item() == pytest.approx(0.565, rel=1e-5)

    def test_grasp_critic_is_double_dqn(self) -> None:
        # online picks index 2 (value 9), the target network says 3 there: 1 + .5 * 3 = 2.5; terminated: -0.02
        reward, discount = torch.tensor([1.0, -0.02]), torch.tensor([0.5, 0.0])
        online = torch.tensor([[1.0, 2, 9], [0, 0, 1]])
        target = torch.tensor([[7.0, 8, 3], [5, 5, 5]])
        y = grasp_target(reward, discount, online, target)
        torch.testing.assert_close(y, torch.tensor([2.5, -0.02]))
        # gripper .8 rounds to +1: index 2 (9 - 2.5)^2 = 42.25; -.9: index 0: (0 + .02)^2 = .0004
        loss = grasp_loss(online, torch.tensor([0.8, -0.9]), y)
        assert loss.item() == pytest.approx((42.25 + 0.0004) / 2)


class TestUpdate:
    @pytest.mark.parametrize("head", ["dense", "spatial"])
    @pytest.mark.parametrize("gripper", ["continuous", "discrete"])
    @pytest.mark.parametrize("shared", [True, False])
    def test_every_trainable_tensor_moves_and_targets_follow(self, head: str, gripper: str, shared: bool) -> None:
        sac = make_sac(network={"head": head, "gripper": gripper, "shared_trunk": shared})
        before = weights(sac)
        for _ in range(2):
            sac.update(make_batch())
        for name, tensor in weights(sac).items():
            assert not torch.equal(tensor, before[name]), name
        assert sac.not_finite() == []

    def test_the_loss_of_an_update_is_that_of_the_formula(self) -> None:
        sac = make_sac(reward_scale=3.0, actor_every=1, bc_weight=0.5)
        batch, before = make_batch(), copy.deepcopy((sac.critic, sac.policy, sac.critic_target))
        noise = torch.randn(2, 16, 4, generator=torch.Generator().manual_seed(0))
        sac.update(batch)
        metrics = sac.read_metrics()
        critic, policy, target_critic = before
        maps, next_maps = batch.maps.float(), batch.next_maps.float()
        with torch.no_grad():
            mean, log_std = policy.actor(policy.trunk(next_maps, batch.next_proprioception))
            next_action = torch.tanh(mean + log_std.exp() * noise[0])
            next_q = target_critic.ensemble(target_critic.trunk(next_maps, batch.next_proprioception), next_action)
            y = 3 * batch.reward + batch.discount * torch.minimum(next_q[0], next_q[1])
            features = critic.trunk(maps, batch.proprioception)
            q = critic.ensemble(features, batch.action)
            assert metrics["critic_loss"] == pytest.approx(((q - y) ** 2).mean().item(), rel=1e-4)
            assert metrics["q_mean"] == pytest.approx(q.mean().item(), rel=1e-4, abs=1e-5)
            mean, log_std = policy.actor(policy.trunk(maps, batch.proprioception))
            normal = torch.distributions.Normal(mean, log_std.exp())
            u = mean + log_std.exp() * noise[1]
            # log(1 - tanh^2) as it stands, which float32 cannot do for large u
            log_prob = (normal.log_prob(u) - torch.log(1 - torch.tanh(u.double()) ** 2)).sum(-1).float()
            q_pi = critic.ensemble(features, torch.tanh(u))
            expected = (0.01 * log_prob - q_pi.mean(0)).mean().item()
            assert metrics["actor_loss"] == pytest.approx(expected, rel=1e-3, abs=1e-5)
            assert metrics["entropy"] == pytest.approx(-log_prob.mean().item(), rel=1e-3)
            bc = ((torch.tanh(mean[:8]) - batch.action[:8]) ** 2).sum(-1).mean().item()
            assert metrics["bc_loss"] == pytest.approx(bc, rel=1e-4)

    def test_each_member_of_the_ensemble_is_a_critic_of_its_own(self) -> None:
        sac = make_sac(critics=3)
        features, action = torch.randn(5, sac.critic.trunk.width), torch.rand(5, 4)
        whole = sac.critic.ensemble(features, action)
        assert whole.shape == (3, 5)
        for member in range(3):
            x = torch.cat([features, action], -1)
            state = sac.critic.ensemble.mlp.state_dict()
            for layer in range(2):
                x = x @ state[f"linears.{layer}.weight"][member] + state[f"linears.{layer}.bias"][member]
                scale, shift = state[f"norms.{layer}.weight"][member, 0], state[f"norms.{layer}.bias"][member, 0]
                x = torch.tanh(torch.nn.functional.layer_norm(x, (16,), scale, shift))
            out = sac.critic.ensemble.out
            value = (x @ out.weight[member] + out.bias[member])[:, 0]
            torch.testing.assert_close(whole[member], value, rtol=1e-4, atol=1e-5)

    def test_the_actor_moves_every_nth_update_only(self) -> None:
        sac = make_sac(actor_every=3)
        moved = []
        for _ in range(6):
            before = weights(sac)
            sac.update(make_batch())
            after = weights(sac)
            moved.append(not torch.equal(before["policy.actor.out.weight"], after["policy.actor.out.weight"]))
            assert not torch.equal(before["critic.ensemble.out.weight"], after["critic.ensemble.out.weight"])
        assert moved == [True, False, False, True, False, False]

    def test_targets_move_by_tau(self) -> None:
        sac = make_sac(tau=0.25)
        before = weights(sac)["critic_target.ensemble.out.weight"]
        sac.update(make_batch())
        after = weights(sac)
        expected = 0.75 * before + 0.25 * after["critic.ensemble.out.weight"]
        torch.testing.assert_close(after["critic_target.ensemble.out.weight"], expected)

    @pytest.mark.parametrize("shared", [True, False])
    def test_who_acts_moves_by_policy_tau_towards_the_trained_policy_whenever_that_was_updated(
        self, shared: bool
    ) -> None:
        sac = make_sac(policy_tau=0.25, actor_every=2, network={"shared_trunk": shared})
        for update in range(10):
            before = {name: tensor.clone() for name, tensor in sac.acting.state_dict().items()}
            sac.update(make_batch(seed=update))
            tau = {0: 1.0, 2: 0.5, 4: 1 / 3, 6: 0.25, 8: 0.25}.get(update, 0.0)  # all count alike at first
            for name, trained in sac.policy.state_dict().items():
                expected = (1 - tau) * before[name] + tau * trained
                torch.testing.assert_close(sac.acting.state_dict()[name], expected, msg=name)

    def test_with_a_policy_tau_of_one_the_trained_policy_acts(self) -> None:
        sac = make_sac(policy_tau=1.0)
        assert sac.acting is sac.policy
        assert "acting" not in sac.modules()

    def test_a_shared_trunk_is_not_trained_by_the_actor(self) -> None:
        trained = {}
        for bc_weight in (0.0, 100.0):
            sac = make_sac(network={"shared_trunk": True}, bc_weight=bc_weight, actor_every=1)
            sac.update(make_batch())
            trained[bc_weight] = weights(sac)
        key = "critic.trunk.heads.linear.weight"
        assert torch.equal(trained[0.0][key], trained[100.0][key])
        key = "policy.actor.out.weight"
        assert not torch.equal(trained[0.0][key], trained[100.0][key])

    def test_the_bc_weight_halves_with_its_half_life(self) -> None:
        sac = make_sac(bc_weight=2.0, bc_half_life_updates=4.0, actor_every=1)
        for _ in range(8):
            sac.update(make_batch())
        assert sac.read_metrics()["bc_weight"] == pytest.approx(0.5)  # 2 * 2^-(8/4)

    def test_with_bc_alone_the_actor_learns_the_demonstrated_action(self) -> None:
        sac = make_sac(bc_weight=1e4, actor_every=1, actor_lr=3e-3)
        batch = make_batch(demo=16)
        for _ in range(200):
            sac.update(batch)
        with torch.no_grad():
            mean, _ = sac.policy.actor(sac.policy.trunk(batch.maps.float(), batch.proprioception))
        assert (torch.tanh(mean) - batch.action).abs().mean().item() < 0.1

    def test_no_demos_in_the_batch_means_no_bc(self) -> None:
        sac = make_sac(actor_every=1)
        sac.update(make_batch(demo=0))
        assert sac.read_metrics()["bc_loss"] == 0

    def test_redq_takes_the_minimum_of_a_random_subset(self) -> None:
        # Every member says its own number, so the target tells which were asked: y = min of 2 of 4.
        sac = make_sac(critics=4, target_subset=2, actor_every=1, bc_weight=0.0)
        with torch.no_grad():
            for ensemble in (sac.critic.ensemble, sac.critic_target.ensemble):
                ensemble.out.weight.zero_()
            sac.critic.ensemble.out.bias.zero_()
            sac.critic_target.ensemble.out.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1))
        smallest = set()
        for _ in range(40):
            again = copy.copy(sac)  # shares the generator and the targets
            inputs = again._inputs(make_batch(), acts=False)
            assert inputs.members is not None
            assert len(set(inputs.members.tolist())) == 2
            smallest.add(int(inputs.members.min()) + 1)
        assert smallest == {1, 2, 3}
        batch = dataclasses.replace(make_batch(), reward=torch.zeros(16), discount=torch.ones(16))
        sac.update(batch)
        # Q = 0 everywhere: the loss is the square of the smallest of the two
        assert round(sac.read_metrics()["critic_loss"], 3) in {1.0, 4.0, 9.0}

    def test_the_same_seed_repeats_bit_by_bit(self) -> None:
        first, second = (make_sac(seed=4, network={"head": "spatial"}) for _ in range(2))
        for sac in (first, second):
            for seed in range(3):
                sac.update(make_batch(seed=seed))
        assert all(torch.equal(a, b) for a, b in zip(weights(first).values(), weights(second).values(), strict=True))

    def test_metrics_are_means_since_the_last_reading(self) -> None:
        sac = make_sac()
        assert sac.read_metrics() == {}
        sac.update(make_batch())
        assert set(sac.read_metrics()) == {*sac.metric_names, "bc_weight"}
        assert sac.read_metrics() == {}

    def test_a_weight_that_is_not_finite_is_named(self) -> None:
        sac = make_sac()
        with torch.no_grad():
            sac.critic.ensemble.out.bias[1, 0, 0] = math.nan
        assert sac.not_finite() == ["critic.ensemble.out.bias"]

    def test_products_in_bfloat16_give_nearly_the_same_update(self) -> None:
        results = []
        for matmul in ("float32", "bfloat16"):
            use_matmul(matmul, CPU)
            try:
                sac = make_sac(actor_every=1)
                sac.update(make_batch())
                results.append(sac.read_metrics())
            finally:
                use_matmul("float32", CPU)
        for name, value in results[0].items():
            assert results[1][name] == pytest.approx(value, rel=0.05, abs=0.05), name


class TestPresets:
    def test_paper_is_hil_serl(self) -> None:
        paper = load_preset(Settings, "paper").learner
        sac = paper.sac
        assert (sac.batch_size, sac.discount, sac.n_step, sac.tau) == (256, 0.97, 1, 0.005)
        assert (sac.critic_lr, sac.actor_lr, sac.temperature_lr) == (3e-4, 3e-4, 3e-4)
        assert (sac.temperature_init, sac.backup_entropy, sac.actor_q, sac.actor_every) == (0.01, False, "mean", 2)
        assert (sac.critics, sac.target_entropy, sac.gripper_penalty) == (2, None, 0.02)
        assert sac.policy_tau == 1.0
        assert (paper.network.head, paper.network.head_width, paper.network.gripper) == ("spatial", 256, "discrete")
        assert paper.features.reduced_channels is None
