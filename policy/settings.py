"""Settings of what both ends compute alike: the frozen encoder, its crop views and reduction, the policy network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from policy.contract import Frozen


class EncoderSettings(Frozen):
    """Which frozen ResNet10 turns frames into feature maps, and where it runs."""

    source: str = Field(
        default="sim",
        description="'sim' = shipped with the project; 'random:<seed>' = half width at random initialisation; "
        "'hub' = repo_id at revision; anything else = a folder with config.json and model.safetensors",
    )
    repo_id: str = Field(default="lerobot/resnet10", description="Hub id of the weights; read with source 'hub' only")
    revision: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{40}$",
        description="Commit of repo_id, 40 hex digits; source 'hub' demands it, so that nobody's push changes a run",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Arithmetic of the network; 'auto' = bfloat16 where the processor has it in hardware",
    )
    device: str = Field(default="cpu", description="torch device that encodes: cpu, cuda, cuda:0, ...")


class FeatureSettings(Frozen):
    """Crop views of each frame, and how far its feature maps are reduced before they are stored."""

    augmentation: Literal["cached", "on-the-fly"] = Field(
        default="cached",
        description="'cached' = encode `views` crops of each frame once, and draw one of them; 'on-the-fly' = keep the "
        "frames, crop and encode afresh for every batch: the reference, forty times slower on a processor",
    )
    views: int = Field(
        default=4, ge=1, description="Views stored per frame when cached: the unshifted one and views-1 random crops"
    )
    pad_px: int = Field(default=4, ge=0, description="Edge-replicated border before a random crop [px]")
    reduced_channels: int | None = Field(
        default=64, ge=1, description="Channels kept per camera by the fitted PCA; None stores the maps as they are"
    )
    whiten_softness: float = Field(
        default=0.1, gt=0, description="eps of the whitening 1/sqrt(var+eps), relative to the mean variance kept"
    )
    fit_frames: int = Field(default=600, ge=1, description="At most so many demo frames per camera fit the reduction")


class NetworkSettings(Frozen):
    """Shape of the trainable networks: camera heads, proprioception, MLPs. Defaults are the `fast` preset."""

    head: Literal["dense", "spatial"] = Field(
        default="dense",
        description="'dense' = Linear on the whole map; 'spatial' = learned spatial embeddings (HIL-SERL)",
    )
    head_width: int = Field(default=64, ge=1, description="Outputs of one camera head")
    spatial_features: int = Field(default=8, ge=1, description="Learned embeddings per channel of a spatial head")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout probability inside a spatial head")
    proprioception_width: int = Field(
        default=64, ge=0, description="Outputs of the proprioception layer; 0 = the policy sees nothing but its cameras"
    )
    hidden: tuple[int, ...] = Field(default=(256, 256), min_length=1, description="Widths of the MLP")
    shared_trunk: bool = Field(
        default=False,
        description="Actor and grasp critic read the critic's heads (HIL-SERL); the actor does not train them",
    )
    gripper: Literal["continuous", "discrete"] = Field(
        default="continuous", description="'discrete' = the last action dimension is -1, 0, +1 by a grasp critic (DQN)"
    )
    std_min: float = Field(default=1e-5, gt=0, description="Lower limit of the actor's standard deviation")
    std_max: float = Field(default=5.0, gt=0, description="Upper limit of the actor's standard deviation")
