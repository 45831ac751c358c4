"""SAC after RLPD, with HIL-SERL's settings to choose: losses as pure functions, and the update that uses them.

Notation: r reward, gamma^m discount over the m <= n steps of an n-step return (0 after termination), a' ~ pi(.|s'),
alpha temperature, Q_i members of the ensemble, Q'_i their target networks.
"""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from learner.critic import Critic
from learner.replay import Batch
from learner.settings import SacSettings
from policy.contract import Contract
from policy.encoder import has_bfloat16
from policy.network import PolicyNetwork, PolicySpec, tanh_gaussian

METRICS_EVERY = 10  # updates of the actor; each reading costs a dozen small operations


def critic_target(reward: Tensor, discount: Tensor, next_q: Tensor, entropy_bonus: Tensor | None = None) -> Tensor:
    """y = r + gamma^m (min_i Q'_i(s', a') [- alpha log pi(a'|s')]).

    reward, discount: (B,); next_q: (members, B); entropy_bonus: -alpha log pi, (B,); returns (B,)
    """
    value = next_q.min(dim=0).values
    return torch.addcmul(reward, discount, value if entropy_bonus is None else value + entropy_bonus)


def critic_loss(q: Tensor, target: Tensor) -> Tensor:
    """mean_i mean_b (Q_i(s, a) - y)^2. q: (members, B); target: (B,)."""
    return (q - target).square().mean()


def actor_loss(q: Tensor, log_prob: Tensor, temperature: Tensor, actor_q: Literal["mean", "min"] = "mean") -> Tensor:
    """mean_b (alpha log pi(a|s) - Q(s, a)), Q the mean (RLPD, HIL-SERL) or the minimum of the ensemble.

    q: (members, B); log_prob: (B,); temperature: ()
    """
    value = q.mean(dim=0) if actor_q == "mean" else q.min(dim=0).values
    return (temperature * log_prob - value).mean()


