"""LeRobot 0.6's learner, built as `lerobot.rl.learner` builds it, on synthetic experience and without any network.

Nothing of LeRobot is patched. Only its inputs are ours: random frames in its own replay buffers, and a vision encoder
of ResNet10's shape in a temporary folder, which LeRobot's own `AutoModel.from_pretrained` loads as it would a hub id.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies import make_pre_post_processors
from lerobot.policies.gaussian_actor.configuration_gaussian_actor import GaussianActorConfig
from lerobot.policies.gaussian_actor.modeling_gaussian_actor import GaussianActorPolicy
from lerobot.rl.algorithms.sac import SACAlgorithm, SACAlgorithmConfig
from lerobot.rl.buffer import ReplayBuffer
from lerobot.rl.data_sources import DataMixer, OnlineOfflineMixer
from lerobot.rl.trainer import RLTrainer
from torch import Tensor
from transformers import AutoConfig, ResNetModel

FRAME_PX = 128
PROPRIOCEPTION_DIMS = 13
CONTINUOUS_ACTION_DIMS = 3
GRIPPER_ACTIONS = 3  # close, stay, open
EPISODE_STEPS = 80


@dataclass(frozen=True)
class LeRobotLearner:
    """One LeRobot learner, ready to train.

    update: one `RLTrainer.training_step` (at LeRobot's UTD of 1: critics, grasp critic, actor, temperature, targets)
    close: end its sampling threads
    replay_bytes_per_transition: what its replay buffer allocates for one transition [bytes]
    encoder_map: shape of one frame's feature map, (channels, height, width)
    """

    update: Callable[[], object]
    close: Callable[[], object]
    replay_bytes_per_transition: int
    encoder_map: tuple[int, int, int]


class SynchronousMixer(OnlineOfflineMixer):  # type: ignore[misc] # LeRobot ships no types
    """LeRobot's mixer with the iterator of its own base class: it samples when a batch is asked for.

    As shipped, two background threads sample without pause, and what finds the queue full is thrown away: on a few
    cores that takes time from the update itself.
    """

    get_iterator = DataMixer.get_iterator


def build_trainer(
    batch_size: int, cameras: int, seed: int, *, transitions: int = 512, prefetch: bool = False
) -> LeRobotLearner:
    """Build LeRobot's trainer with its defaults and fill its two buffers with synthetic episodes.

    batch_size: transitions an update, half of them demonstrations
    transitions: experience in each of the two buffers; its size does not change the cost of an update
    prefetch: sample in LeRobot's background threads (its default), not in the update
    """
    algorithm = build_algorithm(cameras, seed)
    policy, config = algorithm.policy, algorithm.policy.config
    preprocessor, _ = make_pre_post_processors(policy_cfg=config, dataset_stats=config.dataset_stats)
    online, demos = (_filled_buffer(config, transitions) for _ in range(2))
    mixer = OnlineOfflineMixer if prefetch else SynchronousMixer
    trainer = RLTrainer(algorithm, mixer(online, demos, online_ratio=0.5), batch_size, preprocessor=preprocessor)
    with torch.no_grad():
        _, channels, height, width = policy.encoder_critic.image_encoder(torch.zeros(1, 3, FRAME_PX, FRAME_PX)).shape
    return LeRobotLearner(
        trainer.training_step, trainer.reset_data_iterator, _bytes_per_transition(online), (channels, height, width)
    )


def build_algorithm(cameras: int, seed: int) -> SACAlgorithm:
    """LeRobot's networks and optimisers with its defaults, and an encoder of ResNet10's shape."""
    torch.manual_seed(seed)
    config = _policy_config(cameras)
    with tempfile.TemporaryDirectory() as folder:
        save_resnet10(folder)
        config.vision_encoder_name = folder
        policy = GaussianActorPolicy(config)
    policy.train()
    # ResNet10 has GroupNorm, this stand-in BatchNorm: in evaluation mode both cost the same (3.0 s for 512 frames on
    # 2 cores), in training mode BatchNorm costs a third more, which LeRobot's real encoder would not pay.
    policy.encoder_critic.image_encoder.eval()
    return SACAlgorithm(policy, SACAlgorithmConfig.from_policy_config(config))


def _policy_config(cameras: int) -> GaussianActorConfig:
    """LeRobot's defaults with the shapes of the comparison; statistics that leave the synthetic values alone."""
    images = {
        f"observation.images.camera{i}": PolicyFeature(FeatureType.VISUAL, (3, FRAME_PX, FRAME_PX))
        for i in range(cameras)
    }
    state = {"observation.state": PolicyFeature(FeatureType.STATE, (PROPRIOCEPTION_DIMS,))}
    return GaussianActorConfig(
        input_features=images | state,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (CONTINUOUS_ACTION_DIMS,))},
        dataset_stats={
            **{name: {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]} for name in images},
            "observation.state": {"min": [-1.0] * PROPRIOCEPTION_DIMS, "max": [1.0] * PROPRIOCEPTION_DIMS},
            "action": {"min": [-1.0] * CONTINUOUS_ACTION_DIMS, "max": [1.0] * CONTINUOUS_ACTION_DIMS},
        },
        device="cpu",
        num_discrete_actions=GRIPPER_ACTIONS,
    )


def save_resnet10(folder: str) -> None:
    """A ResNet of four single basic blocks, 64 to 512 channels: 3x128x128 -> 512x4x4, 4.9M parameters, random."""
    config = AutoConfig.for_model(
        "resnet", embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[1, 1, 1, 1], layer_type="basic"
    )
    ResNetModel(config).save_pretrained(folder)


def _filled_buffer(config: GaussianActorConfig, transitions: int) -> ReplayBuffer:
    """A replay buffer as the learner makes it (next states by reference), filled step by step through `add`."""
    buffer = ReplayBuffer(
        capacity=transitions, device="cpu", state_keys=list(config.input_features), optimize_memory=True
    )
    observation = _random_observation(config)
    for index in range(transitions):
        following = _random_observation(config)
        gripper = torch.randint(0, GRIPPER_ACTIONS, (1, 1)).float()
        action = torch.cat([torch.rand(1, CONTINUOUS_ACTION_DIMS) * 2 - 1, gripper], dim=1)
        last = (index + 1) % EPISODE_STEPS == 0
        buffer.add(observation, action, float(last), following, done=last, truncated=False)
        observation = following
    return buffer


def _random_observation(config: GaussianActorConfig) -> dict[str, Tensor]:
    return {name: torch.rand(1, *feature.shape) for name, feature in config.input_features.items()}


def _bytes_per_transition(buffer: ReplayBuffer) -> int:
    tensors = [*buffer.states.values(), buffer.actions, buffer.rewards, buffer.dones, buffer.truncateds]
    return sum(int(tensor.nbytes) for tensor in tensors) // int(buffer.capacity)
