"""`nudge pretrain`: makes the encoder that the project ships, from randomised simulated frames, without any network.

The decoder is linear and has nothing to look at but the 4x4 maps, so that each cell must say where in its 32x32 pixels
the cube and the jaws are: what a small policy head can then read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from console.presets.load import parse_options
from console.pretrain.data import CLASSES, LABEL_PX, FrameSource, PretrainingSet
from policy.contract import Frozen
from policy.encoder import IMAGENET_MEAN, IMAGENET_STD, SIM_FOLDER, ResNet10, random_network, save_network

# The cube fills 1-2 % of a frame; unweighted, "nothing anywhere" is a good answer.
CLASS_WEIGHTS = (0.3, 4.0, 1.0, 0.5)


class PretrainSettings(Frozen):
    """How the simulated encoder is pretrained."""

    seed: int = Field(default=0, description="Seed of poses, looks, weights and batches.")
    poses: int = Field(default=6000, gt=0, description="Poses drawn; each is seen by both cameras.")
    updates: int = Field(default=2000, gt=0, description="Gradient updates; about 10 minutes on two cores.")
    batch: int = Field(default=64, gt=0, description="Frames per update.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Peak learning rate of the one-cycle schedule.")
    out: Path = Field(default=SIM_FOLDER, description="Folder for config.json and model.safetensors.")


class LinearDecoder(nn.Module):
    """Classes of 32x32 pixels and the cube's offset, linear in the 4x4 maps; one set of weights per camera."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        block = (LABEL_PX // 4) ** 2
        self.segment = nn.ModuleList(nn.Conv2d(channels, len(CLASSES) * block, 1) for _ in range(2))
        self.locate = nn.ModuleList(nn.Linear(channels * 16, 3) for _ in range(2))

    def forward(self, maps: Tensor, camera: int) -> tuple[Tensor, Tensor]:
        """(N, C, 4, 4) -> logits (N, classes, 32, 32) and offset (N, 3) [dm]."""
        logits = F.pixel_shuffle(self.segment[camera](maps), LABEL_PX // 4)
        return logits, self.locate[camera](maps.flatten(1))


def main(argv: list[str]) -> int:
    """Draw frames, train, print what the encoder can tell on frames it has not seen, and write the weights."""
    pretrain(parse_options(PretrainSettings, argv, "nudge pretrain"), Console())
    return 0


def pretrain(settings: PretrainSettings, console: Console) -> None:
    """See `main`."""
    torch.manual_seed(settings.seed)
    # Gradients of pixels that are already certain become denormal numbers, which cost 100 times as much.
    torch.set_flush_denormal(True)
    source = FrameSource(settings.seed)
    chunks = [source.draw(100) for _ in track(range(settings.poses // 100), "drawing poses", console=console)]
    held_out = source.draw(400)
    source.close()
    data = PretrainingSet(
        *(np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in PretrainingSet.__slots__)
    )
    network = random_network(settings.seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decoder = LinearDecoder(network.shape.hidden_sizes[-1])
    _train(network, decoder, data, settings, console)
    for line in _evaluate(network, decoder, held_out):
        console.print(line)
    save_network(network, settings.out)
    console.print(f"wrote {settings.out}")


def _train(
    network: ResNet10, decoder: LinearDecoder, data: PretrainingSet, settings: PretrainSettings, console: Console
) -> None:
    parameters = [*network.parameters(), *decoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=1e-4)
    generator = np.random.default_rng(settings.seed)
    by_camera = [np.flatnonzero(data.camera == camera) for camera in range(2)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.updates, pct_start=0.05
    )
    for update in track(range(1, settings.updates + 1), "training", console=console):
        loss = torch.zeros(())
        for camera, indices in enumerate(by_camera):
            chosen = generator.choice(indices, settings.batch // 2, replace=False)
            loss = loss + _loss(network, decoder, data, chosen, camera)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if update % 250 == 0:
            console.print(f"update {update}: loss {loss.item():.4f}")


def _loss(
    network: ResNet10, decoder: LinearDecoder, data: PretrainingSet, chosen: NDArray[np.int64], camera: int
) -> Tensor:
    logits, offset_dm = _predict(network, decoder, data.frames[chosen], camera)
    weights = torch.tensor(CLASS_WEIGHTS)
    segment = F.cross_entropy(logits, torch.from_numpy(data.labels[chosen]), weight=weights)
    return segment + F.smooth_l1_loss(offset_dm, torch.from_numpy(10 * data.offset_m[chosen]), beta=0.1)


def _predict(
    network: ResNet10, decoder: LinearDecoder, frames: NDArray[np.uint8], camera: int
) -> tuple[Tensor, Tensor]:
    """Logits (N, classes, 32, 32) and offset (N, 3) [dm] in float32; the convolutions run in bfloat16."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    with torch.autocast("cpu", torch.bfloat16):
        maps = network((pixels - mean) / std)
    logits, offset_dm = decoder(maps.float(), camera)
    return logits, offset_dm


@torch.no_grad()
def _evaluate(network: ResNet10, decoder: LinearDecoder, data: PretrainingSet) -> list[str]:
    lines = []
    for camera, name in enumerate(("wrist", "front")):
        chosen = np.flatnonzero(data.camera == camera)
        logits, offset_dm = _predict(network, decoder, data.frames[chosen], camera)
        labels = torch.from_numpy(data.labels[chosen])
        classes = logits.argmax(1)
        cube = CLASSES.index("cube")
        overlap = ((classes == cube) & (labels == cube)).sum() / ((classes == cube) | (labels == cube)).sum()
        error_mm = (100 * (offset_dm - torch.from_numpy(10 * data.offset_m[chosen]))).norm(dim=1).median()
        lines.append(f"{name}: held-out cube IoU {overlap:.3f}, median offset error {error_mm:.1f} mm")
    return lines
