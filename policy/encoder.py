"""The frozen image encoder: ResNet10 as HIL-SERL and LeRobot use it, defined here, loaded from safetensors only.

128x128 RGB -> (channels, 4, 4) maps. Weights come from a hub id at a pinned revision, from a folder in the same
format, or from a seed. `policy.hub_model` wraps the same network for `transformers`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from policy.errors import EncoderError
from policy.settings import EncoderSettings

SIM_FOLDER = Path(__file__).parent / "weights" / "sim_resnet10"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF_WIDTH = (32, 64, 128, 256)
AT_ONCE = 16  # frames, on a processor: more of them leave its caches, fewer fetch the weights as often for less


class ResNet10Shape(BaseModel):
    """`config.json` of the network; field names as on the hub, whose other keys do not matter here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_channels: Literal[3] = 3
    embedding_size: int = Field(default=64, gt=0)
    hidden_sizes: tuple[int, ...] = Field(default=(64, 128, 256, 512), min_length=1)
    depths: tuple[Literal[1], ...] = (1, 1, 1, 1)
    hidden_act: Literal["relu"] = "relu"
    pooler: Literal["avg", "max"] | None = None  # has no weights, and the maps are taken before it


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """(before, after) of JAX's 'SAME' padding: the odd pixel goes after, i.e. to the bottom and right."""
    total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    (top, bottom), (left, right) = (_same_padding(size, kernel, stride) for size in x.shape[-2:])
    return F.pad(x, (left, right, top, bottom)) if top + bottom + left + right else x


def _pool_same(x: Tensor) -> Tensor:
    """Maximum of 3x3 cells, stride 2, as if padded by 'SAME' with -inf, but without a copy.

    An odd side gets one cell at both ends; an even one at its end, over which `ceil_mode` lets the last window reach.
    """
    (top, _), (left, _) = (_same_padding(size, 3, 2) for size in x.shape[-2:])
    return F.max_pool2d(x, 3, 2, padding=(top, left), ceil_mode=True)


