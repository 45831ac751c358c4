"""Snapshots: what goes in comes out, they are small, and whatever does not fit is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save

from policy.errors import SnapshotError
from policy.fakes import fake_contract
from policy.features import FeatureReduction
from policy.network import EncoderIdentity, PolicyNetwork, PolicySpec
from policy.settings import NetworkSettings
from policy.snapshot import pack_snapshot, unpack_snapshot

CONTRACT = fake_contract(cameras=2, proprioception=5)
SPEC = PolicySpec(
    contract_hash=CONTRACT.hash,
    encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=12),
    reduced_channels=6,
    network=NetworkSettings(head_width=8, hidden=(16,), gripper="discrete"),
)


def make_reduction() -> FeatureReduction:
    return FeatureReduction(torch.randn(2, 12), torch.randn(2, 12, 6), (0.9, 0.95))


def packed() -> bytes:
    return pack_snapshot(PolicyNetwork(SPEC, CONTRACT), make_reduction(), updates=7)


def repacked(data: bytes, change: dict[str, torch.Tensor | None]) -> bytes:
    """The same snapshot with some tensors replaced (None: removed)."""
    header = {"nudge_policy": json.dumps({"format_version": 1, "updates": 7, "spec": SPEC.model_dump(mode="json")})}
    kept = {name: tensor for name, tensor in load(data).items() if name not in change}
    return save(kept | {name: tensor for name, tensor in change.items() if tensor is not None}, header)


def test_weights_come_back_as_float16_rounded_and_the_reduction_exactly() -> None:
    network, reduction = PolicyNetwork(SPEC, CONTRACT), make_reduction()
    snapshot = unpack_snapshot(pack_snapshot(network, reduction, updates=7), SPEC, CONTRACT)
    assert snapshot.updates == 7
    assert snapshot.spec == SPEC
    for name, tensor in network.state_dict().items():
        assert torch.equal(snapshot.network.state_dict()[name], tensor.half().float())
    assert snapshot.reduction is not None
    assert snapshot.reduction.hash == reduction.hash
    assert snapshot.reduction.explained_variance == reduction.explained_variance


def test_packing_twice_gives_the_same_policy_in_the_same_bytes() -> None:
    network, reduction = PolicyNetwork(SPEC, CONTRACT), make_reduction()
    first = pack_snapshot(network, reduction, 7)
    again = unpack_snapshot(first, SPEC, CONTRACT)
    assert pack_snapshot(again.network, again.reduction, 7) == first


@pytest.mark.parametrize(
    ("network", "channels", "reduced", "limit"),
    [
        (NetworkSettings(), 256, 64, 0.7e6),
        (NetworkSettings(head="spatial", head_width=256, shared_trunk=True, gripper="discrete"), 512, None, 6e6),
    ],
    ids=["fast", "paper"],
)
def test_snapshots_of_both_presets_are_small(
    network: NetworkSettings, channels: int, reduced: int | None, limit: float
) -> None:
    identity = EncoderIdentity(name="test", sha256="0" * 64, channels=channels)
    spec = PolicySpec(contract_hash=CONTRACT.hash, encoder=identity, reduced_channels=reduced, network=network)
    reduction = None
    if reduced is not None:
        reduction = FeatureReduction(torch.zeros(2, channels), torch.zeros(2, channels, reduced), (1.0, 1.0))
    assert len(pack_snapshot(PolicyNetwork(spec, CONTRACT), reduction, 0)) < limit


def test_weights_that_are_not_finite_are_not_packed() -> None:
    network = PolicyNetwork(SPEC, CONTRACT)
    with torch.no_grad():
        network.actor.out.bias[0, 0, 0] = float("nan")
    with pytest.raises(SnapshotError, match=r"actor\.out\.bias holds NaN"):
        pack_snapshot(network, make_reduction(), 0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"policy.actor.out.bias": None}, "missing tensors .*actor.out.bias"),
            ({"policy.surplus": torch.zeros(1)}, "unknown tensors .*surplus"),
            ({"policy.actor.out.bias": torch.zeros(1, 1, 5).half()}, "actor.out.bias is .*expected"),
            ({"policy.actor.out.bias": torch.zeros(1, 1, 6)}, "float32 .*expected torch.float16"),
            ({"policy.actor.out.bias": torch.full((1, 1, 6), torch.inf).half()}, "NaN or infinity"),
            ({"reduction.projection": None}, "reduction is missing"),
            ({"reduction.projection": torch.zeros(2, 12, 5)}, "the spec demands"),
        ],
    )
    def test_tensors_that_do_not_fit(self, change: dict[str, torch.Tensor | None], message: str) -> None:
        with pytest.raises(SnapshotError, match=message):
            unpack_snapshot(repacked(packed(), change), SPEC, CONTRACT)

    def test_an_unchanged_repacking_is_accepted(self) -> None:
        assert unpack_snapshot(repacked(packed(), {}), SPEC, CONTRACT).updates == 7

    def test_another_architecture(self) -> None:
        other = SPEC.model_copy(update={"network": NetworkSettings(head_width=9, hidden=(16,), gripper="discrete")})
        with pytest.raises(SnapshotError, match="another architecture"):
            unpack_snapshot(packed(), other, CONTRACT)

    @pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
    def test_bytes_that_are_cut_short(self, length: int) -> None:
        with pytest.raises(SnapshotError):
            unpack_snapshot(packed()[:length], SPEC, CONTRACT)

    @pytest.mark.parametrize("header", [b"[" * 100_000, b'{"a":' * 100_000, b" " * ((1 << 20) + 1)])
    def test_headers_that_are_made_to_hurt(self, header: bytes) -> None:
        with pytest.raises(SnapshotError, match=r"its header is not JSON|got a header of 1048577 bytes"):
            unpack_snapshot(len(header).to_bytes(8, "little") + header, SPEC, CONTRACT)

    def test_bytes_of_something_else(self) -> None:
        with pytest.raises(SnapshotError, match="got format version None"):
            unpack_snapshot(save({"x": torch.zeros(1)}), SPEC, CONTRACT)
        with pytest.raises(SnapshotError):
            unpack_snapshot(b"\x93NUMPY" + bytes(100), SPEC, CONTRACT)
