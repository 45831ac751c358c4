"""Checkpoints: everything a run needs to go on exactly where it was, except the experience, which the store has.

A folder per checkpoint, `update-000012000/`, with state.safetensors (networks, optimisers, temperature, reduction,
random state), checkpoint.json (counters, spec, hashes) and policy.safetensors (the snapshot as actors get it, to be
evaluated). It appears whole or not at all, and is read strictly.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from learner.checkpoint_folder import (
    META,
    POLICY,
    CheckpointError,
    checkpoint_name,
    prune,
    put_in_place,
    tidy,
)
from learner.disk import room_needed
from learner.evaluations import EVALUATION_FILE
from learner.sac import Sac
from policy.durable import fsync
from policy.features import FeatureReduction
from policy.network import PolicySpec

FORMAT_VERSION = 1
_STATE = "state.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read; `restore` puts it into a `Sac`.

    policy_version: the last version published before it was saved; sample_rng: state of the generator of replay draws
    """

    folder: Path
    updates: int
    policy_version: int
    sample_rng: dict[str, Any]
    reduction: FeatureReduction | None
    tensors: dict[str, Tensor]

    def restore(self, sac: Sac) -> None:
        """Put networks, optimisers, temperature, counters and random state into `sac`."""
        expected = _sac_tensors(sac)
        stored = {name: tensor for name, tensor in self.tensors.items() if not name.startswith("reduction.")}
        # Before its first update an optimiser has no state, so both sides may lack it, but only together.
        names = {name for name in expected if not name.startswith("optimiser.")}
        missing, unknown = sorted(names - stored.keys()), sorted(_networks(stored) - names)
        if missing or unknown:
            raise CheckpointError(f"checkpoint {self.folder}: missing {missing}, unknown {unknown}; keep its settings")
        for name in names - {"random"}:
            target, source = expected[name], stored[name]
            if target.shape != source.shape or target.dtype != source.dtype:
                raise CheckpointError(
                    f"checkpoint {self.folder}: {name} is {source.dtype} {tuple(source.shape)}, expected "
                    f"{target.dtype} {tuple(target.shape)}; resume with the settings it was made with"
                )
        with torch.no_grad():
            for name in names - {"random"}:
                expected[name].copy_(stored[name])
        for kind, optimiser in _optimisers(sac).items():
            _restore_optimiser(optimiser, kind, stored, self.folder)
        sac.generator.set_state(stored["random"])
        sac.updates = self.updates


def save_checkpoint(
    root: Path,
    sac: Sac,
    reduction: FeatureReduction | None,
    policy_version: int,
    rng: np.random.Generator,
    keep: int,
    snapshot: bytes | None = None,
) -> Path:
    """Write a checkpoint below `root`, durable when this returns, and delete all but the newest `keep` and the best.

    snapshot: the policy as `policy.snapshot.pack_snapshot` makes it; None where it cannot, as in what has diverged
    Raise `DiskFull` when there is no room: nothing of it stays, and the earlier ones are untouched.
    """
    target = root / checkpoint_name(sac.updates)
    temporary = root / f".{target.name}.tmp"
    tidy(root)
    try:
        with room_needed(temporary, f"the checkpoint of update {sac.updates}"):
            temporary.mkdir(parents=True)
            _write(temporary, sac, reduction, policy_version, rng)
            if snapshot is not None:
                _write_policy(temporary, snapshot, target)
            fsync(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)  # its room is what others wait for
        raise
    put_in_place(temporary, target)
    prune(root, keep)
    return target


