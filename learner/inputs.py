"""What changes from one update to the next, drawn before it: batch, random numbers, weights that fade.

The update itself is a function of these alone, so a device that has recorded it once can repeat it on others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from learner.batch import Batch


class Kind(NamedTuple):
    """What an update does beside the critic's step; updates of one kind are the same operations on other numbers.

    acts: actor and temperature learn as well
    records: its losses enter the metrics
    size, demo: transitions, and how many of the first of them are demonstrated
    """

    acts: bool
    records: bool
    size: int
    demo: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """One update's inputs, on the device that learns.

    noise: standard normal (2, B, actions): for the action at s', and for the one at s
    members: int64 (subset,), members of the target's ensemble that count; None = all
    words: uniform int16 (passes, cameras, features, B), from which each pass of a trunk drops; None without dropout
    bc_weight: float32 ()
    acting_step: float32 (), how far the policy that acts goes towards the one that is trained
    """

    batch: Batch
    noise: Tensor
    members: Tensor | None
    words: Tensor | None
    bc_weight: Tensor
    acting_step: Tensor

    def copy(self) -> Inputs:
        """The same numbers in tensors of their own."""
        batch: dict[str, Any] = {name: tensor.clone() for name, tensor in _tensors(self.batch)}
        own: dict[str, Any] = {name: tensor.clone() for name, tensor in _tensors(self)}
        return replace(self, batch=replace(self.batch, **batch), **own)

    def overwrite(self, other: Inputs) -> None:
        """Take over the numbers of another update of the same kind."""
        pairs = zip((*_tensors(self.batch), *_tensors(self)), (*_tensors(other.batch), *_tensors(other)), strict=True)
        for (_, mine), (_, theirs) in pairs:
            mine.copy_(theirs, non_blocking=True)


def random_words(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform int16. Four are cut from each 64-bit word; on a CPU, numpy's SFC64 makes those three times as fast.

    Its seed is a draw of `generator`, whose state is therefore still all that a restored run needs.
    """
    count = -(-torch.Size(shape).numel() // 4)
    if device.type == "cpu":
        seed = torch.randint(2**63 - 1, (), generator=generator)
        words = torch.from_numpy(np.random.SFC64(int(seed)).random_raw(count).view(np.int64))
    else:
        words = torch.empty(count, dtype=torch.int64, device=device).random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[: torch.Size(shape).numel()].view(shape)


def _tensors(holder: Batch | Inputs) -> Iterator[tuple[str, Tensor]]:
    for field in fields(holder):
        value = getattr(holder, field.name)
        if isinstance(value, Tensor):
            yield field.name, value
