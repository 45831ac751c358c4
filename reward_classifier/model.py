"""The trainable part: a head for each camera over frozen feature maps, and one number, the logit of success."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from policy.contract import Contract, Frozen
from policy.encoder import Encoder
from policy.features import map_shape
from policy.network import EncoderIdentity, GroupedLinear, GroupedNorm, Mlp, SpatialHeads
from policy.settings import NetworkSettings
from reward_classifier.errors import TrainingRefused
from reward_classifier.settings import ModelSettings


class ClassifierSpec(Frozen):
    """Architecture of a classifier: with the contract that `contract_hash` names it fixes every shape."""

    contract_hash: str
    encoder: EncoderIdentity
    model: ModelSettings


def make_spec(contract: Contract, encoder: Encoder, model: ModelSettings) -> ClassifierSpec:
    """The spec of a classifier for this contract on top of this encoder."""
    identity = EncoderIdentity(name=encoder.name, sha256=encoder.sha256, channels=encoder.channels)
    return ClassifierSpec(contract_hash=contract.hash, encoder=identity, model=model)


def chosen_cameras(contract: Contract, model: ModelSettings) -> list[int]:
    """Where the cameras that it looks through stand in the contract."""
    names = [camera.name for camera in contract.cameras]
    strange = sorted(set(model.cameras) - set(names))
    if strange:
        raise TrainingRefused(f"model.cameras: got {', '.join(strange)}, the contract has {', '.join(names)}")
    return [names.index(name) for name in model.cameras or names]


class SuccessNetwork(nn.Module):
    """Spatial learned embeddings of each camera, HIL-SERL's, and a small layer above them."""

    def __init__(self, spec: ClassifierSpec, contract: Contract) -> None:
        super().__init__()
        model = spec.model
        self.cameras = chosen_cameras(contract, model)
        shape = len(self.cameras), *map_shape(contract, spec.encoder.channels)[1:]
        heads = NetworkSettings(
            head="spatial",
            head_width=model.width,
            spatial_features=model.spatial_features,
            dropout=model.dropout,
        )
        self.heads = SpatialHeads(shape, heads)
        self.body: GroupedLinear | None = None
        self.body_norm: GroupedNorm | None = None
        width = len(self.cameras) * model.width
        if model.proprioception:
            self.body = GroupedLinear(1, len(contract.proprioception), model.width)
            self.body_norm = GroupedNorm(1, model.width)
            width += model.width
        self.mlp = Mlp(1, width, (model.hidden,))
        self.out = GroupedLinear(1, model.hidden, 1)

    def forward(self, maps: Tensor, proprioception: Tensor, words: Tensor | None = None) -> Tensor:
        """Logits of success: (B,).

        maps: float32 (chosen cameras, B, channels, h, w); proprioception: float32 (B, P), normalised
        words: int16 (*heads.dropped, B), uniform, from which dropout is decided; None switches it off
        """
        parts = list(self.heads(maps, words).unbind(0))  # (B, width) each
        if self.body is not None and self.body_norm is not None:
            parts.append(self.body_norm(self.body(proprioception[None]))[0])
        logits: Tensor = self.out(self.mlp(torch.cat(parts, dim=-1)[None]))[0, :, 0]
        return logits


def new_network(spec: ClassifierSpec, contract: Contract, seed: Sequence[int]) -> SuccessNetwork:
    """A network at random initialisation: the same weights for the same seed, whoever else draws numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        return SuccessNetwork(spec, contract)
