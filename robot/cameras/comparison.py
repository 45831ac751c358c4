"""How a camera's pictures look, and how far two looks are apart: in light, in colour, and in where the camera points.

A look is what stays when the arm moves: the median of many frames. Only pixels that hardly change are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FEWEST_FRAMES = 100  # of a moving arm, 10 s at 10 Hz; with fewer it stays in the median
STILL = 12  # levels that a still pixel may stray from its median, half of the time
READABLE = 24  # darker pixels say nothing of the light
BLUR_PX = 1.0
UNEXPLAINED = 0.25  # least movements measured in the simulator leave 0.13, an arm in other places leaves 0.32
STEPS = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4

type Frames = NDArray[np.uint8]  # uint8 RGB (N, size_px, size_px, 3)


@dataclass(frozen=True, slots=True)
class Look:
    """What stays of a camera's frames.

    median: uint8 RGB (size_px, size_px, 3)
    spread: median distance from it, uint8 (size_px, size_px), the largest of the three channels
    """

    median: NDArray[np.uint8]
    spread: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a look is from another; 0 everywhere but `likeness` where they are the same.

    brightness: change of the light, as a share: 0.1 is a tenth brighter
    colour: change of the tint: how far a channel strays from the change of the light, as a share
    contrast: change of the contrast, as a share, the light's taken out
    shift_px: how far the picture has moved [px]
    turn_deg: how far it has turned [deg]
    likeness: correlation of the edges once moved and turned back, 0..1; 0 where nothing fits
    """

    brightness: float
    colour: float
    contrast: float
    shift_px: float
    turn_deg: float
    likeness: float

    def widest(self, other: Difference) -> Difference:
        """The larger of both in each, and the smaller likeness."""
        return Difference(
            brightness=max(abs(self.brightness), abs(other.brightness)),
            colour=max(self.colour, other.colour),
            contrast=max(abs(self.contrast), abs(other.contrast)),
            shift_px=max(self.shift_px, other.shift_px),
            turn_deg=max(self.turn_deg, other.turn_deg),
            likeness=min(self.likeness, other.likeness),
        )


def look(frames: Frames) -> Look:
    """The look of frames (N, size_px, size_px, 3), best of an arm that moves."""
    median = _median(frames)  # (size_px, size_px, 3)
    away = np.maximum(frames, median) - np.minimum(frames, median)  # (N, size_px, size_px, 3), without overflow
    return Look(median, _median(away).max(axis=2))


def difference(reference: Look, now: Look) -> Difference:
    """How far a look is from the reference, at the pixels that are still in the reference."""
    still = np.asarray(cv2.erode((reference.spread <= STILL).astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)
    gains = _gains(reference.median, now.median, still > 0)
    gain = float(gains.mean())
    shift_px, turn_deg, likeness = _movement(reference.median, now.median, still)
    return Difference(
        brightness=gain - 1,
        colour=float(np.abs(gains / gain - 1).max()),
        contrast=_contrast(now.median, still > 0) / _contrast(reference.median, still > 0) / gain - 1,
        shift_px=shift_px,
        turn_deg=turn_deg,
        likeness=likeness,
    )


def _median(frames: Frames) -> NDArray[np.uint8]:
    """The median over frames, the upper one of two, bit by bit: four times as fast as NumPy's partition."""
    median = np.zeros(frames.shape[1:], np.uint8)
    for bit in reversed(range(8)):
        candidate = median + np.uint8(1 << bit)
        below = np.zeros(median.shape, np.uint32)
        for frame in frames:
            below += frame < candidate
        median = np.where(below <= len(frames) // 2, candidate, median)
    return median


def _gains(reference: NDArray[np.uint8], now: NDArray[np.uint8], still: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much brighter each channel is (3,): the median over pixels, which a cube elsewhere does not shift."""
    readable = still & (reference.min(axis=2) >= READABLE)
    if not readable.any():
        return np.ones(3)
    ratios = now[readable] / reference[readable]  # (pixels, 3)
    return np.asarray(np.maximum(np.median(ratios, axis=0), 1e-3), np.float64)


def _contrast(picture: NDArray[np.uint8], still: NDArray[np.bool_]) -> float:
    return max(1e-3, float(_grey(picture)[still].std())) if still.any() else 1.0


def _movement(
    reference: NDArray[np.uint8], now: NDArray[np.uint8], still: NDArray[np.uint8]
) -> tuple[float, float, float]:
    """Shift [px], turn [deg] and likeness, by aligning the edges, which no change of the light moves.

    Enhanced correlation coefficient, Evangelidis and Psarakis 2008, as OpenCV has it. A movement counts only if it
    explains most of what differs: else something in the picture has changed, and the best fit says nothing.
    """
    before, after = _edges(reference), _edges(now)
    try:
        unmoved = cv2.computeECC(before, after, still)
        start = np.eye(2, 3, dtype=np.float32)
        likeness, warp = cv2.findTransformECC(before, after, start, cv2.MOTION_EUCLIDEAN, STEPS, still, 1)
    except cv2.error:  # it does not converge: nothing fits
        return 0.0, 0.0, 0.0
    if 1 - likeness > UNEXPLAINED * (1 - unmoved):
        return 0.0, 0.0, max(0.0, float(unmoved))
    centre = (np.array(reference.shape[1::-1]) - 1) / 2
    shift_px = float(np.linalg.norm(warp[:, :2] @ centre + warp[:, 2] - centre))
    return shift_px, float(abs(np.degrees(np.arctan2(warp[1, 0], warp[0, 0])))), max(0.0, float(likeness))


def _edges(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.GaussianBlur(_grey(picture), (0, 0), BLUR_PX)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return np.asarray(cv2.GaussianBlur(edges, (0, 0), BLUR_PX), np.float32)


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
