"""Where the demonstrations took place, and where the next one is worth most. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from demos.facts import JAW, TOOL, EpisodeFacts, columns
from demos.settings import CheckSettings
from policy.contract import Contract, Frozen
from robot.settings import TaskSettings

CUBE = ("cube.x", "cube.y")
Span = tuple[float, float]
Place = tuple[float, float]


class Coverage(Frozen):
    """Places in the base frame [m], over a grid on the cube's field.

    counts: cells by rows along x, each with its columns along y
    """

    field_x_m: Span
    field_y_m: Span
    told_by: str = Field(description="What tells where a demonstration took place.")
    places_m: tuple[Place | None, ...] = Field(description="Of each episode; none where nothing was grasped.")
    began_m: tuple[tuple[float, float, float] | None, ...] = Field(description="Where the tool was at its beginning.")
    counts: tuple[tuple[int, ...], ...]
    outside: int = Field(description="Episodes whose place is beyond the field.")
    next_m: Place = Field(description="The middle of the cell in which the next demonstration is worth most.")

    @property
    def empty(self) -> int:
        """Cells without a demonstration."""
        return sum(count == 0 for row in self.counts for count in row)

    @property
    def cells(self) -> int:
        """How many."""
        return sum(map(len, self.counts))


def coverage(
    contract: Contract, episodes: Sequence[EpisodeFacts], task: TaskSettings, settings: CheckSettings
) -> Coverage | None:
    """Where the cube lay, or where nobody knows that, where the jaw closed; None where the contract tells neither."""
    known = [dimension.name for dimension in contract.sim_only]
    tool, jaw = columns(contract, TOOL), columns(contract, [JAW])
    places: list[Place | None]
    if set(CUBE) <= set(known):
        cube = [known.index(name) for name in CUBE]
        told_by, places = "the cube", [_place(episode.sim_only[cube]) for episode in episodes]
    elif tool is not None and jaw is not None:
        told_by = "the tool where the jaw closed"
        places = [_closed_at(episode, tool, jaw[0], settings.motion.closing_rad) for episode in episodes]
    else:
        return None
    spans = task.field_x_m, task.field_y_m
    found = np.array([place for place in places if place is not None]).reshape(-1, 2)
    counts = np.histogram2d(found[:, 0], found[:, 1], settings.whole.grid, spans)[0].astype(int)
    return Coverage(
        field_x_m=spans[0],
        field_y_m=spans[1],
        told_by=told_by,
        places_m=tuple(places),
        began_m=tuple(_began_at(episode, tool) for episode in episodes),
        counts=tuple(tuple(map(int, row)) for row in counts),
        outside=int(len(found) - counts.sum()),
        next_m=_worth_most(counts, found, spans),
    )


def _began_at(episode: EpisodeFacts, tool: list[int] | None) -> tuple[float, float, float] | None:
    if tool is None:
        return None
    x_m, y_m, z_m = map(float, episode.proprioception[0, tool])
    return x_m, y_m, z_m


def _closed_at(episode: EpisodeFacts, tool: list[int], jaw: int, closing_rad: float) -> Place | None:
    """Where the tool was when the jaw began to close for the last time."""
    angles = episode.proprioception[:, jaw]
    was_open = np.flatnonzero(angles > angles[-1] + closing_rad)
    return _place(episode.proprioception[was_open[-1], tool[:2]]) if len(was_open) else None


def _worth_most(counts: NDArray[np.int_], found: NDArray[np.float64], spans: tuple[Span, Span]) -> Place:
    """The middle of the emptiest cell; of several, of the one that is farthest from any demonstration."""
    middles = [low + (np.arange(cells) + 0.5) * (high - low) / cells
               for cells, (low, high) in zip(counts.shape, spans, strict=True)]  # fmt: skip
    emptiest = [
        (float(middles[0][row]), float(middles[1][column])) for row, column in np.argwhere(counts == counts.min())
    ]
    if not len(found):
        return emptiest[0]
    away = [float(np.linalg.norm(found - middle, axis=1).min()) for middle in emptiest]
    return emptiest[int(np.argmax(away))]


def _place(xy: NDArray[np.floating]) -> Place:
    return float(xy[0]), float(xy[1])
