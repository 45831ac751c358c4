"""Policy snapshots of the presets that ship, as large as theirs, with weights as they are initialised."""

from __future__ import annotations

import torch

from bench.nudge_learner import full_width_encoder
from console.presets.load import load_preset
from console.settings import Settings
from policy.encoder import Encoder, load_encoder
from policy.features import FeatureReduction
from policy.network import PolicyNetwork, make_spec
from policy.snapshot import pack_snapshot


def snapshot_of(preset: str, seed: int) -> bytes:
    """What the learner of a preset publishes.

    The encoder is not in it, but its channels shape it: `paper` gets the 512 of the published ResNet10, not the
    simulated one's, so that the push is one of HIL-SERL's size.
    """
    settings = load_preset(Settings, preset)
    learner, contract = settings.learner, settings.contract
    encoder = full_width_encoder(seed) if preset == "paper" else load_encoder(learner.encoder)
    channels = learner.features.reduced_channels
    torch.manual_seed(seed)
    network = PolicyNetwork(make_spec(contract, encoder, channels, learner.network), contract)
    return pack_snapshot(network, _reduction(encoder, len(contract.cameras), channels), updates=0)


def _reduction(encoder: Encoder, cameras: int, channels: int | None) -> FeatureReduction | None:
    if channels is None:
        return None
    shape = (cameras, encoder.channels, channels)
    return FeatureReduction(torch.zeros(shape[:2]), torch.zeros(shape), (1.0,) * cameras)
