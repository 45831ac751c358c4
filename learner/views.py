"""What replay keeps of what the cameras saw, and how it draws views of it: K encoded ones, or the frames themselves.

Both draw from the same distribution of crops, but for the unshifted view, which is always among the K; more in
`policy.features.crop_views`. Frames are the reference; on a processor an update with them takes forty times as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from policy.contract import Contract
from policy.features import Featurizer, crop_frames
from policy.settings import FeatureSettings

ENCODED_AT_ONCE = 64  # frames per camera: bounds the memory that encoding a batch takes


class Views(Protocol):
    """One way to keep and draw.

    name: of the column; dtype, shape: of what is kept of one observation
    first_shape: of the part of it that is enough to draw from; the rest may come later
    map_shape: (cameras, channels, h, w) of one drawn view of every camera
    on_device: drawing is a mere copy, which a device does best in memory of its own
    """

    name: ClassVar[str]
    dtype: ClassVar[DTypeLike]
    on_device: ClassVar[bool]

    @property
    def shape(self) -> tuple[int, ...]:
        """See the class."""
        ...

    @property
    def first_shape(self) -> tuple[int, ...]:
        """See the class."""
        ...

    @property
    def map_shape(self) -> tuple[int, int, int, int]:
        """See the class."""
        ...

    def draw(self, kept: Tensor, slots: NDArray[np.int64], whole: int, bits: NDArray[np.uint32], out: Tensor) -> None:
        """Draw a view of every camera for each slot.

        kept: (capacity, *shape)
        whole: the slots below this one are kept whole, the others only as far as `first_shape`
        bits: (cameras, B), random, as many in every way to draw: so a seed gives the same transitions in all of them
        out: float16 (cameras, B, channels, h, w)
        """
        ...


@dataclass(frozen=True)
class StoredViews:
    """Maps of K crop views, encoded once: the first one when its step arrives, the others when nothing else is to do.

    shape: (cameras, views, channels, h, w)
    """

    name: ClassVar[str] = "maps"
    dtype: ClassVar[DTypeLike] = np.float16
    on_device: ClassVar[bool] = True

    shape: tuple[int, int, int, int, int]

    @property
    def first_shape(self) -> tuple[int, int, int, int, int]:
        """A single view, (cameras, 1, channels, h, w)."""
        cameras, _, channels, height, width = self.shape
        return cameras, 1, channels, height, width

    @property
    def map_shape(self) -> tuple[int, int, int, int]:
        """(cameras, channels, h, w)."""
        cameras, _, channels, height, width = self.shape
        return cameras, channels, height, width

    def draw(self, kept: Tensor, slots: NDArray[np.int64], whole: int, bits: NDArray[np.uint32], out: Tensor) -> None:
        """Copy one of the maps of each camera and slot, each of those that are there as likely."""
        cameras, views, *one = self.shape
        there = np.where(slots < whole, views, 1)  # (B,)
        view = bits.astype(np.int64) * there >> 32  # 0..there-1
        rows = (slots * cameras + np.arange(cameras)[:, None]) * views + view  # (cameras, B)
        _gather(kept.view(-1, math.prod(one)), rows.ravel(), out.view(rows.size, -1))


@dataclass(frozen=True)
class FreshViews:
    """Frames as they came, (cameras, H, W, 3); each draw crops and encodes them afresh."""

    name: ClassVar[str] = "frames"
    dtype: ClassVar[DTypeLike] = np.uint8
    on_device: ClassVar[bool] = False

    featurizer: Featurizer
    pad_px: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(cameras, H, W, 3)."""
        return self.featurizer.frame_shape

    @property
    def first_shape(self) -> tuple[int, int, int, int]:
        """All of it."""
        return self.shape

    @property
    def map_shape(self) -> tuple[int, int, int, int]:
        """(cameras, channels, h, w)."""
        return self.featurizer.shape

    def draw(
        self,
        kept: Tensor,
        slots: NDArray[np.int64],
        whole: int,  # noqa: ARG002  # frames are always whole
        bits: NDArray[np.uint32],
        out: Tensor,
    ) -> None:
        """Crop at random offsets and encode."""
        frames, sides = kept.numpy(), 2 * self.pad_px + 1
        halves = np.stack([bits >> 16, bits & 0xFFFF], axis=-1)  # 16 bits each for top and left
        offsets = halves.astype(np.int64) * sides >> 16  # (cameras, B, 2), 0..2*pad
        for start in range(0, len(slots), ENCODED_AT_ONCE):
            part = slice(start, start + ENCODED_AT_ONCE)
            seen = [frames[slots[part], camera] for camera in range(self.shape[0])]
            crops = [crop_frames(*of, self.pad_px) for of in zip(seen, offsets[:, part], strict=True)]
            out[:, part].copy_(self.featurizer.maps(np.stack(crops)))


def make_views(featurizer: Featurizer, settings: FeatureSettings) -> Views:
    """What `settings.augmentation` asks for."""
    if settings.augmentation == "on-the-fly":
        return FreshViews(featurizer, settings.pad_px)
    cameras, channels, height, width = featurizer.shape
    return StoredViews((cameras, settings.views, channels, height, width))


def views_key(featurizer: Featurizer, settings: FeatureSettings, contract: Contract, seed: int) -> Mapping[str, str]:
    """All that shapes what is kept: files made under another key are of no use."""
    if settings.augmentation == "on-the-fly":
        return {"contract": contract.hash}  # frames are what they are, whatever encodes them
    encoder = featurizer.encoder
    return {
        "contract": contract.hash,
        "encoder": encoder.sha256,
        "encoder_dtype": str(encoder.dtype),
        "reduction": featurizer.reduction_hash,
        "views": f"{settings.views} views, {settings.pad_px} px, seed {seed}",
    }


def _gather(rows: Tensor, index: NDArray[np.int64], out: Tensor) -> None:
    """out[i] = rows[index[i]]. rows: (R, length); index: (N,), on the host; out: (N, length)."""
    if rows.device.type == "cpu":
        np.take(rows.numpy(), index, axis=0, out=out.numpy(), mode="clip")  # "clip" copies without a buffer
    else:
        torch.index_select(rows, 0, torch.from_numpy(index).to(rows.device, non_blocking=True), out=out)
