"""What one update learns from, and the tensors that it is written into again and again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """n-step transitions, demo part first.

    maps, next_maps: float16 (cameras, B, channels, h, w), one view drawn for each
    proprioception, next_proprioception: float32 (B, P), normalised
    action: float32 (B, A), as executed
    reward: float32 (B,), sum over k < m of discount^k r_k, where m <= n steps of the episode were left
    discount: float32 (B,), discount^m where the value of the next observation counts, 0 after `terminated`
    gripper_changes: float32 (B,), discounted number of gripper changes in the same m steps
    demo: how many of the first rows are demonstrations or interventions
    """

    maps: Tensor
    next_maps: Tensor
    proprioception: Tensor
    next_proprioception: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    gripper_changes: Tensor
    demo: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; itself when it is there already."""
        if self.maps.device == device:
            return self
        return Batch(
            maps=self.maps.to(device),
            next_maps=self.next_maps.to(device),
            proprioception=self.proprioception.to(device),
            next_proprioception=self.next_proprioception.to(device),
            action=self.action.to(device),
            reward=self.reward.to(device),
            discount=self.discount.to(device),
            gripper_changes=self.gripper_changes.to(device),
            demo=self.demo,
        )


class BatchBuffer:
    """The tensors of all batches of one size, on the device that draws them.

    maps, next_maps: float16 (cameras, size, channels, h, w), to be filled there
    numbers: by name, the other fields of `Batch` on the host, to be filled before `batch`
    """

    def __init__(
        self, size: int, map_shape: tuple[int, int, int, int], proprioception: int, action: int, device: torch.device
    ) -> None:
        shape = (map_shape[0], size, *map_shape[1:])
        self.maps, self.next_maps = (torch.empty(shape, dtype=torch.float16, device=device) for _ in range(2))
        shapes: dict[str, tuple[int, ...]] = {
            "proprioception": (size, proprioception),
            "next_proprioception": (size, proprioception),
            "action": (size, action),
            "reward": (size,),
            "discount": (size,),
            "gripper_changes": (size,),
        }
        # One piece of memory for all of them, so that one copy takes them to a device.
        self._host = torch.empty(sum(math.prod(shape) for shape in shapes.values()))
        self._there = self._host if device.type == "cpu" else torch.empty_like(self._host, device=device)
        self._tensors = _cut(self._there, shapes)
        self.numbers: Mapping[str, NDArray[np.float32]] = {
            name: tensor.numpy() for name, tensor in _cut(self._host, shapes).items()
        }

    def batch(self, demo: int) -> Batch:
        """The batch that was filled in; the next one of this size is written over it."""
        if self._there is not self._host:
            # Without waiting for the device: what is copied from pageable memory may be written over at once.
            self._there.copy_(self._host, non_blocking=True)
        return Batch(maps=self.maps, next_maps=self.next_maps, demo=demo, **self._tensors)


def _cut(flat: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    pieces = flat.split([math.prod(shape) for shape in shapes.values()])
    return {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
