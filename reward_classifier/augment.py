"""Other light on the same frame: what a lamp, a cloud or a camera's white balance does. Before encoding, once."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from policy.features import crop_views
from reward_classifier.settings import ViewSettings

_LEVELS = np.arange(256, dtype=np.float64) / 255


def relit(frame: NDArray[np.uint8], settings: ViewSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The frame under another light: uint8 RGB (H, W, 3) -> same."""
    gain = (1 + settings.brightness * rng.uniform(-1, 1)) * (1 + settings.colour * rng.uniform(-1, 1, 3))  # (3,)
    exponent = np.exp(settings.gamma * rng.uniform(-1, 1))
    table = np.clip(255 * gain * _LEVELS[:, None] ** exponent, 0, 255).astype(np.uint8)  # (256, 3)
    lit = cv2.LUT(frame, table[None])
    share = 1 + settings.saturation * rng.uniform(-1, 1)
    grey = cv2.cvtColor(cv2.cvtColor(lit, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(lit, share, grey, 1 - share, 0), np.uint8)


def views_of(frames: NDArray[np.uint8], settings: ViewSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The frames as they are, and others shifted and relit: uint8 (cameras, H, W, 3) -> (cameras, views, H, W, 3)."""
    views = crop_views(frames, settings.views, settings.pad_px, rng)
    for camera in views:
        for view in range(1, settings.views):
            camera[view] = relit(camera[view], settings, rng)
    return views
