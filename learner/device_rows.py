"""A column of replay in the memory of an accelerator, so that no batch crosses the bus."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from learner.columns import ReplayError, row_bytes

COPIED_AT_ONCE = 4096  # rows of a memory map on their way to the device
NEARLY_FULL = 0.9

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeviceMemory:
    """How much of which device replay may take. budget_gb: [10^9 bytes]."""

    device: torch.device
    budget_gb: float


class DeviceRows:
    """A copy (capacity, *shape) of a memory-mapped column.

    All its memory is taken at once: what cannot be had is known before training begins, and nothing ever grows.
    """

    def __init__(self, memory: DeviceMemory, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        self._memory = memory
        self._warned = False
        self._capacity = round(memory.budget_gb * 1e9) // row_bytes(dtype, shape)
        empty = torch.from_numpy(np.empty(0, dtype))
        try:
            self.rows = torch.empty((self._capacity, *shape), dtype=empty.dtype, device=memory.device)
        except RuntimeError as error:
            raise ReplayError(
                f"replay: {memory.budget_gb} GB of {memory.device} cannot be had ({error}); lower "
                f"trainer.replay_device_gb, or set it to 0 to draw from the memory of the host"
            ) from error

    def require_room(self, slots: int) -> None:
        """Raise `ReplayError` unless as many slots fit; warn when few are left."""
        if slots > self._capacity:
            raise ReplayError(
                f"replay: {slots} observations, but {self._memory.budget_gb} GB of {self._memory.device} hold "
                f"{self._capacity}; raise trainer.replay_device_gb, or set it to 0 to draw from the memory of the "
                f"host, and start again: nothing is lost"
            )
        if slots >= NEARLY_FULL * self._capacity and not self._warned:
            self._warned = True
            log.warning(
                "replay: %d of the %d observations that %s has room for; raise trainer.replay_device_gb before the "
                "next start",
                slots,
                self._capacity,
                self._memory.device,
            )

    def put(self, slot: int, row: NDArray[Any]) -> None:
        """Copy one row."""
        self.rows[slot].copy_(torch.from_numpy(row), non_blocking=True)

    def fill(self, column: NDArray[Any]) -> None:
        """Copy the first rows, all that a memory map has."""
        self.require_room(len(column))
        for start in range(0, len(column), COPIED_AT_ONCE):
            part = torch.from_numpy(column[start : start + COPIED_AT_ONCE])
            self.rows[start : start + len(part)].copy_(part)