class SameConv2d(nn.Module):
    """Convolution with 'SAME' padding; the inner module is named `conv` because the published weights say so."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        # With stride 1 and an odd kernel 'SAME' is symmetric, so the convolution can pad without a copy.
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2 if stride == 1 else 0, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in, H, W) -> (N, n_out, ceil(H/stride), ceil(W/stride))."""
        stride, kernel = self.conv.stride[0], self.conv.kernel_size[0]
        convolved: Tensor = self.conv(x if stride == 1 else _pad_same(x, kernel, stride))
        return convolved


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with GroupNorm around a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = SameConv2d(n_in, n_out, 3, stride)
        self.norm1 = nn.GroupNorm(4, n_out, eps=1e-5)
        self.conv2 = SameConv2d(n_out, n_out, 3, 1)
        self.norm2 = nn.GroupNorm(4, n_out, eps=1e-5)
        self.shortcut: nn.Sequential | None = None
        if n_in != n_out or stride != 1:
            self.shortcut = nn.Sequential(SameConv2d(n_in, n_out, 1, stride), nn.GroupNorm(4, n_out, eps=1e-5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in, H, W) -> (N, n_out, ceil(H/stride), ceil(W/stride))."""
        y: Tensor = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu_()))
        return y.add_(x if self.shortcut is None else self.shortcut(x)).relu_()


class Stages(nn.Module):
    """The basic blocks, one per width; all but the first halve the map."""

    def __init__(self, shape: ResNet10Shape) -> None:
        super().__init__()
        widths = (shape.embedding_size, *shape.hidden_sizes)
        self.stages = nn.ModuleList(
            BasicBlock(n_in, n_out, 1 if index == 0 else 2) for index, (n_in, n_out) in enumerate(pairwise(widths))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, embedding_size, H, W) -> (N, hidden_sizes[-1], H/8, W/8)."""
        for stage in self.stages:
            x = stage(x)
        return x


class ResNet10(nn.Module):
    """The network; parameter names as published (`embedder.0.weight`, `encoder.stages.0.conv1.conv.weight`, ...)."""

    def __init__(self, shape: ResNet10Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.embedding_size
        self.embedder = nn.Sequential(
            nn.Conv2d(shape.num_channels, width, 7, stride=2, padding=3, bias=False),
            nn.GroupNorm(4, width, eps=1e-5),
        )
        self.encoder = Stages(shape)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) -> maps (N, hidden_sizes[-1], H/32, W/32)."""
        return feature_maps(self.embedder, self.encoder, pixels)


def feature_maps(embedder: nn.Module, encoder: nn.Module, pixels: Tensor) -> Tensor:
    """What a ResNet10 of these two parts computes; ReLU and pooling have no parameters and no place in the names."""
    # Pooled first, which leaves a quarter to the ReLU: the ReLU of a maximum is the maximum of the ReLUs.
    maps: Tensor = encoder(_pool_same(embedder(pixels)).relu_())
    return maps


class Encoder:
    """A frozen ResNet10 in evaluation mode. Safe to call from several threads.

    name: where the weights came from; sha256: of the float32 weights, independent of the arithmetic in use
    """

    def __init__(self, network: ResNet10, name: str, dtype: torch.dtype, device: torch.device) -> None:
        self.name = name
        self.channels = network.shape.hidden_sizes[-1]
        self.sha256 = _hash_weights(network.state_dict())
        self.dtype = dtype
        self.device = device
        # channels_last with bfloat16 is 3x faster than NCHW with float32 on an AMX processor (0.9 against 3.0 ms a
        # frame at half width), and 1.5x with float32.
        network = network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = network.eval().requires_grad_(False)
        self._mean = 255 * torch.tensor(IMAGENET_MEAN, device=device)
        self._inverse_std = 1 / (255 * torch.tensor(IMAGENET_STD, device=device))

    def encode(self, frames: NDArray[np.uint8] | Tensor) -> Tensor:
        """Frames to feature maps.

        frames: uint8 RGB (N, H, W, 3); returns float32 (N, channels, H/32, W/32) on the encoder's device
        """
        tensor = torch.from_numpy(frames) if isinstance(frames, np.ndarray) else frames
        if tensor.dtype != torch.uint8 or tensor.ndim != 4 or tensor.shape[-1] != 3:
            raise EncoderError(f"frames: got {tensor.dtype} {tuple(tensor.shape)}, expected uint8 RGB (N, H, W, 3)")
        pieces = tensor.chunk(max(1, -(-len(tensor) // AT_ONCE))) if self.device.type == "cpu" else (tensor,)
        with torch.inference_mode():
            maps = [self._network(self._normalised(piece.to(self.device)).to(self.dtype)) for piece in pieces]
            return torch.cat(maps).float().contiguous()

    def _normalised(self, frames: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, 3, H, W), channels_last. Whole rows at once take a quarter of the time."""
        n, height, width, _ = frames.shape
        rows = frames.reshape(n, height, width * 3).float()
        rows.sub_(self._mean.repeat(width)).mul_(self._inverse_std.repeat(width))
        return rows.view(n, height, width, 3).permute(0, 3, 1, 2)


def load_encoder(settings: EncoderSettings) -> Encoder:
    """The encoder that `settings` name. Raises `EncoderError` for weights that are missing, incomplete or misshapen."""
    device = torch.device(settings.device)
    dtype = _arithmetic(settings.dtype, device)
    name, network = _load_network(settings)
    return Encoder(network, name, dtype, device)


def random_encoder(seed: int, shape: ResNet10Shape | None = None) -> Encoder:
    """A float32 encoder on the CPU at random initialisation: the same weights for the same seed on every machine."""
    return Encoder(random_network(seed, shape), f"random:{seed}", torch.float32, torch.device("cpu"))


def random_network(seed: int, shape: ResNet10Shape | None = None) -> ResNet10:
    """He-normal convolutions from a private generator; half width by default."""
    network = ResNet10(shape or ResNet10Shape(embedding_size=HALF_WIDTH[0], hidden_sizes=HALF_WIDTH))
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    return network


def load_network(folder: Path) -> ResNet10:
    """The network in a folder with config.json and model.safetensors, weights in float32. Raises `EncoderError`."""
    config, weights = folder / "config.json", folder / "model.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise EncoderError(
                f"encoder folder {folder}: {path.name} is missing; it needs config.json and model.safetensors"
            )
    try:
        shape = ResNet10Shape.model_validate_json(config.read_bytes())
        stored = load_file(weights)
    except (ValidationError, SafetensorError) as error:
        raise EncoderError(f"encoder folder {folder}: cannot be read as a ResNet10: {error}") from error
    network = ResNet10(shape)
    named = {_published_name(name): tensor.float() for name, tensor in stored.items()}
    _require_fit(named, network.state_dict(), weights)
    network.load_state_dict(named)
    return network


