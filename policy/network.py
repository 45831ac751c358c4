"""The trainable networks that the actor needs: camera heads, proprioception, tanh-Gaussian actor, grasp critic.

Shapes are camera-first, (cameras, batch, channels, h, w), and layers are grouped: one matrix product serves all
cameras, or all members of an ensemble (`learner.critic`).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from policy.contract import Contract, Frozen
from policy.encoder import Encoder
from policy.errors import SnapshotError
from policy.features import map_shape
from policy.settings import NetworkSettings

GRASP_ACTIONS = 3  # close, stay, open: -1, 0, +1
_LOG_2PI = math.log(2 * math.pi)


class EncoderIdentity(Frozen):
    """Which frozen encoder a policy was trained on; both ends must hold the same weights."""

    name: str
    sha256: str
    channels: int


class PolicySpec(Frozen):
    """Architecture of a policy as JSON: travels in `Hello`, in every snapshot and in every checkpoint.

    With the contract that `contract_hash` names it fixes every shape: cameras, proprioception and action dimensions.
    """

    contract_hash: str
    encoder: EncoderIdentity
    reduced_channels: int | None
    network: NetworkSettings

    @property
    def map_channels(self) -> int:
        """Channels of the maps that the networks read."""
        return self.encoder.channels if self.reduced_channels is None else self.reduced_channels


def make_spec(
    contract: Contract, encoder: Encoder, reduced_channels: int | None, network: NetworkSettings
) -> PolicySpec:
    """The spec of a policy for this contract on top of this encoder."""
    identity = EncoderIdentity(name=encoder.name, sha256=encoder.sha256, channels=encoder.channels)
    return PolicySpec(contract_hash=contract.hash, encoder=identity, reduced_channels=reduced_channels, network=network)


class GroupedLinear(nn.Module):
    """Several linear layers side by side: (groups, B, n_in) -> (groups, B, n_out) in one batched product."""

    def __init__(self, groups: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(groups, n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(groups, 1, n_out))
        for group in range(groups):
            nn.init.xavier_uniform_(self.weight.data[group])

    def forward(self, x: Tensor) -> Tensor:
        """(groups, B, n_in) -> (groups, B, n_out)."""
        return torch.baddbmm(self.bias, x, self.weight)


class GroupedColumnLinear(nn.Module):
    """As `GroupedLinear`, for inputs with their batch last: (groups, n_in, B) -> (groups, n_out, B)."""

    def __init__(self, groups: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(groups, n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(groups, n_out, 1))
        for group in range(groups):
            nn.init.xavier_uniform_(self.weight.data[group])

    def forward(self, x: Tensor) -> Tensor:
        """(groups, n_in, B) -> (groups, n_out, B)."""
        return torch.baddbmm(self.bias, self.weight, x)


class GroupedNorm(nn.Module):
    """LayerNorm with weights of its own per group, then tanh: (groups, B, width) -> same."""

    _one: Tensor
    _zero: Tensor

    def __init__(self, groups: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(groups, 1, width))
        self.bias = nn.Parameter(torch.zeros(groups, 1, width))
        # The CPU kernel is a third faster with an affine part than without one.
        self.register_buffer("_one", torch.ones(width), persistent=False)
        self.register_buffer("_zero", torch.zeros(width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(groups, B, width) -> (groups, B, width) in -1..1."""
        groups, _, width = self.weight.shape
        if groups == 1:  # the fused kernel takes one set of weights
            return torch.tanh(F.layer_norm(x, (width,), self.weight.view(width), self.bias.view(width)))
        normed = F.layer_norm(x, (width,), self._one, self._zero)
        return torch.tanh(torch.addcmul(self.bias, normed, self.weight))


class DenseHeads(nn.Module):
    """Per camera: the whole map -> Linear -> LayerNorm -> tanh."""

    def __init__(self, shape: tuple[int, int, int, int], network: NetworkSettings) -> None:
        super().__init__()
        cameras, channels, height, width = shape
        self.linear = GroupedLinear(cameras, channels * height * width, network.head_width)
        self.norm = GroupedNorm(cameras, network.head_width)
        self.dropped: tuple[int, int] | None = None

    def forward(self, maps: Tensor, _words: Tensor | None) -> Tensor:
        """(cameras, B, channels, h, w) -> (cameras, B, head_width); has no dropout."""
        out: Tensor = self.norm(self.linear(maps.flatten(2)))
        return out


