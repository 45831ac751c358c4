"""LeRobot 0.6's HIL-SERL learner as a process of its own, on our contract: `lerobot.rl.learner` as it stands.

Theirs, unpatched: the main loop (`add_actor_information_and_train`), networks, both replay buffers, the mixer that
takes half of each batch from each, augmentation, sampling threads, update, weight pushes and their period, and how the
demo buffer is filled: from a LeRobotDataset, which their own buffer writes. Settings are those of their example for an
SO-100 (`train_config_hilserl_so100.json`), where that has none those of their classes; see `PeerSettings`.

Ours: the shapes, taken from the contract, whose limits normalise the state; the encoder's weights, those of our shipped
simulated encoder (GroupNorm, half width: 256x4x4) in the folder that their `AutoModel.from_pretrained` loads, since
theirs would come from the network; no checkpoints; and queues of processes where they have gRPC between two queues.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before LeRobot is imported: nothing is looked for on the hub, and no bar for each buffer.
os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}

import torch
from lerobot.configs.default import DatasetConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import HILSerlRobotEnvConfig
from lerobot.policies.gaussian_actor.configuration_gaussian_actor import ActorLearnerConfig, GaussianActorConfig
from lerobot.rl.algorithms.sac import SACAlgorithmConfig
from lerobot.rl.buffer import ReplayBuffer
from lerobot.rl.learner import add_actor_information_and_train
from lerobot.rl.train_rl import TrainRLServerPipelineConfig
from lerobot.transport.utils import python_object_to_bytes
from lerobot.utils.random_utils import set_seed
from transformers import AutoConfig, AutoModel

from bench.lerobot_settings import PeerSettings
from bench.lerobot_wire import observation
from policy.contract import Contract
from policy.encoder import IMAGENET_MEAN, IMAGENET_STD, SIM_FOLDER, load_network
from policy.experience import Source, Step
from policy.hub_model import ResNet10Config, ResNet10Model

GRIPPER_ACTIONS = 3  # close, stay, open
DATASET = "local/demonstrations"  # a name; what it names lies in the run's folder
UPDATES_FILE, LOG_FILE = "updates.jsonl", "learner.log"
ENCODER, DEMONSTRATIONS = "encoder", "demonstrations"  # folders in that of the run


@dataclass(frozen=True)
class Orders:
    """What its two sides are built from. folder: of the run, where demonstrations and logs lie"""

    folder: Path
    contract: Contract
    seed: int
    peer: PeerSettings


def training_settings(orders: Orders) -> TrainRLServerPipelineConfig:
    """LeRobot's own settings, for either side."""
    contract, peer = orders.contract, orders.peer
    images = {
        f"observation.images.{camera.name}": PolicyFeature(FeatureType.VISUAL, (3, camera.size_px, camera.size_px))
        for camera in contract.cameras
    }
    state = {"observation.state": PolicyFeature(FeatureType.STATE, (len(contract.proprioception),))}
    continuous = len(contract.action) - 1  # the gripper is their discrete action, the last one
    action = {"action": PolicyFeature(FeatureType.ACTION, (continuous,))}
    policy = GaussianActorConfig(
        input_features=images | state,
        output_features=action,
        dataset_stats={
            **{name: {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)} for name in images},
            "observation.state": {
                "min": [dimension.low for dimension in contract.proprioception],
                "max": [dimension.high for dimension in contract.proprioception],
            },
            "action": {"min": [-1.0] * continuous, "max": [1.0] * continuous},
        },
        device="cpu",
        vision_encoder_name=str(orders.folder / ENCODER),
        num_discrete_actions=GRIPPER_ACTIONS,
        online_buffer_capacity=30_000,
        offline_buffer_capacity=10_000,
        online_step_before_learning=peer.steps_before_learning,
        actor_learner_config=ActorLearnerConfig(policy_parameters_push_frequency=peer.push_s),
    )
    algorithm = SACAlgorithmConfig.from_policy_config(policy)
    algorithm.utd_ratio, algorithm.discount, algorithm.temperature_init = peer.utd, 0.97, 0.01
    features = images | state | action
    return TrainRLServerPipelineConfig(
        dataset=DatasetConfig(DATASET, root=str(orders.folder / DEMONSTRATIONS), use_imagenet_stats=False),
        env=HILSerlRobotEnvConfig(
            fps=round(contract.control_hz), features=features, features_map={name: name for name in features}
        ),
        policy=policy,
        algorithm=algorithm,
        output_dir=orders.folder,
        seed=orders.seed,
        batch_size=peer.batch,
        save_checkpoint=False,
    )


