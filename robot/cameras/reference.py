"""How the demonstrations looked, kept as JSON and PNG, and how much they differ among themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from policy.contract import Contract, Frozen
from robot.cameras.comparison import FEWEST_FRAMES, Difference, Frames, Look, difference, look
from robot.cameras.errors import ReferenceUnfit

REFERENCE_FILE = "reference.json"
STILL = Difference(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class CameraReference:
    """How one camera looked, and the widest difference of a window of demonstrations from all of them."""

    look: Look
    among_themselves: Difference


class _Kept(Frozen):
    contract_hash: str
    among_themselves: dict[str, Difference] = Field(description="Camera -> widest difference of its windows.")


@dataclass(frozen=True, slots=True)
class Reference:
    """The demonstrations' look, for the contract that they were recorded under."""

    contract_hash: str
    cameras: dict[str, CameraReference]

    @classmethod
    def of(cls, contract: Contract, frames: Mapping[str, Frames]) -> Self:
        """The look of demonstrations.

        frames: camera -> uint8 RGB (N, size_px, size_px, 3) as the policy sees them, in the order of recording
        Raises `ReferenceUnfit` for too few frames or another shape.
        """
        checked = {it.name: require_frames(it.name, frames.get(it.name), it.size_px) for it in contract.cameras}
        return cls(contract.hash, {name: _of_camera(seen) for name, seen in checked.items()})

    def save(self, folder: Path) -> None:
        """Write `reference.json` and two PNG for each camera; the JSON last, so that it speaks of what is there."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, camera in self.cameras.items():
            (folder / f"{name}.png").write_bytes(_png(camera.look.median[..., ::-1]))
            (folder / f"{name}.spread.png").write_bytes(_png(camera.look.spread))
        kept = _Kept(
            contract_hash=self.contract_hash,
            among_themselves={name: camera.among_themselves for name, camera in self.cameras.items()},
        )
        (folder / REFERENCE_FILE).write_text(kept.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, contract: Contract) -> Self:
        """Read what `save` wrote; `ReferenceUnfit` where it is missing, damaged, or of another contract."""
        path = folder / REFERENCE_FILE
        try:
            kept = _Kept.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ReferenceUnfit(
                f"{path}: got no reference ({error}), expected what was written after the demonstrations; make it anew"
            ) from error
        if kept.contract_hash != contract.hash:
            raise ReferenceUnfit(
                f"{path}: got the look of contract {kept.contract_hash[:12]}, expected {contract.hash[:12]}; the "
                f"cameras, their crop or another part of the contract has changed: record new demonstrations"
            )
        sizes = {camera.name: camera.size_px for camera in contract.cameras}
        return cls(
            kept.contract_hash,
            {name: CameraReference(_read(folder, name, sizes[name]), kept.among_themselves[name]) for name in sizes},
        )


def require_frames(name: str, frames: Frames | None, size_px: int) -> Frames:
    """The frames; raises `ReferenceUnfit` unless there are enough of the right form."""
    shape = None if frames is None else frames.shape
    if frames is None or frames.dtype != np.uint8 or frames.shape[1:] != (size_px, size_px, 3):
        raise ReferenceUnfit(f"camera {name!r}: got frames of {shape}, expected uint8 (N, {size_px}, {size_px}, 3)")
    if len(frames) < FEWEST_FRAMES:
        raise ReferenceUnfit(
            f"camera {name!r}: got {len(frames)} frames, expected at least {FEWEST_FRAMES} of a moving arm, so that "
            f"what stays still can be told from it; record more"
        )
    return frames


def _of_camera(frames: Frames) -> CameraReference:
    whole = look(frames)
    among = STILL
    for start in range(0, len(frames) - FEWEST_FRAMES + 1, FEWEST_FRAMES):
        among = among.widest(difference(whole, look(frames[start : start + FEWEST_FRAMES])))
    return CameraReference(whole, among)


def _png(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def _read(folder: Path, name: str, size_px: int) -> Look:
    median = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_COLOR)
    spread = cv2.imread(str(folder / f"{name}.spread.png"), cv2.IMREAD_GRAYSCALE)
    expected = (size_px, size_px)
    if median is None or spread is None or median.shape[:2] != expected or spread.shape != expected:
        raise ReferenceUnfit(
            f"{folder}: the pictures of camera {name!r} are missing or damaged, expected {name}.png and "
            f"{name}.spread.png of {size_px}x{size_px}; make the reference anew"
        )
    return Look(np.ascontiguousarray(median[..., ::-1]), np.asarray(spread, np.uint8))