class SpatialHeads(nn.Module):
    """Per camera, as HIL-SERL: spatial learned embeddings -> dropout -> Linear -> LayerNorm -> tanh.

    An embedding f of channel c is sum over cells s of map[c, s] * kernel[c, s, f].
    """

    def __init__(self, shape: tuple[int, int, int, int], network: NetworkSettings) -> None:
        super().__init__()
        cameras, channels, height, width = shape
        cells, features = height * width, network.spatial_features
        self.kernel = nn.Parameter(torch.randn(cameras, channels, cells, features) / math.sqrt(cells))  # LeCun
        self.linear = GroupedColumnLinear(cameras, channels * features, network.head_width)
        self.norm = GroupedNorm(cameras, network.head_width)
        self.dropout = network.dropout
        self.dropped = (cameras, channels * features) if network.dropout > 0 else None  # of each observation

    def forward(self, maps: Tensor, words: Tensor | None) -> Tensor:
        """(cameras, B, channels, h, w) -> (cameras, B, head_width). words: int16 (cameras, channels * features, B)."""
        cameras, batch = maps.shape[:2]
        # Embeddings come out with the batch last and stay so: forwards and backwards, nothing large is rearranged.
        cells = maps.flatten(3).permute(0, 2, 3, 1).flatten(0, 1)  # (cameras * channels, h*w, B): a view of float_maps
        kernel = self.kernel.transpose(2, 3).flatten(0, 1)  # (cameras * channels, features, h*w)
        if words is not None:
            kernel = kernel * (1 / (1 - self.dropout))  # what is kept counts more; scaled here, where it is cheap
        embedded = torch.bmm(kernel, cells).view(cameras, -1, batch)  # (cameras, channels * features, B)
        if words is not None:
            embedded = drop(embedded, self.dropout, words)
        out: Tensor = self.norm(self.linear(embedded).transpose(1, 2))
        return out


class ObservationTrunk(nn.Module):
    """Maps and proprioception of an observation to one vector."""

    def __init__(self, spec: PolicySpec, contract: Contract) -> None:
        super().__init__()
        network, shape = spec.network, map_shape(contract, spec.map_channels)
        self.heads = (DenseHeads if network.head == "dense" else SpatialHeads)(shape, network)
        self.has_proprioception = network.proprioception_width > 0
        if self.has_proprioception:
            self.proprioception = GroupedLinear(1, len(contract.proprioception), network.proprioception_width)
            self.norm = GroupedNorm(1, network.proprioception_width)
        self.width = shape[0] * network.head_width + network.proprioception_width

    def forward(self, maps: Tensor, proprioception: Tensor, words: Tensor | None = None) -> Tensor:
        """One vector per observation.

        maps: float32 (cameras, B, channels, h, w); proprioception: float32 (B, P), normalised
        words: int16 (*heads.dropped, B), uniform, from which dropout is decided; None switches it off
        returns: (B, width)
        """
        views = self.heads(maps, words)  # (cameras, B, head_width)
        body = [self.norm(self.proprioception(proprioception[None]))[0]] if self.has_proprioception else []
        return torch.cat([*views.unbind(0), *body], dim=-1)


