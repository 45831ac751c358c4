"""Policy snapshots: the trainable tensors that the actor needs and the feature reduction, as safetensors bytes.

The frozen encoder is not in it, only its identity. Weights travel as float16 (0.5 MB for the fast preset, 5 MB for the
paper's), the reduction as float32. Unpacking is strict: names, shapes, dtypes, finite numbers, contract, spec.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from policy.contract import Contract
from policy.errors import SnapshotError
from policy.features import FeatureReduction
from policy.network import PolicyNetwork, PolicySpec

FORMAT_VERSION = 1
MAX_HEADER_BYTES = 1 << 20  # ours has some 3 KB; JSON is parsed into memory of several times its size
_METADATA = "nudge_policy"
_WEIGHTS, _REDUCTION = "policy.", "reduction."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What `unpack_snapshot` found.

    updates: gradient updates that the learner had done; the version is the publisher's, and not in the bytes
    """

    spec: PolicySpec
    updates: int
    network: PolicyNetwork
    reduction: FeatureReduction | None


def pack_snapshot(network: PolicyNetwork, reduction: FeatureReduction | None, updates: int) -> bytes:
    """Safetensors bytes of a policy. Raises `SnapshotError` on NaN, infinity or what float16 cannot hold."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        half = tensor.detach().to(device="cpu", dtype=torch.float16).contiguous()
        if not torch.isfinite(half).all():
            raise SnapshotError(
                f"snapshot after {updates} updates: {name} holds NaN, infinity or a number beyond 65504; training has "
                f"diverged, go back to a checkpoint"
            )
        tensors[_WEIGHTS + name] = half
    if reduction is not None:
        tensors[_REDUCTION + "mean"] = reduction.mean.cpu().contiguous()
        tensors[_REDUCTION + "projection"] = reduction.projection.cpu().contiguous()
        tensors[_REDUCTION + "explained_variance"] = torch.tensor(reduction.explained_variance, dtype=torch.float64)
    metadata = {
        "format_version": FORMAT_VERSION,
        "contract_hash": network.spec.contract_hash,
        "updates": updates,
        "spec": network.spec.model_dump(mode="json"),
    }
    return save(tensors, {_METADATA: json.dumps(metadata)})  # one entry: the order of several is not defined


def read_spec(data: bytes) -> PolicySpec:
    """The architecture that a snapshot says it is of. Raises `SnapshotError`."""
    return _read_metadata(data)[0]


def unpack_snapshot(data: bytes, spec: PolicySpec, contract: Contract) -> Snapshot:
    """The policy in `data`, which must be one of exactly this spec and contract. Raises `SnapshotError`."""
    found, updates = _read_metadata(data)
    if found != spec:
        raise SnapshotError(
            f"snapshot of another architecture:\n  got      {found.model_dump_json()}\n  expected "
            f"{spec.model_dump_json()}\nstart actor and learner with the same preset, then connect again"
        )
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise SnapshotError(f"snapshot: not readable as safetensors: {error}") from error
    network = PolicyNetwork(spec, contract)
    reduction = _reduction(tensors, spec, len(contract.cameras))
    _check(tensors, _expected(network, reduction))
    weights = {name.removeprefix(_WEIGHTS): t.float() for name, t in tensors.items() if name.startswith(_WEIGHTS)}
    network.load_state_dict(weights)
    return Snapshot(found, updates, network.eval().requires_grad_(False), reduction)


def _read_metadata(data: bytes) -> tuple[PolicySpec, int]:
    """Spec and gradient updates of a snapshot of this format."""
    metadata = _metadata(data)
    if metadata.get("format_version") != FORMAT_VERSION:
        raise SnapshotError(
            f"snapshot: got format version {metadata.get('format_version')}, expected {FORMAT_VERSION} of Nudge's; "
            f"run the same release on both ends"
        )
    try:
        return PolicySpec.model_validate(metadata["spec"]), int(metadata["updates"])
    except (KeyError, TypeError, ValueError) as error:
        raise SnapshotError(f"snapshot: its metadata cannot be read: {error}") from error


def _metadata(data: bytes) -> dict[str, Any]:
    """Our entry in a safetensors header (8 bytes of its length, then JSON); empty when there is none."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise SnapshotError(f"snapshot: {len(data)} bytes are no safetensors, or are cut short; fetch it again")
    if length > MAX_HEADER_BYTES:
        raise SnapshotError(f"snapshot: got a header of {length} bytes, expected at most {MAX_HEADER_BYTES}")
    try:
        header = json.loads(data[8 : 8 + length])
        table = header["__metadata__"] if isinstance(header, dict) and "__metadata__" in header else {}
        ours = json.loads(table.get(_METADATA, "{}"))
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise SnapshotError(f"snapshot: its header is not JSON ({error}); fetch it again") from error
    return ours if isinstance(ours, dict) else {}


def _reduction(tensors: Mapping[str, Tensor], spec: PolicySpec, cameras: int) -> FeatureReduction | None:
    if spec.reduced_channels is None:
        return None
    parts = [tensors.get(_REDUCTION + name) for name in ("mean", "projection", "explained_variance")]
    mean, projection, explained = parts
    if mean is None or projection is None or explained is None or explained.shape != (cameras,):
        raise SnapshotError(
            f"snapshot: the reduction is missing or incomplete, it needs {cameras} cameras; fetch it again"
        )
    if projection.shape != (cameras, spec.encoder.channels, spec.reduced_channels):
        raise SnapshotError(
            f"snapshot: reduction.projection has {tuple(projection.shape)}, the spec demands "
            f"{(cameras, spec.encoder.channels, spec.reduced_channels)}"
        )
    return FeatureReduction(mean, projection, tuple(explained.tolist()))


def _expected(network: PolicyNetwork, reduction: FeatureReduction | None) -> dict[str, tuple[torch.Size, torch.dtype]]:
    expected = {_WEIGHTS + name: (t.shape, torch.float16) for name, t in network.state_dict().items()}
    if reduction is not None:
        cameras, channels, _ = reduction.projection.shape
        expected[_REDUCTION + "mean"] = torch.Size((cameras, channels)), torch.float32
        expected[_REDUCTION + "projection"] = reduction.projection.shape, torch.float32
        expected[_REDUCTION + "explained_variance"] = torch.Size((cameras,)), torch.float64
    return expected


def _check(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[torch.Size, torch.dtype]]) -> None:
    missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or unknown:
        raise SnapshotError(f"snapshot: missing tensors {missing}, unknown tensors {unknown}")
    for name, tensor in tensors.items():
        shape, dtype = expected[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise SnapshotError(
                f"snapshot: {name} is {tensor.dtype} {tuple(tensor.shape)}, expected {dtype} {tuple(shape)}"
            )
        if not torch.isfinite(tensor).all():
            raise SnapshotError(f"snapshot: {name} holds NaN or infinity; keep the last policy")
