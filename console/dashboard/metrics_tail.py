"""`metrics.jsonl` while it grows: each look reads what is new, and curves are thinned to what a screen shows."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric over updates in at most as many points as were asked for: all (N,).

    means, lows, highs: of the readings that a point stands for
    """

    updates: Values
    means: Values
    lows: Values
    highs: Values


class MetricsTail:
    """The readings of a run so far. One thread at a time.

    Readings of updates that were done again after a kill, or undone by a rollback, are left out, as in the report.
    readings: grows with each new line, also where earlier ones were left out
    problem: the last line that is no reading, in words; empty where all are
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.readings = 0
        self.problem = ""
        self.last: dict[str, float] = {}
        self.env_steps = 0
        self._read_bytes = 0
        self._updates = array("d")
        self._columns: dict[str, array[float]] = {}

    @property
    def updates(self) -> int:
        """Of the last reading."""
        return int(self._updates[-1]) if self._updates else 0

    @property
    def names(self) -> list[str]:
        """All metrics that occurred, in the order in which they came."""
        return list(self._columns)

    def look(self) -> None:
        """Read what was written since the last look; a line without its end is still being written."""
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size <= self._read_bytes:
            return
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read(size - self._read_bytes)
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            self._take(line)

    def curve(self, name: str, points: int) -> Curve:
        """A metric, thinned; readings without it are left out."""
        column = np.array(self._columns.get(name, ()), np.float64)  # (readings,)
        present = ~np.isnan(column)
        values, updates = column[present], np.array(self._updates, np.float64)[present]
        if not len(values):
            empty = np.empty(0)
            return Curve(empty, empty, empty, empty)
        starts = np.unique(np.linspace(0, len(values), min(points, len(values)), endpoint=False).astype(int))
        counts = np.diff(np.append(starts, len(values)))
        return Curve(
            updates=np.add.reduceat(updates, starts) / counts,
            means=np.add.reduceat(values, starts) / counts,
            lows=np.minimum.reduceat(values, starts),
            highs=np.maximum.reduceat(values, starts),
        )

    def _take(self, line: bytes) -> None:
        try:
            reading = json.loads(line)
            updates, env_steps = int(reading["updates"]), int(reading["env_steps"])
            metrics = {str(name): float(value) for name, value in reading["metrics"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.problem = f"{self.path}: got the line {line[:60]!r}, expected a reading ({error}); remove the line"
            return
        self._forget_from(updates)
        self._updates.append(updates)
        for name in metrics.keys() - self._columns.keys():
            self._columns[name] = array("d", [nan]) * (len(self._updates) - 1)
        for name, column in self._columns.items():
            column.append(metrics.get(name, nan))
        self.last, self.env_steps = metrics, env_steps
        self.readings += 1

    def _forget_from(self, updates: int) -> None:
        keep = bisect_left(self._updates, updates)
        if keep < len(self._updates):
            columns: list[array[Any]] = [self._updates, *self._columns.values()]
            for column in columns:
                del column[keep:]
