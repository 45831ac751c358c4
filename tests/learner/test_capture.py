"""The update as a device repeats it from a record: the same numbers as one that is run afresh each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from learner.batch import Batch
from learner.capture import WARM_UPS, CaptureError, GraphRecorder, RecordedStep
from learner.checkpoint import load_checkpoint, save_checkpoint
from learner.sac import Sac, use_matmul
from learner.settings import SacSettings
from policy.fakes import fake_contract
from policy.network import EncoderIdentity, PolicySpec
from policy.settings import NetworkSettings

CONTRACT = fake_contract(cameras=2, proprioception=5)
CPU = torch.device("cpu")
SPEC = PolicySpec(
    contract_hash=CONTRACT.hash,
    encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=6),
    reduced_channels=None,
    network=NetworkSettings(head="spatial", head_width=8, hidden=(16, 16), gripper="discrete"),
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA or ROCm device")


class Rerun:
    """A recorder without a device: its record is the work itself, on the tensors that it was recorded on."""

    def __init__(self) -> None:
        self.recorded = 0
        self.aside = lambda work: work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        return work


def make_sac(device: torch.device = CPU, seed: int = 0, **settings: object) -> Sac:
    plain = {"batch_size": 16, "critics": 3, "target_subset": 2, "bc_half_life_updates": 5.0}
    return Sac(SPEC, CONTRACT, SacSettings.model_validate(plain | settings), seed, device)


def recorded(sac: Sac) -> Rerun:
    recorder = Rerun()
    step = RecordedStep(sac._step, recorder)
    sac._run = step
    for optimiser in (sac.critic_optimiser, sac.actor_optimiser):
        optimiser.register_load_state_dict_post_hook(lambda _: step.forget())
    return recorder


def batches(count: int, device: torch.device = CPU, demo: int = 8) -> Iterator[Batch]:
    """Other numbers each time, in the same tensors, as replay gives them."""
    generator = torch.Generator().manual_seed(3)
    held: Batch | None = None
    for _ in range(count):
        fresh = _batch(generator, demo).to(device)
        if held is None:
            held = fresh
        for name in ("maps", "next_maps", "proprioception", "next_proprioception", "action", "reward"):
            getattr(held, name).copy_(getattr(fresh, name))
        yield held


def _batch(generator: torch.Generator, demo: int) -> Batch:
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Batch(
        maps=normal(2, 16, 6, 4, 4).half(),
        next_maps=normal(2, 16, 6, 4, 4).half(),
        proprioception=normal(16, 5),
        next_proprioception=normal(16, 5),
        action=torch.tanh(normal(16, 4)),
        reward=(normal(16) > 1).float(),
        discount=torch.full((16,), 0.9),
        gripper_changes=(normal(16) > 1).float(),
        demo=demo,
    )


def weights(sac: Sac) -> dict[str, Tensor]:
    named = {f"{k}.{n}": t.clone() for k, m in sac.modules().items() for n, t in m.state_dict().items()}
    return named | {"log_temperature": sac.log_temperature.detach().clone()}


def same(first: Sac, second: Sac) -> None:
    for (name, a), b in zip(weights(first).items(), weights(second).values(), strict=True):
        assert torch.equal(a, b), name


def test_from_the_record_it_learns_bit_by_bit_the_same() -> None:
    plain, repeated = make_sac(), make_sac()
    recorder = recorded(repeated)
    for sac in (plain, repeated):
        for demo, count in ((16, 9), (8, 60)):  # only demonstrations at first, then half of them
            for batch in batches(count, demo=demo):
                sac.update(batch)
    same(plain, repeated)
    assert plain.read_metrics() == repeated.read_metrics()
    # with and without the actor for either number of demos; and with the metrics, every 20 updates: at 0; at 20, 40, 60
    assert recorder.recorded == 4
    assert WARM_UPS == 3


def test_a_checkpoint_makes_it_record_anew(tmp_path: Path) -> None:
    saved = make_sac()
    for batch in batches(10):
        saved.update(batch)
    folder = save_checkpoint(tmp_path, saved, None, 0, np.random.default_rng(0), keep=1)
    plain, repeated = make_sac(seed=1), make_sac(seed=1)
    recorder = recorded(repeated)
    for sac in (plain, repeated):
        for batch in batches(10):
            sac.update(batch)
        load_checkpoint(folder, SPEC).restore(sac)
        for batch in batches(10):
            sac.update(batch)
    same(plain, repeated)
    assert recorder.recorded == 4  # twice two kinds


def test_on_a_processor_nothing_is_recorded() -> None:
    assert not isinstance(make_sac()._run, RecordedStep)


@needs_cuda
class TestOnADevice:
    @pytest.fixture(autouse=True)
    def _full_precision(self) -> None:
        use_matmul("float32", CPU)

    def test_fifty_updates_from_graphs_are_those_launched_one_by_one(self) -> None:
        device = torch.device("cuda")
        pair = make_sac(device, capture="off"), make_sac(device)
        assert [isinstance(sac._run, RecordedStep) for sac in pair] == [False, True]
        for sac in pair:
            for batch in batches(50, device):
                sac.update(batch)
        for (name, a), b in zip(weights(pair[0]).items(), weights(pair[1]).values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)

    def test_training_converges_alike(self) -> None:
        device, losses = torch.device("cuda"), []
        for capture in ("off", "auto"):
            sac = make_sac(device, capture=capture, actor_lr=3e-3, critic_lr=3e-3, bc_weight=10.0)
            fixed = next(batches(1, device, demo=16))
            for _ in range(400):
                sac.update(fixed)
            losses.append(sac.read_metrics())
        assert losses[1]["critic_loss"] == pytest.approx(losses[0]["critic_loss"], rel=0.2)
        assert losses[1]["bc_loss"] == pytest.approx(losses[0]["bc_loss"], rel=0.2)

    def test_what_cannot_be_recorded_is_said(self) -> None:
        one = torch.ones(1, device="cuda")
        with pytest.raises(CaptureError, match=r"set sac\.capture to 'off'"):
            GraphRecorder(torch.device("cuda")).record(lambda: print(one.item()))
