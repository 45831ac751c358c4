"""LeRobot trains a policy of its own on an export: ACT, as small as it gets, a few steps on the CPU, offline."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from demos.lerobot_export import LeRobotExportSettings, export_dataset
from exchange import A, episode, quiet_caches, write
from policy.experience import Source

pytestmark = pytest.mark.slow

CHUNK = 4
TINY = {
    "dim_model": 32,
    "n_heads": 2,
    "dim_feedforward": 32,
    "n_encoder_layers": 1,
    "n_decoder_layers": 1,
    "use_vae": False,
    "chunk_size": CHUNK,
    "n_action_steps": CHUNK,
}

_caches = pytest.fixture(scope="module", autouse=True)(quiet_caches)


@pytest.fixture(scope="module", params=["image", "video"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    episodes = [episode(A, number, Source.DEMO, terminated=True, steps=8) for number in range(3)]
    store = write(folder / "experience.sqlite", episodes)
    export_dataset(store, folder / "dataset", LeRobotExportSettings(frames=request.param))
    return folder / "dataset"


def test_its_policy_learns_from_an_export_with_its_own_statistics(dataset: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.factory import make_policy, make_pre_post_processors

    steps = {"action": [index / 10 for index in range(CHUNK)]}
    loaded = LeRobotDataset("local/dataset", dataset, delta_timestamps=steps, video_backend="pyav")
    settings = ACTConfig(device="cpu", pretrained_backbone_weights=None, push_to_hub=False, **TINY)
    policy = make_policy(settings, ds_meta=loaded.meta)
    assert set(settings.input_features) == {
        "observation.state",
        "observation.images.camera0",
        "observation.images.camera1",
    }
    before, _ = make_pre_post_processors(settings, dataset_stats=loaded.meta.stats)
    batches: Any = torch.utils.data.DataLoader(loaded, batch_size=8)
    optimiser = torch.optim.Adam(policy.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        for batch in batches:
            loss, _ = policy.forward(before(batch))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert len(losses) == 4 * 3
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="lerobot-train needs accelerate: lerobot[training]"
)
def test_its_training_command_runs_on_an_export(dataset: Path, tmp_path: Path) -> None:
    options = [f"--policy.{name}={str(value).lower()}" for name, value in TINY.items()]
    command = [
        *(sys.executable, "-m", "lerobot.scripts.lerobot_train"),
        *("--dataset.repo_id=local/dataset", f"--dataset.root={dataset}", "--dataset.video_backend=pyav"),
        *("--policy.type=act", "--policy.device=cpu", "--policy.push_to_hub=false", *options),
        *("--policy.pretrained_backbone_weights=null", "--steps=2", "--batch_size=2", "--num_workers=0"),
        *("--log_freq=1", "--env_eval_freq=0", "--save_freq=2", "--wandb.enable=false"),
        f"--output_dir={tmp_path / 'out'}",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "out").rglob("model.safetensors"))