def load_checkpoint(folder: Path, spec: PolicySpec) -> Checkpoint:
    """Read a checkpoint, which must be one of exactly this spec (contract, encoder, architecture)."""
    try:
        meta = json.loads((folder / META).read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {folder}: {META} cannot be read ({error}); take an earlier one") from error
    if meta.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint {folder}: format {meta.get('format_version')}, this release reads {FORMAT_VERSION}; "
            f"use the release that wrote it"
        )
    found = PolicySpec.model_validate(meta["spec"])
    if found != spec:
        raise CheckpointError(
            f"checkpoint {folder} is of another contract, encoder or architecture:\n"
            f"  got      {found.model_dump_json()}\n  expected {spec.model_dump_json()}\n"
            f"resume with the settings it was made with, or start a new run"
        )
    state = folder / _STATE
    if not state.is_file() or _sha256(state) != meta["sha256"]:
        raise CheckpointError(f"checkpoint {folder}: {_STATE} is missing or damaged; take an earlier checkpoint")
    tensors = load_file(state)
    reduction = None
    if meta["explained_variance"] is not None:
        mean, projection = tensors["reduction.mean"], tensors["reduction.projection"]
        reduction = FeatureReduction(mean, projection, tuple(meta["explained_variance"]))
    return Checkpoint(folder, meta["updates"], meta["policy_version"], meta["sample_rng"], reduction, tensors)


def _write(
    folder: Path, sac: Sac, reduction: FeatureReduction | None, policy_version: int, rng: np.random.Generator
) -> None:
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in _sac_tensors(sac).items()}
    if reduction is not None:
        tensors |= {"reduction.mean": reduction.mean.cpu(), "reduction.projection": reduction.projection.cpu()}
    state = save(tensors)  # not `save_file`: its error does not say that the disk is full
    _write_durably(folder / _STATE, state)
    meta = {
        "format_version": FORMAT_VERSION,
        "spec": sac.policy.spec.model_dump(mode="json"),
        "contract_hash": sac.policy.spec.contract_hash,
        "updates": sac.updates,
        "policy_version": policy_version,
        "sample_rng": rng.bit_generator.state,
        "explained_variance": None if reduction is None else list(reduction.explained_variance),
        "sac_settings": sac.settings.model_dump(mode="json"),
        "sha256": hashlib.sha256(state).hexdigest(),
    }
    _write_durably(folder / META, (json.dumps(meta, indent=1) + "\n").encode())


def _write_policy(folder: Path, snapshot: bytes, earlier: Path) -> None:
    """The snapshot; and the evaluation of an earlier checkpoint in this place, when it was of the same policy."""
    _write_durably(folder / POLICY, snapshot)
    evaluation, before = earlier / EVALUATION_FILE, earlier / POLICY
    if evaluation.is_file() and before.is_file() and before.read_bytes() == snapshot:
        _write_durably(folder / EVALUATION_FILE, evaluation.read_bytes())


def _write_durably(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    fsync(path)


def _optimisers(sac: Sac) -> dict[str, torch.optim.Adam]:
    return {"critic": sac.critic_optimiser, "actor": sac.actor_optimiser}


def _sac_tensors(sac: Sac) -> dict[str, Tensor]:
    tensors = {
        f"{kind}.{name}": tensor
        for kind, module in sac.modules().items()
        for name, tensor in module.state_dict().items()
    }
    for kind, optimiser in _optimisers(sac).items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{kind}.{index}.{name}": value for name, value in state.items()}
    tensors["log_temperature"] = sac.log_temperature.detach()
    tensors["random"] = sac.generator.get_state()
    return tensors


def _networks(stored: Mapping[str, Tensor]) -> set[str]:
    return {name for name in stored if not name.startswith("optimiser.")}


def _restore_optimiser(optimiser: torch.optim.Adam, kind: str, stored: Mapping[str, Tensor], folder: Path) -> None:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        if name.startswith(f"optimiser.{kind}."):
            index, entry = name.removeprefix(f"optimiser.{kind}.").split(".")
            state.setdefault(int(index), {})[entry] = tensor
    if not state:
        return
    shapes = {index: {entry: tuple(t.shape) for entry, t in entries.items()} for index, entries in state.items()}
    expected = {
        index: {"step": (), "exp_avg": tuple(p.shape), "exp_avg_sq": tuple(p.shape)}
        for index, p in enumerate(parameters)
    }
    if shapes != expected:
        raise CheckpointError(f"checkpoint {folder}: {kind} optimiser: got {shapes}, expected {expected}")
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
