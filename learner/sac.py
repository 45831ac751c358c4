"""SAC after RLPD, with HIL-SERL's settings to choose: the networks of a run, and the update that trains them.

Losses are in `learner.losses`, whose notation is used here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from learner.batch import Batch
from learner.capture import GraphRecorder, RecordedStep, Step
from learner.critic import Critic
from learner.inputs import Inputs, Kind, random_words
from learner.losses import actor_loss, bc_loss, critic_loss, critic_target, grasp_loss, grasp_target, temperature_loss
from learner.settings import SacSettings
from policy.contract import Contract
from policy.encoder import has_bfloat16
from policy.network import PolicyNetwork, PolicySpec, float_maps, tanh_gaussian

METRICS_EVERY = 10  # updates of the actor; each reading costs a dozen small operations


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

    policy: what is trained. acting: what actors get: its running mean over updates, which is steadier (Polyak and
        Juditsky, SIAM J. Control Optim. 30, 1992); the same object where `policy_tau` is 1
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
        self.acting = self.policy if settings.policy_tau == 1 else _frozen_copy(self.policy)
        self._collect_parameters()
        self._sums = torch.zeros(len(self.metric_names), device=device)
        self._readings = 0
        self._run: Step = self._recorded() if self._captures else self._step

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of what `read_metrics` returns."""
        losses = ("critic_loss", "q_mean", "q_min", "q_max", "actor_loss", "entropy", "temperature", "bc_loss")
        names = (*losses, "critic_gradient_norm", "actor_gradient_norm")
        return (*names, "grasp_loss", "grasp_q") if self.policy.discrete else names

    def modules(self) -> dict[str, nn.Module]:
        """Every network by name, as a checkpoint stores them. A shared trunk appears in `policy` and in `critic`."""
        found: dict[str, nn.Module] = {
            "policy": self.policy,
            "critic": self.critic,
            "critic_target": self.critic_target,
        }
        if self.grasp_target is not None:
            found["grasp_target"] = self.grasp_target
        if self.acting is not self.policy:
            found["acting"] = self.acting
        return found

    def update(self, batch: Batch) -> None:
        """One gradient step of the critic(s), and of actor and temperature when it is their turn."""
        turn, rest = divmod(self.updates, self.settings.actor_every)
        acts = rest == 0
        kind = Kind(acts, acts and turn % METRICS_EVERY == 0, len(batch.reward), batch.demo)
        self._run(kind, self._inputs(batch.to(self.device), acts))
        self._readings += kind.records
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

    def _inputs(self, batch: Batch, acts: bool) -> Inputs:
        """All that is random in an update, drawn at once, and what else changes."""
        settings, generator, device = self.settings, self.generator, self.device
        size, members, words = settings.target_subset, None, None
        noise = torch.randn(2, len(batch.reward), self._actions, generator=generator, device=device)
        if size is not None and size < settings.critics:
            members = torch.randperm(settings.critics, generator=generator, device=device)[:size]
        dropped = self.critic.trunk.heads.dropped
        if dropped is not None:
            own = self.policy.trunk is not self.critic.trunk
            passes = 3 + (own and acts) + 3 * (self.policy.grasp_trunk is not None)
            words = random_words((passes, *dropped, len(batch.reward)), generator, device)
        weights = (torch.full((), value, device=device) for value in (self._bc_weight(), self._acting_step()))
        return Inputs(batch, noise, members, words, *weights)

    def _step(self, kind: Kind, inputs: Inputs) -> None:
        """The update as a device can repeat it: nothing here depends on a number that only the host knows."""
        batch, words = inputs.batch, iter(() if inputs.words is None else inputs.words)
        maps, next_maps = float_maps(batch.maps), float_maps(batch.next_maps)
        features = self.critic.trunk(maps, batch.proprioception, next(words, None))
        loss, q, grasp = self._critic_step_loss(inputs, maps, next_maps, features, words)
        self.critic_optimiser.zero_grad()
        loss.backward(inputs=self._critic_parameters)
        if kind.acts:
            # With the critic as it was before its step, as HIL-SERL does: its features are reused, not computed again.
            self._actor_step(kind, inputs, maps, features.detach(), words, (loss, q, grasp))
        self.critic_optimiser.step()
        torch._foreach_lerp_(self._target_parameters, self._critic_parameters, self.settings.tau)
        if kind.acts and self.acting is not self.policy:
            self._follow(inputs.acting_step)

    def _critic_step_loss(
        self, inputs: Inputs, maps: Tensor, next_maps: Tensor, features: Tensor, words: Iterator[Tensor]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        settings, batch = self.settings, inputs.batch
        reward = batch.reward * settings.reward_scale
        with torch.no_grad():
            following = next_maps, batch.next_proprioception
            target_features = self.critic_target.trunk(*following, next(words, None))
            online_features = self.policy.trunk(*following, next(words, None))
            mean, log_std = self.policy.actor(online_features)
            next_action, next_log_prob = tanh_gaussian(mean, log_std, inputs.noise[0])
            next_q = self.critic_target.ensemble(target_features, next_action)
            bonus = -self.log_temperature.exp() * next_log_prob if settings.backup_entropy else None
            counting = next_q if inputs.members is None else next_q[inputs.members]  # REDQ: a random subset
            target = critic_target(reward, batch.discount, counting, bonus)
        q = self.critic.ensemble(features, batch.action[:, : self._actions])
        loss = critic_loss(q, target)
        if self.policy.grasp is None:
            return loss, q, None
        trunks = features, online_features, target_features
        grasp, values = self._grasp_loss(batch, maps, next_maps, trunks, words)
        return loss + grasp, q, (grasp, values)

    def _grasp_loss(
        self,
        batch: Batch,
        maps: Tensor,
        next_maps: Tensor,
        trunks: tuple[Tensor, Tensor, Tensor],
        words: Iterator[Tensor],
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
                following = next_maps, batch.next_proprioception
                online_next = trunk(*following, next(words, None))
                target_next = self.grasp_target[1](*following, next(words, None))
            target = grasp_target(reward, batch.discount, head(online_next), self.grasp_target[0](target_next))
        if trunk is not None:
            features = trunk(maps, batch.proprioception, next(words, None))
        values = head(features)
        return grasp_loss(values, batch.action[:, -1], target), values

    def _actor_step(
        self,
        kind: Kind,
        inputs: Inputs,
        maps: Tensor,
        features: Tensor,
        words: Iterator[Tensor],
        critic: tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None],
    ) -> None:
        """Gradient step of actor and temperature. features: of the critic's trunk, detached; critic: for metrics."""
        batch, shared = inputs.batch, self.policy.trunk is self.critic.trunk
        own = features if shared else self.policy.trunk(maps, batch.proprioception, next(words, None))
        mean, log_std = self.policy.actor(own)
        action, log_prob = tanh_gaussian(mean, log_std, inputs.noise[1])
        temperature = self.log_temperature.detach().exp()
        loss = actor_loss(self.critic.ensemble(features, action), log_prob, temperature, self.settings.actor_q)
        total, bc = loss, torch.zeros((), device=self.device)
        if self.settings.bc_weight > 0 and kind.demo > 0:
            bc = bc_loss(mean[: kind.demo], batch.action[: kind.demo, : self._actions])
            total = loss + inputs.bc_weight * bc
        total = total + temperature_loss(self.log_temperature, log_prob.detach(), self.target_entropy)
        self.actor_optimiser.zero_grad()
        total.backward(inputs=self._actor_parameters)
        self.actor_optimiser.step()
        if self.settings.temperature_min > 0:
            self.log_temperature.data.clamp_(min=math.log(self.settings.temperature_min))
        if kind.records:
            self._record(critic, loss, log_prob, temperature, bc)

    @torch.no_grad()
    def _follow(self, step: Tensor) -> None:
        """Move the policy that acts towards the one that is trained."""
        for acting, trained in zip(self.acting.parameters(), self.policy.parameters(), strict=True):
            acting.lerp_(trained, step)

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
        norms = [_gradient_norm(self._critic_parameters), _gradient_norm(self._actor_parameters)]
        values = [total, q.mean(), q.min(), q.max(), loss, -log_prob.mean(), temperature, bc, *norms]
        if grasp is not None:
            values += [grasp[0], grasp[1].mean()]
            values[0] = total - grasp[0]
        self._sums += torch.stack(values)

    def _bc_weight(self) -> float:
        return self.settings.bc_weight * math.pow(0.5, self.updates / self.settings.bc_half_life_updates)

    def _acting_step(self) -> float:
        """At first all updates count alike, so that nobody acts on what the networks were before they had learned."""
        return max(self.settings.policy_tau, 1 / (1 + self.updates // self.settings.actor_every))

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
        how: dict[str, Any] = {"fused": True, "capturable": self._captures}
        self.critic_optimiser = torch.optim.Adam(self._critic_parameters, lr=settings.critic_lr, **how)
        groups: list[dict[str, Any]] = [
            {"params": acting},
            {"params": [self.log_temperature], "lr": settings.temperature_lr},
        ]
        self.actor_optimiser = torch.optim.Adam(groups, lr=settings.actor_lr, **how)

    @property
    def _captures(self) -> bool:
        return self.settings.capture == "auto" and self.device.type == "cuda"  # ROCm's devices are named so as well

    def _recorded(self) -> RecordedStep:
        recorded = RecordedStep(self._step, GraphRecorder(self.device))
        for optimiser in (self.critic_optimiser, self.actor_optimiser):
            # From then on it has other tensors.
            optimiser.register_load_state_dict_post_hook(lambda _: recorded.forget())
        return recorded


def _gradient_norm(parameters: list[Tensor]) -> Tensor:
    """Length of the gradient over all parameters, ()."""
    return get_total_norm([p.grad for p in parameters if p.grad is not None])


def _frozen_copy[M: nn.Module](module: M) -> M:
    return copy.deepcopy(module).requires_grad_(False)
