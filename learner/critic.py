"""The critic: an ensemble of Q functions as one batched module, on a trunk of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy.contract import Contract
from policy.network import GroupedLinear, Mlp, ObservationTrunk, PolicySpec


class CriticEnsemble(nn.Module):
    """Q_1..Q_E of a trunk vector and an action; all members in one matrix product per layer."""

    def __init__(self, members: int, width: int, actions: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.members = members
        self.mlp = Mlp(members, width + actions, hidden)
        self.out = GroupedLinear(members, hidden[-1], 1)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """features (B, width), action (B, actions) -> (members, B)."""
        x = torch.cat([features, action], dim=-1)
        hidden: Tensor = self.mlp(x.expand(self.members, *x.shape))  # (members, B, hidden[-1])
        # One column: a product and a sum are half the time of a matrix product, and stay float32.
        return (hidden * self.out.weight.transpose(1, 2)).sum(-1) + self.out.bias.squeeze(-1)


class Critic(nn.Module):
    """Trunk and ensemble. `actions`: the continuous ones, without a discrete gripper."""

    def __init__(self, spec: PolicySpec, contract: Contract, members: int) -> None:
        super().__init__()
        actions = len(contract.action) - (spec.network.gripper == "discrete")
        self.trunk = ObservationTrunk(spec, contract)
        self.ensemble = CriticEnsemble(members, self.trunk.width, actions, spec.network.hidden)
