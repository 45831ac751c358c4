"""From frames to the feature maps that are stored and learned from: crop views, encoding, reduction.

A reduction is fitted on demo frames: a moved camera or lamp makes it wrong. So it travels with every snapshot and
checkpoint, and its hash is part of the key of every cache of features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policy.contract import Contract
from policy.encoder import Encoder
from policy.errors import EncoderError

NO_REDUCTION_HASH = "none"


@dataclass(frozen=True, slots=True)
class FeatureReduction:
    """Per camera: y = (x - mean) @ projection on the channel vector of each map cell (PCA with soft whitening).

    mean: float32 (cameras, channels)
    projection: float32 (cameras, channels, reduced_channels)
    explained_variance: per camera, the part of the variance that is kept (0..1)
    """

    mean: Tensor
    projection: Tensor
    explained_variance: tuple[float, ...]

    @property
    def hash(self) -> str:
        """Sha256 of both tensors, as 64 hex digits."""
        digest = hashlib.sha256(str(tuple(self.projection.shape)).encode())
        for tensor in (self.mean, self.projection):
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def apply(self, maps: Tensor) -> Tensor:
        """Maps (cameras, N, channels, h, w) float32 -> (cameras, N, reduced_channels, h, w) float32."""
        cameras, n, _, height, width = maps.shape
        # float64, so that no setting of float32 products on either end changes what is stored or seen; it is small.
        projection = self.projection.to(maps.device).double()
        centred = maps.flatten(3).double() - self.mean.to(maps.device)[:, None, :, None]  # (cameras, N, channels, h*w)
        reduced = torch.matmul(projection.transpose(1, 2)[:, None], centred)
        return reduced.reshape(cameras, n, -1, height, width).float()


def fit_reduction(maps: Tensor, reduced_channels: int, whiten_softness: float) -> FeatureReduction:
    """Fit on the maps of unshifted demo frames.

    maps: float32 (cameras, N, channels, h, w); each map cell is one sample of a channel vector
    whiten_softness: each direction is scaled by 1/sqrt(var + eps), eps = whiten_softness * mean variance kept; full
        whitening would blow the last, nearly constant directions up to the size of the first
    """
    cameras, _, channels, _, _ = maps.shape
    if reduced_channels > channels:
        raise EncoderError(
            f"reduced_channels: got {reduced_channels}, but the encoder gives {channels}; take at most that"
        )
    means, projections, explained = [], [], []
    for camera in range(cameras):
        vectors = maps[camera].flatten(2).transpose(1, 2).reshape(-1, channels).double()  # (N*h*w, channels)
        if len(vectors) < 2:
            raise EncoderError(
                f"reduction: got {len(vectors)} channel vectors, at least 2 are needed; record demos first"
            )
        mean = vectors.mean(0)
        covariance = torch.cov((vectors - mean).T)
        variance, direction = torch.linalg.eigh(covariance)  # ascending
        variance, direction = variance.flip(0)[:reduced_channels].clamp(min=0), direction.flip(1)[:, :reduced_channels]
        direction = direction * _signs(direction)
        total = covariance.diagonal().sum()
        if not total > 0:
            raise EncoderError(
                f"reduction: the demo frames of camera {camera} are all alike; check that it is not covered"
            )
        scale = (variance + whiten_softness * variance.mean()).rsqrt()
        means.append(mean.float())
        projections.append((direction * scale).float())
        explained.append(float(variance.sum() / total))
    return FeatureReduction(torch.stack(means), torch.stack(projections), tuple(explained))


def crop_views(frames: NDArray[np.uint8], views: int, pad_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The unshifted frame and views-1 random crops of it, padded by replicated edges (DrQ, HIL-SERL).

    frames: uint8 (cameras, H, W, 3); returns uint8 (cameras, views, H, W, 3)
    """
    cameras = len(frames)
    out = np.empty((cameras, views, *frames.shape[1:]), np.uint8)
    out[:, 0] = frames
    if views == 1:
        return out
    offsets = rng.integers(0, 2 * pad_px + 1, size=(cameras, views - 1, 2))
    for camera in range(cameras):
        out[camera, 1:] = crop_frames([frames[camera]] * (views - 1), offsets[camera], pad_px)
    return out


def crop_frames(
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], offsets: NDArray[np.int64], pad_px: int
) -> NDArray[np.uint8]:
    """Each frame, padded by replicated edges, cut to its size again.

    frames: uint8 (N, H, W, 3); offsets: (N, 2), top and left of each cut, 0..2*pad_px; returns uint8 (N, H, W, 3)
    """
    out = np.empty((len(frames), *frames[0].shape), np.uint8)
    _, height, width, _ = out.shape
    for index, (frame, (top, left)) in enumerate(zip(frames, offsets, strict=True)):
        padded = cv2.copyMakeBorder(frame, pad_px, pad_px, pad_px, pad_px, cv2.BORDER_REPLICATE)
        out[index] = padded[top : top + height, left : left + width]
    return out


class Featurizer:
    """Frames of a contract's cameras to the maps that a policy reads. Safe to call from several threads."""

    def __init__(self, encoder: Encoder, reduction: FeatureReduction | None, contract: Contract) -> None:
        self.encoder = encoder
        self.reduction = reduction
        self._names = tuple(camera.name for camera in contract.cameras)
        side = contract.cameras[0].size_px  # `map_shape` refuses cameras of several sizes
        self.frame_shape = len(contract.cameras), side, side, 3
        self.shape = map_shape(contract, encoder.channels if reduction is None else int(reduction.projection.shape[2]))
        if reduction is not None and reduction.projection.shape[:2] != (len(self._names), encoder.channels):
            raise EncoderError(
                f"reduction: fitted for (cameras, channels) {tuple(reduction.projection.shape[:2])}, but there are "
                f"{(len(self._names), encoder.channels)}; fit it again with this encoder and contract"
            )

    @property
    def reduction_hash(self) -> str:
        """Hash of the reduction; `none` for maps as they come from the encoder."""
        return NO_REDUCTION_HASH if self.reduction is None else self.reduction.hash

    def stack(self, frames: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Frames by camera name -> uint8 (cameras, H, W, 3) in the contract's order."""
        return np.stack([frames[name] for name in self._names])

    def maps(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames uint8 (cameras, N, H, W, 3) -> float32 (cameras, N, channels, h, w)."""
        cameras, n = frames.shape[:2]
        with torch.inference_mode():
            maps = self.encoder.encode(frames.reshape(cameras * n, *frames.shape[2:]))
            return self.reduced(maps.reshape(cameras, n, *maps.shape[1:]))

    def reduced(self, maps: Tensor) -> Tensor:
        """Maps (cameras, N, channels, h, w) as they come from the encoder, as the policy reads them."""
        return maps if self.reduction is None else self.reduction.apply(maps)


def map_shape(contract: Contract, channels: int) -> tuple[int, int, int, int]:
    """(cameras, channels, h, w) of one observation's maps. ResNet10 divides each side by 32."""
    sizes = {camera.size_px for camera in contract.cameras}
    if len(sizes) != 1:
        raise EncoderError(
            f"cameras of sizes {sorted(sizes)} px: one batch of maps needs one size; set the same size_px"
        )
    side = -(-sizes.pop() // 32)
    return len(contract.cameras), channels, side, side


def _signs(direction: Tensor) -> Tensor:
    """Eigenvectors have no sign of their own: make the entry of largest magnitude positive, so that a fit repeats."""
    largest = direction.abs().argmax(0, keepdim=True)
    return torch.sign(direction.gather(0, largest))
