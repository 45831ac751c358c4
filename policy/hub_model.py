"""The encoder as `transformers` knows models: for exchange with the hub and with tools built on it.

Nothing that runs imports this module: `transformers` takes seconds to import, and `policy.encoder` reads the same files
without it. Weights saved by either are read by the other.
"""

from __future__ import annotations

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithNoAttention

from policy.encoder import ResNet10, ResNet10Shape, feature_maps


class ResNet10Config(PretrainedConfig):
    """`config.json` of `lerobot/resnet10`."""

    model_type = "resnet10"

    num_channels: int = 3
    embedding_size: int = 64
    hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    depths: list[int] | tuple[int, ...] = (1, 1, 1, 1)
    hidden_act: str = "relu"
    pooler: str | None = None


class ResNet10Model(PreTrainedModel):
    """`policy.encoder.ResNet10` with `from_pretrained` and `save_pretrained`; the same parameter names."""

    config_class = ResNet10Config
    base_model_prefix = ""
    main_input_name = "pixel_values"

    def __init__(self, config: ResNet10Config) -> None:
        super().__init__(config)
        network = ResNet10(ResNet10Shape.model_validate(config.to_dict()))
        self.embedder = network.embedder
        self.encoder = network.encoder
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, pixel_values: Tensor) -> BaseModelOutputWithNoAttention:
        """ImageNet-normalised RGB (N, 3, H, W) -> `last_hidden_state` (N, hidden_sizes[-1], H/32, W/32)."""
        maps = feature_maps(self.embedder, self.encoder, pixel_values)
        return BaseModelOutputWithNoAttention(last_hidden_state=maps)  # type: ignore[arg-type]
