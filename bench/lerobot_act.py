"""ACT as LeRobot trains it and acts with it, for `baselines.py`."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from policy.errors import NudgeError
from policy.experience import Observation


class ActBaseline:
    """What `lerobot-train` has left, with LeRobot's own normalisation and queue of actions."""

    def __init__(self, folder: Path) -> None:
        from lerobot.policies.act.modeling_act import ACTPolicy
        from lerobot.policies.factory import make_pre_post_processors

        self._policy = ACTPolicy.from_pretrained(folder)
        self._before, self._after = make_pre_post_processors(self._policy.config, pretrained_path=str(folder))

    def begin(self) -> None:
        """Forget the actions that were planned."""
        self._policy.reset()

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See `Baseline`."""
        batch = {"observation.state": torch.from_numpy(observation.proprioception)[None]}
        for name, frame in observation.frames.items():
            batch[f"observation.images.{name}"] = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            action = self._after(self._policy.select_action(self._before(batch)))
        return np.asarray(np.clip(action[0].cpu().numpy(), -1, 1), np.float32)


def train_act(folder: Path, arguments: argparse.Namespace, console: Console) -> float:
    """Run LeRobot's own command, its log in `folder`; seconds that an update takes with loading its batch."""
    steps = arguments.act_steps
    command = [
        *(sys.executable, "-m", "lerobot.scripts.lerobot_train", "--policy.type=act", "--policy.push_to_hub=false"),
        *("--dataset.repo_id=local/dataset", f"--dataset.root={folder / 'dataset'}", "--dataset.video_backend=pyav"),
        *(f"--policy.device={arguments.device}", f"--policy.chunk_size={arguments.chunk}"),
        f"--policy.n_action_steps={arguments.executed}",
        *("--policy.pretrained_backbone_weights=null", f"--steps={steps}", f"--batch_size={arguments.batch}"),
        *(f"--seed={arguments.seed}", "--num_workers=0", "--env_eval_freq=0", f"--save_freq={steps}"),
        *(f"--log_freq={max(1, min(200, steps // 5))}", "--wandb.enable=false", f"--output_dir={folder / 'act'}"),
        *arguments.lerobot,
    ]
    took_s: list[float] = []
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    with (
        (folder / "act.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=offline) as child,
    ):
        assert child.stdout is not None
        for line in child.stdout:
            log.write(line)
            log.flush()
            found = [re.search(rf"{name}:([0-9.]+)", line) for name in ("updt_s", "data_s")]
            if all(found):
                took_s.append(sum(float(each.group(1)) for each in found if each is not None))
                console.print(line[line.find("step:") :].strip(), highlight=False, markup=False, soft_wrap=True)
    if child.returncode != 0:
        raise NudgeError(f"lerobot-train: ended with status {child.returncode}; see {folder / 'act.log'}")
    return float(np.median(took_s[1:] or took_s or [float("nan")]))