class Mlp(nn.Module):
    """Linear -> LayerNorm -> tanh, per hidden layer, for several groups at once."""

    def __init__(self, groups: int, n_in: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (n_in, *hidden)
        self.linears = nn.ModuleList(GroupedLinear(groups, a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(GroupedNorm(groups, width) for width in hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(groups, B, n_in) -> (groups, B, hidden[-1])."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = norm(linear(x))
        return x


class ActorHead(nn.Module):
    """Trunk vector to a diagonal Gaussian before tanh."""

    def __init__(self, width: int, actions: int, network: NetworkSettings) -> None:
        super().__init__()
        self.mlp = Mlp(1, width, network.hidden)
        self.out = GroupedLinear(1, network.hidden[-1], 2 * actions)
        self._log_std_limits = math.log(network.std_min), math.log(network.std_max)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, width) -> mean and log standard deviation, both (B, actions)."""
        mean, log_std = self.out(self.mlp(features[None]))[0].chunk(2, dim=-1)
        return mean, log_std.clamp(*self._log_std_limits)


class GraspHead(nn.Module):
    """Trunk vector to the values of closing, leaving and opening the gripper."""

    def __init__(self, width: int, network: NetworkSettings) -> None:
        super().__init__()
        self.mlp = Mlp(1, width, network.hidden)
        self.out = GroupedLinear(1, network.hidden[-1], GRASP_ACTIONS)

    def forward(self, features: Tensor) -> Tensor:
        """(B, width) -> (B, 3)."""
        values: Tensor = self.out(self.mlp(features[None]))[0]
        return values


class PolicyNetwork(nn.Module):
    """All that is needed to act. Its state is what a snapshot carries.

    With a shared trunk, `trunk` is the critic's own (the learner passes it in) and the grasp head reads it too;
    otherwise the actor and the grasp head have one each.
    """

    def __init__(self, spec: PolicySpec, contract: Contract, trunk: ObservationTrunk | None = None) -> None:
        super().__init__()
        if contract.hash != spec.contract_hash:
            raise SnapshotError(
                f"policy for contract {spec.contract_hash[:12]}, but this end has {contract.hash[:12]}; "
                f"start both ends with the same preset"
            )
        network = spec.network
        self.spec = spec
        self.discrete = network.gripper == "discrete"
        self.trunk = ObservationTrunk(spec, contract) if trunk is None else trunk
        self.actor = ActorHead(self.trunk.width, len(contract.action) - self.discrete, network)
        self.grasp_trunk: ObservationTrunk | None = None
        self.grasp: GraspHead | None = None
        if self.discrete:
            self.grasp_trunk = None if network.shared_trunk else ObservationTrunk(spec, contract)
            self.grasp = GraspHead(self.trunk.width, network)

    def act(self, maps: Tensor, proprioception: Tensor, noise: Tensor | None) -> Tensor:
        """Actions in -1..1, (B, A), of the observations.

        noise: standard normal (B, actions without a discrete gripper); None takes the mode
        """
        features = self.trunk(maps, proprioception)
        mean, log_std = self.actor(features)
        action = torch.tanh(mean if noise is None else mean + log_std.exp() * noise)
        if self.grasp is None:
            return action
        if self.grasp_trunk is not None:
            features = self.grasp_trunk(maps, proprioception)
        grasp = self.grasp(features).argmax(dim=-1, keepdim=True).to(action.dtype) - 1
        return torch.cat([action, grasp], dim=-1)


def tanh_gaussian(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """A reparametrised sample a = tanh(u), u = mean + std * noise, and its log density.

    log pi(a) = sum_i [ -noise_i^2/2 - log std_i - log(2 pi)/2 - log(1 - a_i^2) ], with
    log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), which stays finite for large |u|.
    mean, log_std, noise: (B, A); returns action (B, A) and log density (B,)
    """
    u = mean + log_std.exp() * noise
    log_det = 2 * (math.log(2) - u - F.softplus(-2 * u))
    log_prob = (-0.5 * noise.square() - log_std - 0.5 * _LOG_2PI - log_det).sum(-1)
    return torch.tanh(u), log_prob


def float_maps(maps: Tensor) -> Tensor:
    """Stored maps (cameras, B, channels, h, w) as float32 of the same shape, an observation's cameras side by side.

    So that cameras and channels are one dimension of a batched product, without another copy.
    """
    return maps.transpose(0, 1).to(torch.float32, memory_format=torch.contiguous_format).transpose(0, 1)


def drop(x: Tensor, probability: float, words: Tensor) -> Tensor:
    """Zero where a uniform int16 is low: with the probability, exact to 1/65536. What is kept is not scaled.

    words: of the shape of x. They are compared right into a float mask: a boolean one costs three times as much.
    """
    threshold = round(probability * 65536) - 32768
    return x * torch.ge(words, threshold, out=torch.empty_like(x, requires_grad=False))