def temperature_loss(log_temperature: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """alpha (H - H*), H = -mean log pi: alpha falls while the policy is more random than the target entropy H*."""
    return log_temperature.exp() * (-log_prob.mean() - target_entropy)


def bc_loss(mean: Tensor, demo_action: Tensor) -> Tensor:
    """mean_b sum_i (tanh(mean_i) - a_i)^2 over demonstrated actions. Both (B, A)."""
    return (torch.tanh(mean) - demo_action).square().sum(-1).mean()


def grasp_target(reward: Tensor, discount: Tensor, next_online: Tensor, next_target: Tensor) -> Tensor:
    """y = r + gamma^m Q'(s', argmax_g Q(s', g)): double DQN. reward, discount: (B,); the values: (B, 3)."""
    best = next_online.argmax(dim=-1, keepdim=True)
    return reward + discount * next_target.gather(-1, best).squeeze(-1)


def grasp_loss(values: Tensor, gripper: Tensor, target: Tensor) -> Tensor:
    """mean_b (Q(s, g) - y)^2. values: (B, 3); gripper: executed, -1..1, (B,), rounded to -1, 0, +1; target: (B,)."""
    chosen = values.gather(-1, (gripper.round().long() + 1)[:, None]).squeeze(-1)
    return (chosen - target).square().mean()


def use_matmul(matmul: Literal["auto", "float32", "bfloat16"], device: torch.device) -> None:
    """Set the arithmetic of this process's float32 matrix products; weights and all other operations stay float32.

    With bfloat16 inside, an update takes a fifth less on a processor with AMX; without the hardware it is emulated.
    """
    inside = matmul == "bfloat16" or (matmul == "auto" and (device.type == "cuda" or has_bfloat16()))
    torch.set_float32_matmul_precision("medium" if inside else "highest")


class Sac:
    """Networks, targets, optimisers and temperature of one run; `update` is one gradient step of the critic.

    Actor and temperature are updated with every `actor_every`-th update, from the same batch and the same critic.
    All randomness comes from `generator`. Nothing waits for the device but `read_metrics`.
    """

    def __init__(
        self, spec: PolicySpec, contract: Contract, settings: SacSettings, seed: int, device: torch.device
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.critic = Critic(spec, contract, settings.critics).to(device)
            shared = self.critic.trunk if spec.network.shared_trunk else None
            self.policy = PolicyNetwork(spec, contract, shared).to(device)
        self.settings = settings
        self.device = device
        self.updates = 0
        self.generator = torch.Generator(device).manual_seed(seed)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(settings.temperature_init), device=device))
        self.critic_target = _frozen_copy(self.critic)
        self.grasp_target: nn.ModuleList | None = None
        if self.policy.grasp is not None:
            own = [self.policy.grasp] + ([] if self.policy.grasp_trunk is None else [self.policy.grasp_trunk])
            self.grasp_target = _frozen_copy(nn.ModuleList(own))
        self.target_entropy = -len(contract.action) / 2 if settings.target_entropy is None else settings.target_entropy
        self._collect_parameters()
        self._sums = torch.zeros(len(self.metric_names), device=device)
        self._readings = 0

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of what `read_metrics` returns."""
        names = ("critic_loss", "q_mean", "q_max", "actor_loss", "entropy", "temperature", "bc_loss")
        return (*names, "grasp_loss", "grasp_q") if self.policy.discrete else names

    def modules(self) -> dict[str, nn.Module]:
        """Every network by name, as a checkpoint stores them. A shared trunk appears in `policy` and in `critic`."""
        found: dict[str, nn.Module] = {
            "policy": self.policy,
            "critic": self.critic,
            "critic_target": self.critic_target,
        }
        return found if self.grasp_target is None else {**found, "grasp_target": self.grasp_target}

    def update(self, batch: Batch) -> None:
        """One gradient step of the critic(s), and of actor and temperature when it is their turn."""
        batch = batch.to(self.device)
        maps, next_maps = batch.maps.float(), batch.next_maps.float()
        noise = torch.randn(2, len(batch.reward), self._actions, generator=self.generator, device=self.device)
        features = self.critic.trunk(maps, batch.proprioception, self.generator)
        loss, q, grasp = self._critic_step_loss(batch, maps, next_maps, features, noise[0])
        acts = self.updates % self.settings.actor_every == 0
        self.critic_optimiser.zero_grad()
        loss.backward(inputs=self._critic_parameters)
        if acts:
            # With the critic as it was before its step, as HIL-SERL does: its features are reused, not computed again.
            self._actor_step(batch, maps, features.detach(), noise[1], (loss, q, grasp))
        self.critic_optimiser.step()
        torch._foreach_lerp_(self._target_parameters, self._critic_parameters, self.settings.tau)
        self.updates += 1

    def read_metrics(self) -> dict[str, float]:
        """Means since the last reading; empty when there were no updates. Waits for the device."""
        if self._readings == 0:
            return {}
        values = (self._sums / self._readings).tolist()
        self._sums.zero_()
        self._readings = 0
        return dict(zip(self.metric_names, values, strict=True)) | {"bc_weight": self._bc_weight()}

    def not_finite(self) -> list[str]:
        """Names of weights and losses that hold NaN or infinity. Waits for the device."""
        named = {
            f"{kind}.{name}": tensor
            for kind, module in self.modules().items()
            for name, tensor in module.state_dict().items()
        }
        named |= {"log_temperature": self.log_temperature.detach(), "losses": self._sums}
        finite = torch.isfinite(torch.stack([tensor.sum() for tensor in named.values()])).tolist()
        return [name for name, good in zip(named, finite, strict=True) if not good]

    def _critic_step_loss(
        self, batch: Batch, maps: Tensor, next_maps: Tensor, features: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        settings = self.settings
        reward = batch.reward * settings.reward_scale
        with torch.no_grad():
            following = next_maps, batch.next_proprioception, self.generator
            target_features = self.critic_target.trunk(*following)
            online_features = self.policy.trunk(*following)
            mean, log_std = self.policy.actor(online_features)
            next_action, next_log_prob = tanh_gaussian(mean, log_std, noise)
            next_q = self.critic_target.ensemble(target_features, next_action)
            bonus = -self.log_temperature.exp() * next_log_prob if settings.backup_entropy else None
            target = critic_target(reward, batch.discount, self._subset(next_q), bonus)
        q = self.critic.ensemble(features, batch.action[:, : self._actions])
        loss = critic_loss(q, target)
        if self.policy.grasp is None:
            return loss, q, None
        trunks = features, online_features, target_features
        grasp, values = self._grasp_loss(batch, maps, next_maps, trunks)
        return loss + grasp, q, (grasp, values)

    def _grasp_loss(
        self, batch: Batch, maps: Tensor, next_maps: Tensor, trunks: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Loss and values of the grasp critic. trunks: of s, s' and s' by the target; its own when they are shared."""
        features, online_next, target_next = trunks
        head, trunk = self.policy.grasp, self.policy.grasp_trunk
        assert head is not None
        assert self.grasp_target is not None
        penalty = self.settings.gripper_penalty
        reward = (batch.reward - penalty * batch.gripper_changes) * self.settings.reward_scale
        with torch.no_grad():
            if trunk is not None:
                following = next_maps, batch.next_proprioception, self.generator
                online_next, target_next = trunk(*following), self.grasp_target[1](*following)
            target = grasp_target(reward, batch.discount, head(online_next), self.grasp_target[0](target_next))
        if trunk is not None:
            features = trunk(maps, batch.proprioception, self.generator)
        values = head(features)
        return grasp_loss(values, batch.action[:, -1], target), values

    def _actor_step(
        self,
        batch: Batch,
        maps: Tensor,
        features: Tensor,
        noise: Tensor,
        critic: tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None],
    ) -> None:
        """Gradient step of actor and temperature. features: of the critic's trunk, detached; critic: for metrics."""
        shared = self.policy.trunk is self.critic.trunk
        own = features if shared else self.policy.trunk(maps, batch.proprioception, self.generator)
        mean, log_std = self.policy.actor(own)
        action, log_prob = tanh_gaussian(mean, log_std, noise)
        temperature = self.log_temperature.detach().exp()
        loss = actor_loss(self.critic.ensemble(features, action), log_prob, temperature, self.settings.actor_q)
        weight, bc = self._bc_weight(), torch.zeros((), device=self.device)
        total = loss
        if weight > 0 and batch.demo > 0:
            bc = bc_loss(mean[: batch.demo], batch.action[: batch.demo, : self._actions])
            total = loss + weight * bc
        total = total + temperature_loss(self.log_temperature, log_prob.detach(), self.target_entropy)
        self.actor_optimiser.zero_grad()
        total.backward(inputs=self._actor_parameters)
        self.actor_optimiser.step()
        if self.updates // self.settings.actor_every % METRICS_EVERY == 0:
            self._record(critic, loss, log_prob, temperature, bc)

    @torch.no_grad()
    def _record(
        self,
        critic: tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None],
        loss: Tensor,
        log_prob: Tensor,
        temperature: Tensor,
        bc: Tensor,
    ) -> None:
        total, q, grasp = critic
        values = [total, q.mean(), q.max(), loss, -log_prob.mean(), temperature, bc]
        if grasp is not None:
            values += [grasp[0], grasp[1].mean()]
            values[0] = total - grasp[0]
        self._sums += torch.stack(values)
        self._readings += 1

    def _subset(self, next_q: Tensor) -> Tensor:
        """REDQ: a random subset of the members for this target."""
        size = self.settings.target_subset
        if size is None or size >= len(next_q):
            return next_q
        chosen = torch.randperm(len(next_q), generator=self.generator, device=self.device)[:size]
        return next_q[chosen]

    def _bc_weight(self) -> float:
        return self.settings.bc_weight * math.pow(0.5, self.updates / self.settings.bc_half_life_updates)

    def _collect_parameters(self) -> None:
        settings, policy = self.settings, self.policy
        grasp: list[nn.Module] = [module for module in (policy.grasp, policy.grasp_trunk) if module is not None]
        self._critic_parameters: list[Tensor] = [p for module in (self.critic, *grasp) for p in module.parameters()]
        targets: list[nn.Module] = [self.critic_target, *([] if self.grasp_target is None else [self.grasp_target])]
        self._target_parameters: list[Tensor] = [p for module in targets for p in module.parameters()]
        acting: list[Tensor] = list(policy.actor.parameters())
        if policy.trunk is not self.critic.trunk:
            acting += list(policy.trunk.parameters())
        self._actor_parameters = [*acting, self.log_temperature]
        self._actions: int = policy.actor.out.weight.shape[-1] // 2
        self.critic_optimiser = torch.optim.Adam(self._critic_parameters, lr=settings.critic_lr, fused=True)
        groups: list[dict[str, Any]] = [
            {"params": acting},
            {"params": [self.log_temperature], "lr": settings.temperature_lr},
        ]
        self.actor_optimiser = torch.optim.Adam(
            groups,
            lr=settings.actor_lr,
            fused=True,
        )


def _frozen_copy[M: nn.Module](module: M) -> M:
    return copy.deepcopy(module).requires_grad_(False)
