"""Losses and gradients of `Sac.update` against LeRobot 0.6's `SACAlgorithm`: same weights, same batch, same noise.

What is no part of a loss is taken out of LeRobot: its image encoder (both see the same maps), its dropout, and its
SiLU, in whose place stands HIL-SERL's tanh. Its layer for the standard deviation carries ours twice, because it takes
what comes out for the variance. Where LeRobot departs from HIL-SERL, a test names how.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from console.presets.load import load_preset
from console.settings import Settings
from learner.losses import actor_loss, critic_loss, critic_target, grasp_loss, grasp_target, temperature_loss
from learner.replay import Batch
from learner.sac import Sac
from learner.settings import SacSettings
from policy.fakes import fake_contract
from policy.network import EncoderIdentity, GroupedLinear, GroupedNorm, Mlp, ObservationTrunk, PolicySpec
from policy.settings import NetworkSettings

CONTRACT = fake_contract(cameras=2, proprioception=5)
CPU = torch.device("cpu")
SIZE, CHANNELS, CELLS, WIDTH, HIDDEN, FEATURES = 32, 6, (4, 4), 8, (16, 12), 3
GAMMA, PENALTY, TEMPERATURE = 0.9, 0.02, 0.3
FRAME_PX = 88  # the smallest that LeRobot's own four convolutions turn into a map of 4x4


@dataclass(frozen=True)
class Link:
    """A parameter of ours, which part of it in which shape, and LeRobot's, which is `factor` times as large."""

    ours: Tensor
    part: Callable[[Tensor], Tensor]
    theirs: Tensor
    factor: float = 1.0

    def copy(self) -> None:
        self.theirs.copy_(self.factor * self.part(self.ours))


@dataclass(frozen=True)
class LeRobot:
    """What is imported of LeRobot. `sac` is the module of `SACAlgorithm`, `actor` that of its policy."""

    sac: types.ModuleType
    actor: types.ModuleType
    buffer: types.ModuleType
    configs: types.ModuleType

    def algorithm(self, gripper: str, shared: bool, members: int, **settings: object) -> Any:
        """A `SACAlgorithm` of our shapes at its own random initialisation."""
        feature, kind = self.configs.PolicyFeature, self.configs.FeatureType
        cameras = range(len(CONTRACT.cameras))
        images = {f"observation.images.camera{i}": feature(kind.VISUAL, (3, FRAME_PX, FRAME_PX)) for i in cameras}
        state = {"observation.state": feature(kind.STATE, (len(CONTRACT.proprioception),))}
        discrete = gripper == "discrete"
        heads = self.actor.CriticNetworkConfig(hidden_dims=list(HIDDEN))
        config = self.actor.GaussianActorConfig(
            input_features=images | state,
            output_features={"action": feature(kind.ACTION, (len(CONTRACT.action) - discrete,))},
            device="cpu",
            image_encoder_hidden_dim=CHANNELS,
            shared_encoder=shared,
            num_discrete_actions=3 if discrete else None,
            image_embedding_pooling_dim=FEATURES,
            latent_dim=WIDTH,
            actor_network_kwargs=self.actor.ActorNetworkConfig(hidden_dims=list(HIDDEN)),
            discrete_critic_network_kwargs=heads,
        )
        torch.manual_seed(0)
        policy = self.actor.GaussianActorPolicy(config).eval()  # no dropout
        for encoder in (policy.encoder_critic, policy.encoder_actor):
            encoder.image_encoder = nn.Identity()
        sac_config = self.sac.SACAlgorithmConfig.from_policy_config(config)
        sac_config.critic_network_kwargs = heads
        for name, value in ({"num_critics": members, "discount": GAMMA} | settings).items():
            assert hasattr(sac_config, name), name
            setattr(sac_config, name, value)
        algorithm = self.sac.SACAlgorithm(policy, sac_config)
        algorithm.make_optimizers_and_scheduler()
        return algorithm

    def mirror(self, sac: Sac, **settings: object) -> Any:
        """A `SACAlgorithm` with our weights, target heads and temperature, and with tanh."""
        network = sac.policy.spec.network
        members = sac.settings.critics
        peer = self.algorithm(network.gripper, network.shared_trunk, members, **settings)
        networks = (peer.policy, peer.critic_ensemble, peer.critic_target, peer.discrete_critic_target)
        for module in chain(*(network.modules() for network in networks if network is not None)):
            if isinstance(module, self.actor.MLP):
                module.net = nn.Sequential(*(nn.Tanh() if isinstance(m, nn.SiLU) else m for m in module.net))
        with torch.no_grad():
            for link in chain(critic_links(sac, peer), actor_links(sac, peer), target_links(sac, peer)):
                link.copy()
            peer.log_alpha.fill_(sac.log_temperature)
        return peer


