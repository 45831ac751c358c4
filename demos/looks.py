"""Do all episodes look alike? A lamp that was switched off in between, a camera that was pushed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from demos.findings import EpisodeName, Finding, Severity
from policy.contract import Contract
from policy.experience import Step
from robot.cameras.comparison import FEWEST_FRAMES, Look, look
from robot.cameras.drift import Severity as Drift
from robot.cameras.drift import drift_of
from robot.cameras.reference import STILL, CameraReference, Reference
from robot.cameras.settings import DriftSettings


class Looks:
    """Told each episode in turn; holds the pictures of a window of whole episodes, and of older ones how they looked.

    A look needs a minimum of pictures of an arm that moves, more than an episode has: so an episode cannot be blamed
    by itself, only some that follow each other.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._frames: dict[str, list[NDArray[np.uint8]]] = {camera.name: [] for camera in contract.cameras}
        self._episodes: list[EpisodeName] = []  # of the window that is under way
        self._windows: list[tuple[list[EpisodeName], dict[str, Look]]] = []

    def see(self, episode: EpisodeName, steps: Sequence[Step]) -> None:
        """The next episode."""
        self._episodes.append(episode)
        for name, frames in self._frames.items():
            frames += [step.observation.frames[name] for step in steps]
        if len(next(iter(self._frames.values()))) >= FEWEST_FRAMES:
            looks = {name: look(np.stack(frames)) for name, frames in self._frames.items()}
            self._windows.append((self._episodes, looks))
            self._episodes = []
            for frames in self._frames.values():
                frames.clear()

    def findings(self, settings: DriftSettings) -> Iterator[Finding]:
        """Windows that differ from what most of them show. The last few episodes may be too few for one."""
        if not self._windows:
            pictures = len(next(iter(self._frames.values())))
            yield Finding(
                check="reference",
                severity=Severity.MIND,
                got=f"{pictures} pictures of each camera",
                expected=f"{FEWEST_FRAMES} at least",
                cure="record more: of so few nobody can tell later whether a camera was moved or a lamp changed",
            )
            return
        names = [camera.name for camera in self._contract.cameras]
        typical = {name: _typical([looks[name] for _, looks in self._windows]) for name in names}
        reference = Reference(
            self._contract.hash, {name: CameraReference(seen, STILL) for name, seen in typical.items()}
        )
        for episodes, looks in self._windows:
            for drifted in drift_of(reference, looks, settings):
                yield Finding(
                    check="look",
                    severity=Severity.REFUSE if drifted.severity is Drift.SEVERE else Severity.MIND,
                    episode=str(episodes[0]),
                    step=0,
                    got=f"{drifted.told} in {len(episodes)} episodes from this one on",
                    expected="episodes that look like the others of the set",
                    cure=f"{drifted.cure}; leave those episodes out, or record them anew",
                )


def _typical(looks: Sequence[Look]) -> Look:
    """What more than half of the looks show: a few that differ do not shift it."""
    spread = np.median([each.spread for each in looks], axis=0).astype(np.uint8)  # (size_px, size_px)
    return Look(look(np.stack([each.median for each in looks])).median, spread)
