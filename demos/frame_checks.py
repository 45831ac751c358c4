"""What the pictures of one episode say of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from demos.facts import EpisodeFacts
from demos.findings import Finding, Severity
from demos.motion_checks import runs
from demos.settings import FrameChecks
from policy.contract import Contract
from policy.experience import Step
from robot.cameras.contact_sheet import share_clipped

_LIGHT = (
    ("dark", "take the cap off, switch a lamp on, or lock a longer exposure"),
    ("bright", "lock a shorter exposure, or turn the lamp away from the desk"),
)


def check_frames(
    contract: Contract, steps: Sequence[Step], episode: EpisodeFacts, settings: FrameChecks
) -> Iterator[Finding]:
    """Each camera by itself: pictures that stand still while the arm moves, that are too dark or too bright."""
    for camera in contract.cameras:
        yield from _frozen(contract, camera.name, steps, episode, settings)
        yield from _clipped(camera.name, steps, episode, settings)


def _frozen(
    contract: Contract, camera: str, steps: Sequence[Step], episode: EpisodeFacts, settings: FrameChecks
) -> Iterator[Finding]:
    joints = [index for index, dimension in enumerate(contract.proprioception) if dimension.unit == "rad"]
    turns = np.abs(np.diff(episode.proprioception[: episode.steps, joints], axis=0))  # (N - 1, J)
    frames = [step.observation.frames[camera] for step in steps]
    same = np.array([np.array_equal(one, other) for one, other in pairwise(frames)], bool)  # (N - 1,)
    for start, end in runs(same):
        pictures = end - start + 1
        turned_rad = float(turns[start:end].sum(axis=0).max(initial=0))
        if pictures > settings.frozen_steps and turned_rad > settings.moving_rad:
            yield Finding(
                check="frozen",
                severity=Severity.REFUSE,
                episode=str(episode.name),
                step=start,
                got=f"the same picture of camera {camera!r} in {pictures} steps, while a joint turned by "
                f"{turned_rad:.2f} rad",
                expected=f"another picture after {settings.frozen_steps} steps at the latest",
                cure="look at the camera's cable and rate (`nudge doctor`), and record it anew",
            )
            return


def _clipped(camera: str, steps: Sequence[Step], episode: EpisodeFacts, settings: FrameChecks) -> Iterator[Finding]:
    shares = np.array([share_clipped(step.observation.frames[camera]) for step in steps])  # (N, 2): dark, bright
    for (what, cure), each in zip(_LIGHT, shares.T, strict=True):
        usual = float(np.median(each))
        if usual > settings.clipped_share:
            yield Finding(
                check=what,
                severity=Severity.REFUSE if usual > settings.clipped_refused else Severity.MIND,
                episode=str(episode.name),
                step=int(np.argmax(each > settings.clipped_share)),
                got=f"{usual:.0%} of the picture of camera {camera!r} too {what} to tell anything",
                expected=f"{settings.clipped_share:.0%} at most in half of the steps",
                cure=cure,
            )
