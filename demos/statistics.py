"""What a set's numbers and colours amount to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from demos.facts import EpisodeFacts
from policy.contract import Contract, Frozen
from policy.experience import Step

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


class DimensionStatistics(Frozen):
    """Of one dimension, in its own unit, over all steps; the observations after the last ones are not among them."""

    min: float
    max: float
    mean: float
    std: float
    q01: float
    q10: float
    q50: float
    q90: float
    q99: float


class CameraStatistics(Frozen):
    """Colours of one camera over all pixels of all steps: red, green, blue, 0..255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def dimension_statistics(
    contract: Contract, episodes: Sequence[EpisodeFacts]
) -> tuple[dict[str, DimensionStatistics], dict[str, DimensionStatistics]]:
    """By name: of each dimension of proprioception, and of each of the action."""
    seen = np.concatenate([episode.proprioception[: episode.steps] for episode in episodes])  # (M, P)
    done = np.concatenate([episode.actions for episode in episodes])  # (M, A)
    return (
        {it.name: _of(seen[:, index]) for index, it in enumerate(contract.proprioception)},
        {it.name: _of(done[:, index]) for index, it in enumerate(contract.action)},
    )


def _of(values: NDArray[np.float32]) -> DimensionStatistics:
    exact = values.astype(np.float64)
    return DimensionStatistics(
        min=float(exact.min()),
        max=float(exact.max()),
        mean=float(exact.mean()),
        std=float(exact.std()),
        **{name: float(np.quantile(exact, share)) for name, share in QUANTILES.items()},
    )


class ColourSums:
    """Counts levels, so that nothing is rounded and no picture is kept."""

    def __init__(self, contract: Contract) -> None:
        self._levels = {camera.name: np.zeros((3, 256), np.int64) for camera in contract.cameras}

    def see(self, steps: Sequence[Step]) -> None:
        """The steps of an episode."""
        for name, levels in self._levels.items():
            for step in steps:
                frame = step.observation.frames[name]
                for channel in range(3):
                    levels[channel] += np.bincount(frame[..., channel].ravel(), minlength=256)

    def statistics(self) -> Mapping[str, CameraStatistics]:
        """By camera; of nothing there are none."""
        return {name: _colour(levels) for name, levels in self._levels.items() if levels.any()}


def _colour(levels: NDArray[np.int64]) -> CameraStatistics:
    shares = levels / levels.sum(axis=1, keepdims=True)  # (3, 256)
    mean = shares @ np.arange(256)
    std = np.sqrt((shares * (np.arange(256) - mean[:, None]) ** 2).sum(axis=1))
    return CameraStatistics(mean=_rgb(mean), std=_rgb(std))


def _rgb(values: NDArray[np.floating]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