def save_network(network: ResNet10, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write config.json and model.safetensors, as `load_network` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**network.shape.model_dump(mode="json"), "model_type": "resnet10", "architectures": ["ResNet10Model"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _load_network(settings: EncoderSettings) -> tuple[str, ResNet10]:
    source = settings.source
    if source == "sim":
        if not SIM_FOLDER.is_dir():
            raise EncoderError(
                f"encoder 'sim': no weights in {SIM_FOLDER}; pretrain them with the project's script, or set the "
                f"encoder's source to 'random:0', to 'hub' or to a folder"
            )
        return "sim", load_network(SIM_FOLDER)
    if match := re.fullmatch(r"random:(\d+)", source):
        return source, random_network(int(match[1]))
    if source == "hub":
        if settings.revision is None:
            raise EncoderError(
                f"encoder {settings.repo_id!r}: no revision is pinned; set the encoder's revision to the commit "
                f"(40 hex digits) that its hub page shows, so that a later push cannot change this run"
            )
        return f"hub:{settings.repo_id}@{settings.revision}", load_network(
            _download(settings.repo_id, settings.revision)
        )
    if not Path(source).is_dir():
        raise EncoderError(
            f"encoder source {source!r}: expected 'sim', 'random:<seed>', 'hub' or a folder, and no such folder"
        )
    return f"folder:{Path(source).name}", load_network(Path(source))


def _download(repo_id: str, revision: str) -> Path:
    """Folder of the two files that matter, from the cache or the hub; code in the repository is never fetched."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        # File by file: of a commit that is in the cache nothing is asked of the network.
        files = [hf_hub_download(repo_id, name, revision=revision) for name in ("config.json", "model.safetensors")]
        return Path(files[0]).parent
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise EncoderError(
            f"encoder {repo_id!r} at {revision}: cannot be fetched ({error}); check the id, the revision and the "
            f"network, or copy config.json and model.safetensors to a folder and name that as the source"
        ) from error


def _published_name(name: str) -> str:
    """Older revisions have no inner `.conv`, some have an inner `.group_norm`: both become the present names."""
    name = name.replace(".group_norm.", ".")
    return re.sub(r"(\.conv[12]|\.shortcut\.0)\.weight$", r"\1.conv.weight", name)


def _require_fit(named: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    missing, unknown = sorted(expected.keys() - named.keys()), sorted(named.keys() - expected.keys())
    if missing or unknown:
        raise EncoderError(
            f"encoder weights {path}: missing {missing}, unknown {unknown}; take the complete file of a ResNet10"
        )
    for name, tensor in named.items():
        if tensor.shape != expected[name].shape:
            raise EncoderError(
                f"encoder weights {path}: {name} has {tuple(tensor.shape)}, config.json demands "
                f"{tuple(expected[name].shape)}"
            )
        if not torch.isfinite(tensor).all():
            raise EncoderError(f"encoder weights {path}: {name} holds NaN or infinity; take an undamaged file")


def _hash_weights(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{tuple(weights[name].shape)}".encode())
        digest.update(weights[name].detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _arithmetic(dtype: str, device: torch.device) -> torch.dtype:
    if dtype != "auto":
        return torch.float32 if dtype == "float32" else torch.bfloat16
    hardware = device.type == "cuda" or has_bfloat16() or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if hardware else torch.float32


def has_bfloat16() -> bool:
    """True where the CPU multiplies bfloat16 matrices in hardware; emulation is slower than float32."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
