"""Policies with random weights, as snapshots of a run."""

from __future__ import annotations

from pathlib import Path

import torch

from policy.contract import Contract
from policy.encoder import load_encoder
from policy.network import PolicyNetwork, make_spec
from policy.settings import EncoderSettings, NetworkSettings
from policy.snapshot import pack_snapshot

ENCODER = "random:0"


def write_policy(path: Path, contract: Contract) -> Path:
    """A snapshot upon `ENCODER`, which reduces nothing."""
    encoder = load_encoder(EncoderSettings(source=ENCODER))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = PolicyNetwork(
            make_spec(contract, encoder, None, NetworkSettings(head_width=4, hidden=(8,))), contract
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack_snapshot(network, None, 7))
    return path