@pytest.fixture(scope="module")
def lerobot() -> LeRobot:
    """LeRobot takes seconds to import."""
    from lerobot.configs import types as configs
    from lerobot.policies.gaussian_actor import configuration_gaussian_actor, modeling_gaussian_actor
    from lerobot.rl import buffer
    from lerobot.rl.algorithms.sac import sac_algorithm

    actor = types.ModuleType("actor")
    vars(actor).update(vars(configuration_gaussian_actor) | vars(modeling_gaussian_actor))
    return LeRobot(sac_algorithm, actor, buffer, configs)


def linear(
    ours: GroupedLinear, group: int, theirs: Any, columns: slice = slice(None), factor: float = 1.0
) -> Iterator[Link]:
    yield Link(ours.weight, lambda t: t[group, :, columns].T, theirs.weight, factor)
    yield Link(ours.bias, lambda t: t[group, 0, columns], theirs.bias, factor)


def norm(ours: GroupedNorm, group: int, theirs: Any) -> Iterator[Link]:
    yield Link(ours.weight, lambda t: t[group, 0], theirs.weight)
    yield Link(ours.bias, lambda t: t[group, 0], theirs.bias)


def mlp(ours: Mlp, group: int, theirs: Any) -> Iterator[Link]:
    for layer, (its_linear, its_norm) in enumerate(zip(ours.linears, ours.norms, strict=True)):
        assert isinstance(its_linear, GroupedLinear)
        assert isinstance(its_norm, GroupedNorm)
        yield from linear(its_linear, group, theirs.net[3 * layer])  # linear, norm, activation
        yield from norm(its_norm, group, theirs.net[3 * layer + 1])


def trunk(ours: ObservationTrunk, theirs: Any) -> Iterator[Link]:
    heads: Any = ours.heads
    for camera in range(len(CONTRACT.cameras)):
        name = f"observation_images_camera{camera}"
        post = theirs.post_encoders[name]  # dropout, linear, norm, tanh
        kernel = theirs.spatial_embeddings[name].kernel
        yield Link(heads.kernel, lambda t, camera=camera: t[camera].unflatten(1, CELLS), kernel)  # type: ignore[misc]
        yield Link(heads.linear.weight, lambda t, camera=camera: t[camera], post[1].weight)  # type: ignore[misc]
        yield Link(heads.linear.bias, lambda t, camera=camera: t[camera, :, 0], post[1].bias)  # type: ignore[misc]
        yield from norm(heads.norm, camera, post[2])
    yield from linear(ours.proprioception, 0, theirs.state_encoder[0])
    yield from norm(ours.norm, 0, theirs.state_encoder[1])


def critic_links(sac: Sac, peer: Any) -> Iterator[Link]:
    """All that the critic's optimiser trains."""
    yield from trunk(sac.critic.trunk, peer.policy.encoder_critic)
    for member, head in enumerate(peer.critic_ensemble.critics):
        yield from mlp(sac.critic.ensemble.mlp, member, head.net)
        yield from linear(sac.critic.ensemble.out, member, head.output_layer)
    if sac.policy.grasp is not None:
        yield from mlp(sac.policy.grasp.mlp, 0, peer.policy.discrete_critic.net)
        yield from linear(sac.policy.grasp.out, 0, peer.policy.discrete_critic.output_layer)


def actor_links(sac: Sac, peer: Any) -> Iterator[Link]:
    """All that the actor's optimiser trains, but the temperature."""
    if sac.policy.trunk is not sac.critic.trunk:
        yield from trunk(sac.policy.trunk, peer.policy.encoder_actor)
    actor, actions = sac.policy.actor, peer.policy.actor.action_dim
    yield from mlp(actor.mlp, 0, peer.policy.actor.network)
    yield from linear(actor.out, 0, peer.policy.actor.mean_layer, slice(None, actions))
    yield from linear(actor.out, 0, peer.policy.actor.std_layer, slice(actions, None), 2)  # log variance


