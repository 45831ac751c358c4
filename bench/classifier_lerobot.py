"""LeRobot's reward classifier on the same frames, as shipped: its own network, loss and optimiser settings.

Its encoder is ours, in the format that its `AutoModel.from_pretrained` loads by name.
Images come normalised as its processor does with ImageNet's statistics, batches are drawn evenly from all frames.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policy.encoder import IMAGENET_MEAN, IMAGENET_STD, SIM_FOLDER, load_network

BATCH = 16  # LeRobot's example of a configuration


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """A trained one. untrained: tensors that were to be trained, and never got a gradient"""

    model: Any
    train_s: float
    untrained: int
    trainable: int

    def probabilities(self, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Frames uint8 (N, cameras, H, W, 3) -> (N,)."""
        self.model.eval()
        with torch.inference_mode():
            pages = [self.model.predict(_images(frames[i : i + 64])).probabilities for i in range(0, len(frames), 64)]
        return torch.cat(pages).double().numpy()


def train_peer(frames: NDArray[np.uint8], labels: NDArray[np.int64], updates: int, seed: int) -> Peer:
    """Frames uint8 (N, cameras, H, W, 3), labels (N,) of 0 or 1."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.rewards.classifier.configuration_classifier import RewardClassifierConfig
    from lerobot.rewards.classifier.modeling_classifier import Classifier
    from transformers import AutoConfig, AutoModel

    from policy.hub_model import ResNet10Config, ResNet10Model

    AutoConfig.register("resnet10", ResNet10Config, exist_ok=True)
    AutoModel.register(ResNet10Config, ResNet10Model, exist_ok=True)
    cameras, side = frames.shape[1], frames.shape[2]
    features = {
        f"observation.images.camera{index}": PolicyFeature(type=FeatureType.VISUAL, shape=(3, side, side))
        for index in range(cameras)
    }
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        network = load_network(SIM_FOLDER)
        model = ResNet10Model(ResNet10Config(**network.shape.model_dump()))
        model.load_state_dict(network.state_dict())
        model.save_pretrained(folder)
        config = RewardClassifierConfig(model_name=folder, num_cameras=cameras, input_features=features)
        peer = Classifier(config)
    trainable = [tensor for tensor in peer.parameters() if tensor.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=config.learning_rate, weight_decay=config.weight_decay)
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    peer.train()
    for _ in range(updates):
        rows = rng.integers(len(frames), size=BATCH)
        batch: dict[str, Tensor] = dict(zip(features, _images(frames[rows]), strict=True))
        batch["next.reward"] = torch.from_numpy(labels[rows]).float()
        loss, _figures = peer.forward(batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, config.grad_clip_norm)
        optimiser.step()
    untrained = sum(tensor.grad is None for tensor in trainable)
    return Peer(peer, time.perf_counter() - began, untrained, len(trainable))


def _images(frames: NDArray[np.uint8]) -> list[Tensor]:
    """uint8 (N, cameras, H, W, 3) -> for each camera float32 (N, 3, H, W), normalised."""
    mean, std = (torch.tensor(each)[:, None, None] for each in (IMAGENET_MEAN, IMAGENET_STD))
    pixels = torch.from_numpy(frames).permute(1, 0, 4, 2, 3).float() / 255  # (cameras, N, 3, H, W)
    return list((pixels - mean) / std)
