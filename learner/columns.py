"""Columns of equal length in memory-mapped files that grow by doubling, and lists of row numbers that draw fast."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from policy.errors import NudgeError


class ReplayError(NudgeError):
    """Steps out of order, features of another shape, no room on the disk, or nothing to draw from."""


class MappedColumns:
    """Named arrays (capacity, *shape), one file each. `arrays` are replaced when they grow: do not keep them."""

    def __init__(self, folder: Path, columns: Mapping[str, tuple[DTypeLike, tuple[int, ...]]], capacity: int) -> None:
        self._folder = folder
        self._columns = {name: (np.dtype(dtype), shape) for name, (dtype, shape) in columns.items()}
        self.capacity = capacity
        self._files: dict[str, np.memmap[Any, np.dtype[Any]]] = {}
        self.arrays: dict[str, NDArray[Any]] = {}
        self._map()

    def grow(self) -> None:
        """Twice the capacity; what is there stays."""
        self.capacity *= 2
        self._map()

    def flush(self) -> None:
        """Write everything to the disk."""
        for file in self._files.values():
            file.flush()

    def _map(self) -> None:
        self._files = {name: self._map_file(name) for name in self._columns}
        self.arrays = {name: np.asarray(file) for name, file in self._files.items()}  # plain arrays index faster

    def _map_file(self, name: str) -> np.memmap[Any, np.dtype[Any]]:
        """Open one file with its blocks reserved: a full disk is an error here, not a crash of the process later."""
        dtype, shape = self._columns[name]
        path = self._folder / f"{name}.bin"
        size = self.capacity * dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        with path.open("ab") as file:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(max(size, path.stat().st_size))
            except OSError as error:
                raise ReplayError(
                    f"replay {path}: cannot reserve {size / 1e9:.2f} GB ({error}); free space, or move the run folder"
                ) from error
        return np.memmap(path, dtype, "r+", shape=(self.capacity, *shape))


class RowList:
    """A growing list of row numbers."""

    def __init__(self) -> None:
        self._rows: NDArray[np.int64] = np.empty(1024, np.int64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, row: int) -> None:
        """Add one row number at the end."""
        if self._length == len(self._rows):
            self._rows = np.append(self._rows, np.empty_like(self._rows))
        self._rows[self._length] = row
        self._length += 1

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`count` row numbers, uniformly with replacement; none from an empty list needs count 0."""
        return self._rows[rng.integers(self._length, size=count)] if count else self._rows[:0]