def target_links(sac: Sac, peer: Any) -> Iterator[Link]:
    """Heads only: LeRobot's targets have no trunk of their own."""
    for member, head in enumerate(peer.critic_target.critics):
        yield from mlp(sac.critic_target.ensemble.mlp, member, head.net)
        yield from linear(sac.critic_target.ensemble.out, member, head.output_layer)
    if sac.grasp_target is not None:
        grasp: Any = sac.grasp_target[0]
        yield from mlp(grasp.mlp, 0, peer.discrete_critic_target.net)
        yield from linear(grasp.out, 0, peer.discrete_critic_target.output_layer)


def make_sac(gripper: str = "discrete", shared: bool = True, **settings: object) -> Sac:
    """Our algorithm with LeRobot's heads, HIL-SERL's losses and targets whose heads have gone their own way."""
    network = {"head": "spatial", "head_width": WIDTH, "spatial_features": FEATURES, "dropout": 0.0}
    network |= {"proprioception_width": WIDTH, "hidden": HIDDEN, "gripper": gripper, "shared_trunk": shared}
    spec = PolicySpec(
        contract_hash=CONTRACT.hash,
        encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=CHANNELS),
        reduced_channels=None,
        network=NetworkSettings.model_validate(network),
    )
    plain = {"actor_every": 1, "reward_scale": 1.0, "bc_weight": 0.0, "target_entropy": None}
    chosen = plain | {"gripper_penalty": PENALTY, "temperature_init": TEMPERATURE} | settings
    sac = Sac(spec, CONTRACT, SacSettings.model_validate(chosen), 0, CPU)
    torch.manual_seed(1)
    targets: list[Any] = [sac.critic_target.ensemble, *([] if sac.grasp_target is None else [sac.grasp_target[0]])]
    for module in (sac.policy, sac.critic, *targets):  # norms and biases are not those of the start either
        for parameter in module.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    sac.policy.actor.out.weight.data *= 0.3  # the limits of the standard deviation differ, and are out of reach
    sac.critic_target.trunk.load_state_dict(sac.critic.trunk.state_dict())  # which LeRobot cannot tell apart
    return sac


def make_batch() -> Batch:
    """One-step transitions; one in five ends."""
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    ends = torch.arange(SIZE) % 5 == 0
    return Batch(
        maps=normal(2, SIZE, CHANNELS, *CELLS).half(),
        next_maps=normal(2, SIZE, CHANNELS, *CELLS).half(),
        proprioception=normal(SIZE, 5),
        next_proprioception=normal(SIZE, 5),
        action=torch.tanh(normal(SIZE, 4)),  # the gripper is rounded by either
        reward=normal(SIZE),
        discount=torch.where(ends, 0.0, GAMMA),
        gripper_changes=(normal(SIZE) > 0).float(),
        demo=SIZE // 2,
    )


def for_lerobot(batch: Batch, gripper: str = "discrete", penalty: float = PENALTY) -> dict[str, Any]:
    """The batch as LeRobot's buffer would give it. Its gripper is 0, 1, 2, its penalty negative, its discount fixed."""

    def observation(maps: Tensor, proprioception: Tensor) -> dict[str, Tensor]:
        return {f"observation.images.camera{i}": m.float() for i, m in enumerate(maps)} | {
            "observation.state": proprioception
        }

    return {
        "state": observation(batch.maps, batch.proprioception),
        "next_state": observation(batch.next_maps, batch.next_proprioception),
        "action": batch.action + torch.tensor([0, 0, 0, 1.0]) if gripper == "discrete" else batch.action,
        "reward": batch.reward,
        "done": (batch.discount == 0).float(),
        "complementary_info": {"discrete_penalty": -penalty * batch.gripper_changes},
    }


def next_noise(sac: Sac) -> Tensor:
    """What the next update will draw: for the action at s', and for the one at s."""
    generator = torch.Generator()
    generator.set_state(sac.generator.get_state())
    actions = len(CONTRACT.action) - sac.policy.discrete
    return torch.randn(2, SIZE, actions, generator=generator)