def know_our_encoder() -> None:
    """Let `AutoModel` find ResNet10 by its name, as the code beside the hub's weights does."""
    AutoConfig.register("resnet10", ResNet10Config, exist_ok=True)
    AutoModel.register(ResNet10Config, ResNet10Model, exist_ok=True)


def write_encoder(folder: Path) -> None:
    """Our shipped encoder for simulated pictures, in single precision; LeRobot would compute in the file's half."""
    network = load_network(SIM_FOLDER)
    model = ResNet10Model(ResNet10Config(**network.shape.model_dump()))
    model.load_state_dict(network.state_dict())
    model.save_pretrained(folder)


def transitions(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """A whole episode as LeRobot's actor sends it; the executed gripper command is rounded to one of three."""
    last = steps[-1].final
    assert last is not None  # of a whole episode
    seen = [observation(step.observation) for step in steps] + [observation(last)]
    made = []
    for index, step in enumerate(steps):
        action = torch.from_numpy(step.action).clone()
        action[-1] = action[-1].round() + 1  # 0, 1, 2
        made.append(
            {
                "state": seen[index],
                "action": action,
                "reward": step.reward,
                "next_state": seen[index + 1],
                "done": step.terminated,
                "truncated": step.truncated,
                "complementary_info": {
                    "discrete_penalty": torch.tensor([0.0]),
                    "is_intervention": step.source in (Source.HUMAN, Source.DEMO),
                },
            }
        )
    return made


def write_demonstrations(orders: Orders, episodes: Sequence[Sequence[Step]]) -> None:
    """Have LeRobot's own buffer write them as the dataset that its learner reads."""
    made = [each for steps in episodes for each in transitions(steps)]
    keys = list(made[0]["state"])
    buffer = ReplayBuffer(capacity=len(made), device="cpu", state_keys=keys, optimize_memory=True)
    for each in made:
        buffer.add(**each)
    buffer.to_lerobot_dataset(DATASET, fps=round(orders.contract.control_hz), root=orders.folder / DEMONSTRATIONS)


class UpdateJournal:
    """Stands where LeRobot has its logger: notes each of its optimisation steps, as it is told of it.

    ready: set once their main loop has taken a message of the actor, which it does before its first update
    """

    def __init__(self, path: Path, ready: Any) -> None:
        self._file, self._ready = path.open("w", buffering=1), ready

    def log_dict(self, d: Mapping[str, Any], *, mode: str, custom_step_key: str) -> None:  # noqa: ARG002  # theirs
        """Their figures; those of an optimisation step have its frequency."""
        if custom_step_key == "Interaction step":
            self._ready.set()
        if "Optimization frequency loop [Hz]" in d:
            took_s = 1 / d["Optimization frequency loop [Hz]"]
            line = {"at_s": time.time(), "steps": d["Optimization step"], "took_s": took_s}
            self._file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Ways:
    """Between their learner and its actor: queues, as in their processes, and two events.

    stop: ends the learner; ready: it has loaded the demonstrations
    """

    stop: Any
    ready: Any
    transitions: Any
    interactions: Any
    parameters: Any


def run_learner(orders: Orders, ways: Ways) -> None:
    """LeRobot's learner until `stop` is set or whoever started this process is gone; its output goes to a file."""
    sys.stdout = sys.stderr = (orders.folder / LOG_FILE).open("w", buffering=1)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    threading.Thread(target=_stop_when_alone, args=(ways.stop,), daemon=True).start()
    know_our_encoder()
    settings = training_settings(orders)
    set_seed(settings.seed)
    journal = UpdateJournal(orders.folder / UPDATES_FILE, ways.ready)
    ways.interactions.put(python_object_to_bytes({"Interaction step": 0}))
    add_actor_information_and_train(settings, journal, ways.stop, ways.transitions, ways.interactions, ways.parameters)


def _stop_when_alone(stop: Any) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # it was started by one
    parent.join()
    stop.set()
