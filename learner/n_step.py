"""n-step returns along the chains of replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Returns:
    """What came of each of B steps, over the m <= n steps of its episode that were left.

    last: int64 (B,), slot of the observation to bootstrap from
    reward, discount, gripper_changes: float32 (B,), as `learner.batch.Batch` has them
    """

    last: NDArray[np.int64]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    gripper_changes: NDArray[np.float32]


def follow(arrays: Mapping[str, NDArray[Any]], slots: NDArray[np.int64], n_step: int, discount: float) -> Returns:
    """Follow each chain up to n steps. arrays: replay's columns; slots: (B,), of steps that have a successor."""
    following = arrays["next"]
    at, last = slots, following[slots].astype(np.int64)
    factor: NDArray[np.float32] = np.ones(len(slots), np.float32)
    reward: NDArray[np.float32] = arrays["reward"][at]
    changes: NDArray[np.float32] = arrays["gripper_change"][at].astype(np.float32)
    for _ in range(n_step - 1):
        goes_on = following[last] >= 0  # neither the final observation nor the newest step of an open episode
        if not goes_on.any():
            break
        at = np.where(goes_on, last, at)
        last = np.where(goes_on, following[at], last)
        factor = np.where(goes_on, factor * np.float32(discount), factor)
        gain = np.where(goes_on, factor, np.float32(0))
        reward = reward + gain * arrays["reward"][at]
        changes = changes + gain * arrays["gripper_change"][at]
    bootstrap = np.where(arrays["terminated"][at], np.float32(0), factor * np.float32(discount))
    return Returns(last, reward, bootstrap, changes)