@contextmanager
def drawing(noise: Tensor) -> Iterator[None]:
    """LeRobot's actor draws this noise, as often as it is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.distributions.multivariate_normal._standard_normal", lambda *_, **__: noise)
        yield


def losses(peer: Any, batch: dict[str, Any], noise: Tensor) -> dict[str, Tensor]:
    """LeRobot's, all from the weights as they are."""
    forward = peer._prepare_forward_batch(batch)
    with drawing(noise[0]):
        found = {"critic": peer._compute_loss_critic(forward)}
    if peer.discrete_critic_target is not None:
        found["grasp"] = peer._compute_loss_discrete_critic(forward)
    with drawing(noise[1]):
        return found | {
            "actor": peer._compute_loss_actor(forward),
            "temperature": peer._compute_loss_temperature(forward),
        }


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def same(ours: float | Tensor, theirs: Tensor) -> None:
    close(torch.as_tensor(ours), theirs.detach().reshape(()))


KINDS = pytest.mark.parametrize(
    ("gripper", "shared", "backup"),
    [("discrete", True, True), ("discrete", True, False), ("continuous", True, True), ("continuous", False, False)],
)


class TestOneUpdateWithLeRobotsChoices:
    @KINDS
    def test_its_losses_are_lerobots(self, lerobot: LeRobot, gripper: str, shared: bool, backup: bool) -> None:
        sac = make_sac(gripper, shared, backup_entropy=backup, actor_q="min")
        batch, noise = make_batch(), next_noise(sac)
        peer = lerobot.mirror(sac, use_backup_entropy=backup)
        theirs = losses(peer, for_lerobot(batch, gripper), noise)
        sac.update(batch)
        ours = sac.read_metrics()
        same(2 * ours["critic_loss"], theirs["critic"])  # LeRobot sums over its two critics
        same(ours["actor_loss"], theirs["actor"])
        if gripper == "discrete":
            same(ours["grasp_loss"], theirs["grasp"])
        assert sac.log_temperature.grad is not None
        same(sac.log_temperature.grad, theirs["temperature"])  # alpha (H - H*) is its own derivative by log alpha

    @KINDS
    def test_its_gradients_are_lerobots(self, lerobot: LeRobot, gripper: str, shared: bool, backup: bool) -> None:
        sac = make_sac(gripper, shared, backup_entropy=backup, actor_q="min")
        batch, noise = make_batch(), next_noise(sac)
        peer = lerobot.mirror(sac, use_backup_entropy=backup)
        theirs = losses(peer, for_lerobot(batch, gripper), noise)
        links = [*critic_links(sac, peer), *actor_links(sac, peer)]
        acting = [link.theirs for link in actor_links(sac, peer)]
        (theirs["critic"] / 2 + theirs.get("grasp", 0)).backward()
        theirs["actor"].backward(inputs=acting)
        theirs["temperature"].backward()
        sac.update(batch)
        for link in links:
            assert link.ours.grad is not None
            assert link.theirs.grad is not None
            assert link.theirs.grad.abs().max() > 0
            close(link.part(link.ours.grad), link.factor * link.theirs.grad)
        assert peer.log_alpha.grad is not None
        assert sac.log_temperature.grad is not None
        same(sac.log_temperature.grad, peer.log_alpha.grad)
        compared = sum(link.theirs.numel() for link in links) + 1
        assert compared == sum(p.numel() for p in (*sac._critic_parameters, *sac._actor_parameters))

    def test_the_target_entropy_is_minus_half_the_actions_with_the_gripper(self, lerobot: LeRobot) -> None:
        sac = make_sac()
        assert sac.target_entropy == lerobot.mirror(sac).target_entropy == -2  # -(3 + 1) / 2


class TestFormulas:
    def test_on_lerobots_own_networks_they_give_lerobots_losses(self, lerobot: LeRobot) -> None:
        peer = lerobot.algorithm("discrete", shared=True, members=3, use_backup_entropy=True, temperature_init=0.5)
        batch = make_batch()
        theirs = for_lerobot(batch)
        noise = torch.randn(2, SIZE, 3, generator=torch.Generator().manual_seed(4))
        expected = losses(peer, theirs, noise)
        now, following = theirs["state"], theirs["next_state"]
        alpha = torch.tensor(0.5)
        with torch.no_grad():
            with drawing(noise[0]):
                next_action, next_log_prob, _ = peer.policy.actor(following)
            with drawing(noise[1]):
                action, log_prob, _ = peer.policy.actor(now)
            next_q = peer.critic_target(following, next_action)
            y = critic_target(batch.reward, batch.discount, next_q, -alpha * next_log_prob)
            q = peer.critic_ensemble(now, batch.action[:, :3])
            same(3 * critic_loss(q, y), expected["critic"])
            same(actor_loss(peer.critic_ensemble(now, action), log_prob, alpha, "min"), expected["actor"])
            same(temperature_loss(alpha.log(), log_prob, -2.0), expected["temperature"])
            reward = batch.reward - PENALTY * batch.gripper_changes
            online, target = peer.policy.discrete_critic(following), peer.discrete_critic_target(following)
            y = grasp_target(reward, batch.discount, online, target)
            same(grasp_loss(peer.policy.discrete_critic(now), batch.action[:, -1], y), expected["grasp"])


