"""Videos of what the policy did: cameras side by side with a caption, written as H.264 that browsers play."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from policy.errors import NudgeError
from policy.experience import Source

Frame = NDArray[np.uint8]  # (height, width, 3), RGB

_BAR_PX, _GAP_PX = 44, 4
_INK, _PAPER = (240, 240, 240), (24, 26, 29)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHO = {Source.POLICY: "policy", Source.HUMAN: "operator", Source.DEMO: "demonstration"}


class VideoError(NudgeError):
    """Frames from which no video can be made."""


def write_video(path: Path, frames: Iterable[Frame], fps: float) -> int:
    """Write RGB frames (H, W, 3) uint8 as H.264, yuv420p; returns how many.

    The file appears under its name only once complete. An odd height or width, which yuv420p cannot hold, is
    padded with its last row or column. Raises `VideoError` when there is no frame, or one of another shape.
    """
    if not fps > 0:
        raise VideoError(f"video {path.name}: got {fps} frames a second, expected more than 0")
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise VideoError(f"video {path.name}: got no frame, expected at least one; was any episode recorded?")
    _check(first, first.shape, 0, path)
    even = _even(first)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")  # ffmpeg picks the container by the suffix
    # Else it forks this process to run a line of Python before ffmpeg, and a copy of gRPC's threads may abort there.
    os.environ["IMAGEIO_FFMPEG_NO_PREVENT_SIGINT"] = "1"
    writer = imageio_ffmpeg.write_frames(
        str(partial),
        (even.shape[1], even.shape[0]),
        pix_fmt_in="rgb24",
        pix_fmt_out="yuv420p",
        fps=fps,
        codec="libx264",
        macro_block_size=1,  # never rescale: the frames are even already
        output_params=["-crf", "23", "-preset", "veryfast", "-movflags", "+faststart"],
    )
    count = 1
    try:
        writer.send(None)  # starts ffmpeg
        writer.send(even)
        for frame in iterator:
            _check(frame, first.shape, count, path)
            writer.send(_even(frame))
            count += 1
        writer.close()  # waits until ffmpeg has written the index
        partial.replace(path)
    finally:
        writer.close()
        partial.unlink(missing_ok=True)
    return count


def side_by_side(frames: Mapping[str, Frame], caption: str, upscale: int = 3) -> Frame:
    """The cameras beside each other, each with its name, under a bar with the caption.

    frames: camera name -> uint8 RGB (height, width, 3); lower ones are brought to the height of the tallest
    upscale: whole factor by which the tallest camera is enlarged
    Returns uint8 RGB. Raises `VideoError` without a camera, or on text that the font cannot draw.
    """
    if not frames or upscale < 1:
        raise VideoError(f"side by side: got {len(frames)} cameras and a factor of {upscale}, expected at least 1 each")
    height_px = max(frame.shape[0] for frame in frames.values()) * upscale
    parts: list[Frame] = []
    for name, frame in frames.items():
        width_px = round(frame.shape[1] * height_px / frame.shape[0])
        panel = cast(Frame, cv2.resize(frame, (width_px, height_px), interpolation=cv2.INTER_CUBIC))
        _write(panel, name, (10, 26), width_px - 20, 0.65, _INK, outline=True)
        parts += [panel, np.full((height_px, _GAP_PX, 3), _PAPER, np.uint8)]
    picture = np.concatenate(parts[:-1], axis=1)  # (height, sum of widths and gaps, 3)
    bar = np.full((_BAR_PX, picture.shape[1], 3), _PAPER, np.uint8)
    _write(bar, caption, (10, 29), picture.shape[1] - 20, 0.75, _INK)
    return np.concatenate([bar, picture])  # on top: a player's controls lie at the bottom


def control_caption(source: Source, step: int, success: bool | None, episode: str = "") -> str:
    """Who is in control, at which step, and how it ended; `success` is None while the episode runs."""
    outcome = "" if success is None else "success" if success else "no success"
    return "   ".join(part for part in (episode, f"{_WHO[source]} acts", f"step {step}", outcome) if part)


def _check(frame: Frame, shape: tuple[int, ...], index: int, path: Path) -> None:
    if frame.shape != shape or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise VideoError(
            f"video {path.name}: frame {index} is {frame.dtype} {frame.shape}, expected uint8 RGB (height, width, 3) "
            f"of one size, {shape[:2]} as the first"
        )


def _even(frame: Frame) -> Frame:
    """Even height and width, contiguous."""
    odd_rows, odd_columns = frame.shape[0] % 2, frame.shape[1] % 2
    if odd_rows or odd_columns:
        frame = np.pad(frame, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)


def _write(
    image: Frame,
    text: str,
    at_px: tuple[int, int],
    width_px: int,
    scale: float,
    colour: tuple[int, int, int],
    outline: bool = False,
) -> None:
    """Draw a line of text into `image`, smaller where it would not fit `width_px`."""
    if not text.isascii():
        raise VideoError(f"caption {text!r}: the font draws ASCII only; write it without other characters")
    needed_px = cv2.getTextSize(text, _FONT, scale, 1)[0][0]
    scale *= min(1.0, width_px / max(needed_px, 1))
    if outline:
        cv2.putText(image, text, at_px, _FONT, scale, _PAPER, 3, cv2.LINE_AA)
    cv2.putText(image, text, at_px, _FONT, scale, colour, 1, cv2.LINE_AA)
