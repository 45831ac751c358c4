"""`nudge train-bc`: from demonstrations to a snapshot that can be judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from console.evaluation.main import load_policy
from console.main import main
from console.presets.load import load_preset
from console.settings import Settings
from demos.experience_file import new_experience
from policies import ENCODER
from policy.experience import Source
from policy.fakes import fake_contract, fake_episode

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=32)
DEMONSTRATIONS = 5

Train = Callable[..., int]


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the contract above, with an encoder that costs nothing."""
    path = tmp_path_factory.mktemp("preset") / "mine.yaml"
    learner = {"encoder": {"source": ENCODER}, "features": {"reduced_channels": 4, "views": 2}}
    contract = CONTRACT.model_dump(mode="json")
    path.write_text(
        yaml.safe_dump({"extends": "fast", "preset_name": "mine", "contract": contract, "learner": learner})
    )
    return path


@pytest.fixture(scope="module")
def experience(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experience") / "demos.sqlite"
    with new_experience(path, CONTRACT) as new:
        for index in range(DEMONSTRATIONS + 1):
            source = Source.DEMO if index < DEMONSTRATIONS else Source.POLICY
            new.append(fake_episode(CONTRACT, 6, np.random.default_rng(index), episode=index, source=source), CONTRACT)
    return path


@pytest.fixture
def train(preset: Path, experience: Path, tmp_path: Path) -> Train:
    def run(*options: str, source: Path = experience) -> int:
        few = ["--cloning.largest-epochs", "3", "--cloning.held-out", "0.3"]
        where = ["--preset", str(preset), "--runs", str(tmp_path), "--run", "bc"]
        return main(["train-bc", str(source), *where, *few, *options])

    return run


def test_the_snapshot_is_one_that_can_be_judged(
    train: Train, preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["training_episodes"], told["held_out_episodes"]) == (3, 2)  # 30 % of 5 are 2, by rounding
    assert (told["training_steps"], told["held_out_steps"]) == (18, 12)
    assert len(told["history"]) == 3
    assert json.loads((tmp_path / "bc/bc.json").read_text()) == told
    settings = load_preset(Settings, str(preset))
    policy, updates = load_policy(tmp_path / "bc/bc.safetensors", settings)
    assert updates == told["updates"] == told["best_epoch"] + 1  # a pass over 18 steps is one batch
    action = policy.select_action(
        fake_episode(CONTRACT, 1, np.random.default_rng(0))[0].observation, 0.0, torch.Generator()
    )
    assert action.shape == (4,)


def test_a_seed_gives_the_same_bytes_again(train: Train, tmp_path: Path) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        assert train("--snapshot", name) == 0
    assert (tmp_path / "bc/one.safetensors").read_bytes() == (tmp_path / "bc/two.safetensors").read_bytes()


def test_nothing_is_overwritten(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bc").mkdir()
    (tmp_path / "bc/bc.safetensors").write_bytes(b"mine")
    assert train() == 1
    assert "choose another --snapshot" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "bc/bc.safetensors").read_bytes() == b"mine"


def test_experience_of_another_contract_is_refused_with_the_difference(
    train: Train, experience: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--contract.control-hz", "20") == 1
    assert "control_hz: 20.0 (the settings) != 10.0" in " ".join(capsys.readouterr().err.split())


def test_one_demonstration_is_too_few(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with new_experience(tmp_path / "one.sqlite", CONTRACT) as new:
        new.append(fake_episode(CONTRACT, 6, np.random.default_rng(0)), CONTRACT)
    assert train(source=tmp_path / "one.sqlite") == 1
    assert "got 1 demonstrations, expected at least 2" in " ".join(capsys.readouterr().err.split())
