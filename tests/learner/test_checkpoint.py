"""Checkpoints: going on is bit by bit the same, they appear whole, and whatever does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from learner.checkpoint import load_checkpoint, save_checkpoint
from learner.checkpoint_folder import CheckpointError, list_checkpoints
from learner.replay import Batch
from learner.sac import Sac
from learner.settings import SacSettings
from policy.fakes import fake_contract
from policy.features import FeatureReduction
from policy.network import EncoderIdentity, PolicySpec
from policy.settings import NetworkSettings

CONTRACT = fake_contract(cameras=1, proprioception=3)
CPU = torch.device("cpu")


def make_spec(**network: object) -> PolicySpec:
    return PolicySpec(
        contract_hash=CONTRACT.hash,
        encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=4),
        reduced_channels=None,
        network=NetworkSettings.model_validate({"head_width": 4, "hidden": (8,), **network}),
    )


def make_sac(spec: PolicySpec, seed: int = 0) -> Sac:
    return Sac(spec, CONTRACT, SacSettings(batch_size=8), seed, CPU)


def make_batch(seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Batch(
        maps=normal(1, 8, 4, 4, 4).half(),
        next_maps=normal(1, 8, 4, 4, 4).half(),
        proprioception=normal(8, 3),
        next_proprioception=normal(8, 3),
        action=torch.tanh(normal(8, 4)),
        reward=normal(8),
        discount=torch.full((8,), 0.9),
        gripper_changes=torch.zeros(8),
        demo=4,
    )


def weights(sac: Sac) -> dict[str, Tensor]:
    named = {f"{k}.{n}": t.clone() for k, m in sac.modules().items() for n, t in m.state_dict().items()}
    return named | {"log_temperature": sac.log_temperature.detach().clone()}


@pytest.mark.parametrize("gripper", ["continuous", "discrete"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("updates", [0, 3])
def test_going_on_after_a_restart_is_bit_by_bit_the_same(
    tmp_path: Path, gripper: str, shared: bool, updates: int
) -> None:
    spec = make_spec(gripper=gripper, shared_trunk=shared, head="spatial")
    sac, rng = make_sac(spec), np.random.default_rng(5)
    for seed in range(updates):
        sac.update(make_batch(seed))
    rng.random(7)
    reduction = FeatureReduction(torch.randn(1, 4), torch.randn(1, 4, 2), (0.9,))
    folder = save_checkpoint(tmp_path, sac, reduction, policy_version=11, rng=rng, keep=2)

    checkpoint = load_checkpoint(folder, spec)
    again, rng_again = make_sac(spec, seed=99), np.random.default_rng(0)
    checkpoint.restore(again)
    rng_again.bit_generator.state = checkpoint.sample_rng
    assert (again.updates, checkpoint.policy_version) == (updates, 11)
    assert rng_again.random() == rng.random()
    assert checkpoint.reduction is not None
    assert checkpoint.reduction.hash == reduction.hash
    for seed in range(10, 14):
        sac.update(make_batch(seed))
        again.update(make_batch(seed))
    for name, tensor in weights(sac).items():
        assert torch.equal(tensor, weights(again)[name]), name


def test_only_the_newest_are_kept_and_the_unfinished_are_not_seen(tmp_path: Path) -> None:
    sac, rng = make_sac(make_spec()), np.random.default_rng(0)
    for seed in range(4):
        sac.update(make_batch(seed))
        save_checkpoint(tmp_path, sac, None, 0, rng, keep=2)
    save_checkpoint(tmp_path, sac, None, 0, rng, keep=2)  # the same update again
    (tmp_path / ".update-000000009.tmp").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["update-000000003", "update-000000004"]


def test_saved_again_at_the_same_update_it_keeps_the_evaluation_of_the_same_policy(tmp_path: Path) -> None:
    sac, rng = make_sac(make_spec()), np.random.default_rng(0)
    for snapshot, kept in ((b"policy", False), (b"policy", True), (b"another", False)):
        folder = save_checkpoint(tmp_path, sac, None, 0, rng, keep=2, snapshot=snapshot)
        assert (folder / "policy.safetensors").read_bytes() == snapshot
        assert (folder / "evaluation.json").is_file() == kept
        (folder / "evaluation.json").write_text("{}")


class TestRefusals:
    def saved(self, root: Path) -> Path:
        return save_checkpoint(root, make_sac(make_spec()), None, 0, np.random.default_rng(0), keep=2)

    def test_another_architecture(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="another contract, encoder or architecture"):
            load_checkpoint(self.saved(tmp_path), make_spec(hidden=(9,)))

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        folder = self.saved(tmp_path)
        state = folder / "state.safetensors"
        state.write_bytes(state.read_bytes()[:-1] + b"\x01")
        with pytest.raises(CheckpointError, match="missing or damaged"):
            load_checkpoint(folder, make_spec())

    def test_an_unreadable_table(self, tmp_path: Path) -> None:
        folder = self.saved(tmp_path)
        (folder / "checkpoint.json").write_text("{")
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_checkpoint(folder, make_spec())

    def test_another_format(self, tmp_path: Path) -> None:
        folder = self.saved(tmp_path)
        meta = json.loads((folder / "checkpoint.json").read_text())
        (folder / "checkpoint.json").write_text(json.dumps(meta | {"format_version": 99}))
        with pytest.raises(CheckpointError, match="format 99"):
            load_checkpoint(folder, make_spec())

    def test_networks_of_other_settings(self, tmp_path: Path) -> None:
        spec = make_spec()
        three = Sac(spec, CONTRACT, SacSettings(critics=3), 0, CPU)
        folder = save_checkpoint(tmp_path, three, None, 0, np.random.default_rng(0), keep=2)
        with pytest.raises(CheckpointError, match=r"ensemble.*expected torch.float32 \(2"):
            load_checkpoint(folder, spec).restore(make_sac(spec))
