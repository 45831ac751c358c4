"""Watches whether the cameras still see what they saw in the demonstrations, between the episodes of one session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from robot.cameras.comparison import FEWEST_FRAMES
from robot.cameras.drift import Finding, drift
from robot.cameras.reference import REFERENCE_FILE, Reference
from robot.cameras.settings import DriftSettings

Frame = NDArray[np.uint8]

MOST_DEMO_FRAMES = 600  # of each camera, 30 MB
EVERY_STEPS = 5  # in training one frame of so many: a look is a minute of motion


class CameraWatch:
    """Makes the reference of the demonstrations' frames, and compares later ones with it.

    folder: where the reference lies, or will lie; the next process of this run goes on with it
    """

    def __init__(self, folder: Path, contract: Contract, settings: DriftSettings) -> None:
        self._folder, self._contract, self._settings = folder, contract, settings
        known = (folder / REFERENCE_FILE).is_file()
        self._reference = Reference.load(folder, contract) if known else None
        self._frames: dict[str, list[Frame]] = {camera.name: [] for camera in contract.cameras}
        self._steps = 0
        self._of_demos = True

    def see(self, frames: Mapping[str, Frame], *, demonstrating: bool) -> None:
        """Frames (size_px, size_px, 3) as the policy sees them, at each step. Costs a copy of a reference."""
        if demonstrating != self._of_demos:
            self._finish_demos()
            self._of_demos = demonstrating
        self._steps += 1
        if demonstrating:
            wanted = self._reference is None and self._held < MOST_DEMO_FRAMES
        else:
            wanted = self._reference is not None and self._steps % EVERY_STEPS == 0
        if wanted:
            for name, kept in self._frames.items():
                kept.append(frames[name])

    def findings(self) -> list[Finding]:
        """What has drifted, once there are frames enough; call it between two episodes, it takes some 0.1 s."""
        if self._of_demos or self._reference is None or self._held < FEWEST_FRAMES:
            return []
        found = drift(self._reference, self._stacked(), self._settings)
        self._forget()
        return found

    @property
    def _held(self) -> int:
        return len(next(iter(self._frames.values()), ()))

    def _finish_demos(self) -> None:
        """The demonstrations are over: theirs is how it shall look. Of too few frames nothing can be said."""
        if self._of_demos and self._reference is None and self._held >= FEWEST_FRAMES:
            self._reference = Reference.of(self._contract, self._stacked())
            self._reference.save(self._folder)
        self._forget()

    def _stacked(self) -> dict[str, Frame]:
        return {name: np.stack(kept) for name, kept in self._frames.items()}  # (N, size_px, size_px, 3)

    def _forget(self) -> None:
        for kept in self._frames.values():
            kept.clear()
