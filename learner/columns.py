"""Columns of equal length in memory-mapped files that grow, and lists of row numbers that draw fast."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from learner.disk import room_needed
from policy.errors import NudgeError

GROWN_AT_ONCE = 16_384  # rows: 0.3 GB of preset fast's maps, 1.6 GB of frames of two cameras; growing takes some 10 ms


class ReplayError(NudgeError):
    """Steps out of order, features of another shape, or nothing to draw from."""


class MappedColumns:
    """Named arrays (capacity, *shape), one file each. `arrays` are replaced when they grow: do not keep them."""

    def __init__(self, folder: Path, columns: Mapping[str, tuple[DTypeLike, tuple[int, ...]]], capacity: int) -> None:
        self._folder = folder
        self._columns = {name: (np.dtype(dtype), shape) for name, (dtype, shape) in columns.items()}
        self.capacity = 0
        self._files: dict[str, np.memmap[Any, np.dtype[Any]]] = {}
        self.arrays: dict[str, NDArray[Any]] = {}
        self._map(capacity)

    def grow(self) -> None:
        """Room for as many rows more, but at most `GROWN_AT_ONCE`; what is there stays.

        Raise `DiskFull` when there is no room on the disk, with nothing changed.
        """
        self._map(self.capacity + min(self.capacity, GROWN_AT_ONCE))

    def flush(self) -> None:
        """Write everything to the disk."""
        for file in self._files.values():
            file.flush()

    def _map(self, capacity: int) -> None:
        files = {name: self._map_file(name, capacity) for name in self._columns}
        self.capacity, self._files = capacity, files
        self.arrays = {name: np.asarray(file) for name, file in files.items()}  # plain arrays index faster

    def _map_file(self, name: str, capacity: int) -> np.memmap[Any, np.dtype[Any]]:
        """Open one file with its blocks reserved: a full disk is an error here, not a crash of the process later."""
        dtype, shape = self._columns[name]
        path = self._folder / f"{name}.bin"
        size = capacity * row_bytes(dtype, shape)
        with room_needed(path, f"{size / 1e9:.3f} GB of replay"), path.open("ab") as file:
            before = path.stat().st_size
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(max(size, before))
            except OSError:
                file.truncate(before)  # the part that was reserved is room that the store needs
                raise
        return np.memmap(path, dtype, "r+", shape=(capacity, *shape))


def row_bytes(dtype: DTypeLike, shape: tuple[int, ...]) -> int:
    """Size of one row of a column [bytes]."""
    return np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))


class RowList:
    """A growing list of row numbers."""

    def __init__(self) -> None:
        self._rows: NDArray[np.int64] = np.empty(1024, np.int64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, rows: NDArray[np.int64]) -> None:
        """Add row numbers at the end."""
        length = self._length + len(rows)
        if length > len(self._rows):
            self._rows = np.append(self._rows[: self._length], np.empty(length, np.int64))
        self._rows[self._length : length] = rows
        self._length = length

    def drop(self, rows: NDArray[np.int64]) -> None:
        """Take row numbers out; the others keep their order."""
        kept = self._rows[: self._length]
        kept = kept[~np.isin(kept, rows)]
        self._rows[: len(kept)] = kept
        self._length = len(kept)

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`count` row numbers, uniformly with replacement; none from an empty list needs count 0."""
        return self._rows[rng.integers(self._length, size=count)] if count else self._rows[:0]
