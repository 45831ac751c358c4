"""The one preprocessing of frames and proprioception: record, train, classify and evaluate all call it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from policy.contract import Camera, Dimension
from policy.errors import InvalidExperience


def preprocess_frame(native: NDArray[np.uint8], camera: Camera) -> NDArray[np.uint8]:
    """Crop a native frame and resize it to what the contract stores.

    native: uint8 RGB (native_height_px, native_width_px, 3)
    returns: uint8 RGB (size_px, size_px, 3)
    """
    expected = (camera.native_height_px, camera.native_width_px, 3)
    if native.shape != expected or native.dtype != np.uint8:
        raise InvalidExperience(
            f"camera {camera.name!r}: got a {native.dtype} frame of {native.shape}, expected uint8 {expected}; "
            f"set the camera to its native size, or change the contract"
        )
    crop, size = camera.crop, camera.size_px
    cut = native[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    if cut.shape[:2] == (size, size):
        return np.ascontiguousarray(cut)
    # Area averaging is the one interpolation that neither aliases nor rings when shrinking.
    shrinking = size <= min(crop.height, crop.width)
    resized = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def normalise(values: NDArray[np.float32], dimensions: tuple[Dimension, ...]) -> NDArray[np.float32]:
    """Map each dimension's range to [-1, 1]; values outside are not clipped, so that a check can see them.

    values: (..., P) in the contract's units; returns (..., P), without unit
    """
    low = np.array([dim.low for dim in dimensions], np.float32)
    high = np.array([dim.high for dim in dimensions], np.float32)
    return (2.0 * (values - low) / (high - low) - 1.0).astype(np.float32)