class TestWhereLeRobotDiffersFromHilSerl:
    def test_its_actor_minds_the_worst_critic_and_ours_their_mean(self, lerobot: LeRobot) -> None:
        sac = make_sac(actor_q="mean")
        batch, noise = make_batch(), next_noise(sac)
        peer = lerobot.mirror(sac)
        observation = for_lerobot(batch)["state"]
        with torch.no_grad(), drawing(noise[1]):
            action, log_prob, _ = peer.policy.actor(observation)
            q = peer.critic_ensemble(observation, action)  # (2, B), by LeRobot's layers
        sac.update(batch)
        same(sac.read_metrics()["actor_loss"], (TEMPERATURE * log_prob - (q[0] + q[1]) / 2).mean())
        same(losses(peer, for_lerobot(batch), noise)["actor"], (TEMPERATURE * log_prob - torch.minimum(*q)).mean())

    @pytest.mark.parametrize("critics", [1, 2, 5])
    def test_it_sums_over_the_critics_and_ours_is_their_mean(self, lerobot: LeRobot, critics: int) -> None:
        sac = make_sac(critics=critics)
        batch, noise = make_batch(), next_noise(sac)
        theirs = losses(lerobot.mirror(sac, use_backup_entropy=False), for_lerobot(batch), noise)
        sac.update(batch)
        same(critics * sac.read_metrics()["critic_loss"], theirs["critic"])

    def test_its_targets_look_through_the_online_encoder_and_ours_through_one_of_their_own(
        self, lerobot: LeRobot
    ) -> None:
        batch = make_batch()
        reference, sac = make_sac(), make_sac()
        noise = next_noise(sac)
        with torch.no_grad():
            for parameter in sac.critic_target.trunk.parameters():  # it lags behind
                parameter.mul_(0.5)
        before = losses(lerobot.mirror(reference, use_backup_entropy=False), for_lerobot(batch), noise)
        peer = lerobot.mirror(sac, use_backup_entropy=False)
        after = losses(peer, for_lerobot(batch), noise)
        assert peer.critic_target.encoder is peer.critic_ensemble.encoder
        assert after["critic"] == before["critic"]  # it has nowhere to put a second trunk

        # The same heads on the lagging trunk, by LeRobot's layers: only Q'(s', .) changes.
        lagging = lerobot.mirror(sac, use_backup_entropy=False)
        with torch.no_grad():
            for link in trunk(sac.critic_target.trunk, lagging.policy.encoder_critic):
                link.copy()
            following = for_lerobot(batch)["next_state"]
            with drawing(noise[0]):
                next_action, *_ = peer.policy.actor(following)
            next_q = lagging.critic_target(following, next_action)
            y = batch.reward + batch.discount * torch.minimum(*next_q)
            q = peer.critic_ensemble(for_lerobot(batch)["state"], batch.action[:, :3])
            best = peer.policy.discrete_critic(following).argmax(-1)
            next_grasp = lagging.discrete_critic_target(following)[torch.arange(SIZE), best]
            grasp_y = batch.reward - PENALTY * batch.gripper_changes + batch.discount * next_grasp
            values = peer.policy.discrete_critic(for_lerobot(batch)["state"])
            chosen = values[torch.arange(SIZE), batch.action[:, -1].round().long() + 1]
        sac.update(batch)
        ours = sac.read_metrics()
        same(ours["critic_loss"], ((q - y) ** 2).mean())
        same(ours["grasp_loss"], ((chosen - grasp_y) ** 2).mean())
        assert abs(2 * ours["critic_loss"] - before["critic"].item()) > 1e-3

    def test_at_utd_1_it_forgets_the_gripper_penalty_and_ours_does_not(self, lerobot: LeRobot) -> None:
        batch = make_batch()
        theirs, ours = [], []
        for penalty in (0.0, 0.5):
            peer = lerobot.mirror(make_sac(), utd_ratio=1)
            noise = next_noise(make_sac())
            with drawing(noise[0]):
                stats = peer.update(iter([for_lerobot(batch, penalty=penalty)]))
            theirs.append(stats.losses["loss_discrete_critic"])
            sac = make_sac(gripper_penalty=penalty)
            sac.update(batch)
            ours.append(sac.read_metrics()["grasp_loss"])
            # Its formula knows the penalty, and agrees; it is only never given it.
            expected = losses(lerobot.mirror(make_sac()), for_lerobot(batch, penalty=penalty), noise)["grasp"]
            same(ours[-1], expected)
        assert theirs[0] == theirs[1]
        assert abs(ours[0] - ours[1]) > 1e-2

    def test_its_actor_takes_the_standard_deviation_for_a_variance(self, lerobot: LeRobot) -> None:
        # `MultivariateNormal(loc, matrix)` reads the matrix as covariance. HIL-SERL's `scale_diag` is the deviation.
        peer = lerobot.algorithm("continuous", shared=True, members=1)
        observation = for_lerobot(make_batch(), "continuous")["state"]
        noise = torch.randn(SIZE, 4, generator=torch.Generator().manual_seed(5))
        actor = peer.policy.actor
        with torch.no_grad(), drawing(noise):
            action, _, mean = actor(observation)
            log_std = actor.std_layer(actor.network(actor.encoder(observation)))
        close(action, torch.tanh(mean + log_std.exp().sqrt() * noise))
        sac = make_sac("continuous")
        with torch.no_grad():
            mean, log_std = sac.policy.actor(sac.policy.trunk(make_batch().maps.float(), make_batch().proprioception))
            action = sac.policy.act(make_batch().maps.float(), make_batch().proprioception, noise)
        close(action, torch.tanh(mean + log_std.exp() * noise))

    def test_its_buffer_bootstraps_a_time_out_from_the_next_episode(self, lerobot: LeRobot) -> None:
        # What ours does is held by `test_replay.py` and `test_by_hand.py`.
        buffer = lerobot.buffer.ReplayBuffer(
            8, "cpu", ["observation.state"], image_augmentation_function=torch.clone, optimize_memory=True
        )
        for number, truncated in ((1.0, False), (2.0, True), (10.0, False), (11.0, False)):
            here, there = ({"observation.state": torch.full((1, 1), n)} for n in (number, number + 1))
            buffer.add(here, torch.zeros(1, 4), 0.0, there, done=False, truncated=truncated)
        torch.manual_seed(0)
        batches = [buffer.sample(4) for _ in range(20)]
        state, following = (torch.cat([b[k]["observation.state"] for b in batches]) for k in ("state", "next_state"))
        done = torch.cat([b["done"] for b in batches])
        assert set(following[state == 2].tolist()) == {10}  # 3 was given
        assert not done.any()

    def test_its_defaults_are_others_than_hil_serls(self, lerobot: LeRobot) -> None:
        theirs, paper = lerobot.sac.SACAlgorithmConfig(), load_preset(Settings, "paper").learner
        ours = paper.sac
        assert (theirs.discount, ours.discount) == (0.99, 0.97)
        assert (theirs.temperature_init, ours.temperature_init) == (1.0, 0.01)
        assert (theirs.use_backup_entropy, ours.backup_entropy) == (True, False)
        assert (theirs.utd_ratio, paper.trainer.utd) == (1, 2)
        assert (theirs.grad_clip_norm, hasattr(ours, "grad_clip_norm")) == (40, False)
        actor = lerobot.actor.PolicyConfig()
        assert (actor.std_max, paper.network.std_max) == (10, 5)
        peer = lerobot.algorithm("discrete", shared=True, members=2)
        assert any(isinstance(layer, nn.SiLU) for layer in peer.critic_ensemble.modules())  # HIL-SERL has tanh
        for same_in_both in ("actor_lr", "critic_lr", "temperature_lr", "target_entropy"):
            assert getattr(theirs, same_in_both) == getattr(ours, same_in_both)
        assert (theirs.critic_target_update_weight, theirs.num_critics) == (ours.tau, ours.critics)
        assert (actor.std_min, theirs.num_subsample_critics) == (paper.network.std_min, ours.target_subset)
