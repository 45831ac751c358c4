"""What replay stores of a step: its columns, and the steps that fill them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from learner.columns import row_bytes
from learner.views import Views, make_views
from policy.contract import Contract
from policy.experience import Source, StepId
from policy.features import Featurizer
from policy.settings import FeatureSettings


@dataclass(frozen=True, slots=True)
class ReplayLayout:
    """What is stored of an observation: what `views` keep of its frames, and two vectors of as many numbers."""

    views: Views
    proprioception: int
    action: int

    @property
    def columns(self) -> dict[str, tuple[DTypeLike, tuple[int, ...]]]:
        """Name, type and shape of a row of each column."""
        return {
            self.views.name: (self.views.dtype, self.views.shape),
            "proprioception": (np.float32, (self.proprioception,)),
            "action": (np.float32, (self.action,)),
            "reward": (np.float32, ()),
            "next": (np.int32, ()),
            "session": (np.int32, ()),
            "episode": (np.int32, ()),
            "step": (np.int32, ()),  # -1: a final observation
            "source": (np.int8, ()),
            "terminated": (np.bool_, ()),
            "gripper_change": (np.bool_, ()),
            "gripper_side": (np.int8, ()),
        }

    @property
    def slot_bytes(self) -> int:
        """What one observation takes on the disk [bytes]."""
        return sum(row_bytes(*column) for column in self.columns.values())


def make_layout(featurizer: Featurizer, settings: FeatureSettings, contract: Contract) -> ReplayLayout:
    """What the steps of a contract need, kept as `settings` say."""
    return ReplayLayout(make_views(featurizer, settings), len(contract.proprioception), len(contract.action))


@dataclass(frozen=True, slots=True)
class EncodedObservation:
    """One observation as replay stores it.

    images: what `Views` keep, float16 maps or uint8 frames; all of it, or the part of it that comes first
    proprioception: float32 (P,), normalised
    """

    images: NDArray[Any]
    proprioception: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedStep:
    """A `policy.experience.Step` as replay stores it.

    cursor: its place in the store's order of arrival
    final: complete where `observation` is
    rejected: it ends an episode from which nothing is to be learned
    after_end: as `Step` has it: it counts as a step, and is never drawn
    """

    cursor: int
    id: StepId
    observation: EncodedObservation
    action: NDArray[np.float32]
    source: Source
    reward: float
    terminated: bool
    final: EncodedObservation | None
    rejected: bool = False
    after_end: bool = False


@dataclass(frozen=True, slots=True)
class LaterViews:
    """What completes a step of which replay has the first views.

    images: of its observation, and of the final one if it has any: float16 (cameras, views - 1, channels, h, w) each
    """

    cursor: int
    id: StepId
    images: tuple[NDArray[np.float16], ...]
