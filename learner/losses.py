"""Losses and targets of SAC as pure functions.

Notation: r reward, gamma^m discount over the m <= n steps of an n-step return (0 after termination), a' ~ pi(.|s'),
alpha temperature, Q_i members of the ensemble, Q'_i their target networks.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


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
