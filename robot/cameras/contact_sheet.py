"""What the cameras see and what the policy sees of it, on one sheet for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from policy.contract import Camera
from policy.preprocess import preprocess_frame

SHEET_FILE = "cameras.png"  # in a run folder
ROW_PX = 320  # height of each picture on the sheet
MARGIN_PX, TEXT_PX = 12, 28
DARK, BRIGHT = 5, 250  # levels at which a sensor tells nothing more
WHITE, GREY, ORANGE = (255, 255, 255), (150, 150, 150), (255, 140, 0)

type Picture = NDArray[np.uint8]  # uint8 RGB (height, width, 3)


def write_contact_sheet(folder: Path, frames: Mapping[str, Picture], cameras: Sequence[Camera]) -> Path:
    """Write the sheet into a run folder, over the last one; returns its path."""
    path = folder / SHEET_FILE
    path.write_bytes(contact_sheet(frames, cameras))
    return path


def contact_sheet(frames: Mapping[str, Picture], cameras: Sequence[Camera]) -> bytes:
    """A PNG with a row for each camera: the native frame with its crop, what the policy sees, and its brightness.

    frames: camera name -> native uint8 RGB (native_height_px, native_width_px, 3)
    Raises `InvalidExperience` for a frame that is not of the contract's native size.
    """
    rows = [_row(frames[camera.name], camera) for camera in cameras]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    _, png = cv2.imencode(".png", np.concatenate(padded)[..., ::-1])
    return png.tobytes()


def share_clipped(frame: Picture) -> tuple[float, float]:
    """Share of a frame's values that are too dark and too bright to tell anything."""
    return float((frame <= DARK).mean()), float((frame >= BRIGHT).mean())


def _row(native: Picture, camera: Camera) -> Picture:
    seen = preprocess_frame(native, camera)
    dark, bright = share_clipped(seen)
    crop = camera.crop
    return _beside(
        (_with_crop(native, camera), f"{camera.name}: {camera.native_width_px}x{camera.native_height_px}"),
        (_scaled(seen), f"the policy's {camera.size_px}x{camera.size_px} of {crop.width}x{crop.height}"),
        (_histogram(seen), f"mean {seen.mean():.0f}, dark {dark:.1%}, bright {bright:.1%}"),
    )


def _with_crop(native: Picture, camera: Camera) -> Picture:
    scaled, crop = _scaled(native), camera.crop
    scale = ROW_PX / camera.native_height_px
    top_left = round(crop.left * scale), round(crop.top * scale)
    bottom_right = round((crop.left + crop.width) * scale) - 1, round((crop.top + crop.height) * scale) - 1
    cv2.rectangle(scaled, top_left, bottom_right, ORANGE, 2)
    return scaled


def _scaled(picture: Picture) -> Picture:
    width = round(picture.shape[1] * ROW_PX / picture.shape[0])
    return np.asarray(cv2.resize(picture, (width, ROW_PX), interpolation=cv2.INTER_AREA), np.uint8)


def _histogram(seen: Picture) -> Picture:
    """Bars of brightness, from black at the left to white at the right."""
    counts, _ = np.histogram(seen.mean(axis=2), bins=64, range=(0, 256))
    bars = np.ceil(counts / counts.max() * ROW_PX).astype(int).repeat(4)  # (256,)
    rows = np.arange(ROW_PX)[::-1, None]  # (ROW_PX, 1)
    return np.asarray(np.where((rows < bars)[..., None], WHITE, (40, 40, 40)), np.uint8)


def _beside(*titled: tuple[Picture, str]) -> Picture:
    height = ROW_PX + TEXT_PX + MARGIN_PX
    width = sum(picture.shape[1] + MARGIN_PX for picture, _ in titled) + MARGIN_PX
    row = np.zeros((height, width, 3), np.uint8)
    left = MARGIN_PX
    for picture, title in titled:
        row[TEXT_PX : TEXT_PX + ROW_PX, left : left + picture.shape[1]] = picture
        cv2.putText(row, title, (left, TEXT_PX - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.45, GREY, 1, cv2.LINE_AA)
        left += picture.shape[1] + MARGIN_PX
    return row
