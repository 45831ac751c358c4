"""From steps to what replay keeps of them: the first view of each frame as a step comes, the others some time later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.replay import EncodedObservation, EncodedStep, LaterViews
from policy.contract import Contract
from policy.experience import Observation, Step
from policy.features import Featurizer, crop_views
from policy.preprocess import normalise
from policy.settings import FeatureSettings


class StepEncoder:
    """Steps as replay keeps them.

    known: maps of some observations, as `encode_some_demos` gives them; they need not be encoded again

    Views of the same frame are always the same crops, and their maps the same numbers, but for the last bit of a
    float16 perhaps: products of other sizes, of more frames at once, may be summed in another order.
    """

    def __init__(
        self,
        featurizer: Featurizer,
        settings: FeatureSettings,
        contract: Contract,
        seed: int,
        known: Mapping[int, Tensor] | None = None,
    ) -> None:
        self.featurizer = featurizer
        self._known = known or {}
        self._settings = settings
        self._contract = contract
        self._seed = seed

    @property
    def views_later(self) -> bool:
        """Whether there are views beyond the first."""
        return self._settings.augmentation == "cached" and self._settings.views > 1

    def encode_first(self, steps: Sequence[tuple[int, Step]]) -> list[EncodedStep]:
        """Encode steps of the store, each with its cursor, with the first view alone."""
        return self._encoded(steps, self._first(_observations(steps)))

    def encode_later(self, steps: Sequence[tuple[int, Step]]) -> list[LaterViews]:
        """What completes them."""
        images = iter(self._later(_observations(steps)))
        return [LaterViews(cursor, step.id, tuple(next(images) for _ in _seen(step))) for cursor, step in steps]

    def encode(self, cursor: int, step: Step) -> EncodedStep:
        """Encode one step, with all views."""
        steps = [(cursor, step)]
        seen = _observations(steps)
        images = self._first(seen)
        if self.views_later:
            images = np.concatenate([images, self._later(seen)], axis=2)
        return self._encoded(steps, images)[0]

    def _encoded(self, steps: Sequence[tuple[int, Step]], images: NDArray[Any]) -> list[EncodedStep]:
        """images: of all observations in their order, (N, *what `Views` keep)"""
        rows = iter(images)

        def encoded(observation: Observation) -> EncodedObservation:
            return EncodedObservation(next(rows), normalise(observation.proprioception, self._contract.proprioception))

        return [
            EncodedStep(
                cursor=cursor,
                id=step.id,
                observation=encoded(step.observation),
                action=step.action,
                source=step.source,
                reward=step.reward,
                terminated=step.terminated,
                final=None if step.final is None else encoded(step.final),
                rejected=step.rejected,
                after_end=step.after_end,
            )
            for cursor, step in steps
        ]

    def _first(self, seen: Sequence[_Seen]) -> NDArray[Any]:
        """The frames themselves, (N, cameras, H, W, 3), or their maps, (N, cameras, 1, channels, h, w)."""
        stack = self.featurizer.stack
        if self._settings.augmentation == "on-the-fly":
            return np.stack([stack(each.observation.frames) for each in seen])
        known = [None if each.final else self._known.get(each.cursor) for each in seen]
        new = [stack(each.observation.frames) for each, maps in zip(seen, known, strict=True) if maps is None]
        encoded = iter(self.featurizer.encode(np.stack(new, axis=1)).unbind(1) if new else ())
        maps = torch.stack([next(encoded) if maps is None else maps for maps in known], dim=1)
        return _halves(self.featurizer.reduce(maps)).swapaxes(0, 1)[:, :, None]

    def _later(self, seen: Sequence[_Seen]) -> NDArray[np.float16]:
        """Maps of the random crops, (N, cameras, views - 1, channels, h, w)."""
        crops = np.stack([self._crops(each) for each in seen], axis=1)  # (cameras, N, views - 1, H, W, 3)
        cameras, n, views = crops.shape[:3]
        maps = _halves(self.featurizer.maps(crops.reshape(cameras, n * views, *crops.shape[3:])))
        return maps.reshape(cameras, n, views, *maps.shape[2:]).swapaxes(0, 1)

    def _crops(self, seen: _Seen) -> NDArray[np.uint8]:
        """The same ones each time. Returns (cameras, views - 1, H, W, 3)."""
        rng = np.random.default_rng([self._seed, seen.cursor, seen.final])
        frames = self.featurizer.stack(seen.observation.frames)
        return crop_views(frames, self._settings.views, self._settings.pad_px, rng)[:, 1:]


class _Seen(NamedTuple):
    """An observation of a step. final: 1 for the one that ends an episode, else 0"""

    cursor: int
    final: int
    observation: Observation


def _seen(step: Step) -> tuple[Observation, ...]:
    return (step.observation,) if step.final is None else (step.observation, step.final)


def _observations(steps: Sequence[tuple[int, Step]]) -> list[_Seen]:
    """In the order in which replay stores them."""
    return [_Seen(cursor, final, seen) for cursor, step in steps for final, seen in enumerate(_seen(step))]


def _halves(maps: Tensor) -> NDArray[np.float16]:
    halves: NDArray[np.float16] = maps.to(device="cpu", dtype=torch.float16).numpy()
    return halves
