"""Do the cameras still see what they saw in the demonstrations? Each answer is a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from robot.cameras.comparison import Difference, Frames, Look, difference, look
from robot.cameras.reference import CameraReference, Reference, require_frames
from robot.cameras.settings import DriftSettings


class Severity(Enum):
    """How bad a finding is."""

    WARNING = "warning"  # success will suffer
    SEVERE = "severe"  # do not run like this


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in which a camera has drifted.

    measured, limit: in `unit`; the measured is beyond the limit
    """

    camera: str
    what: str
    measured: float
    limit: float
    unit: str
    severity: Severity
    cure: str

    @property
    def told(self) -> str:
        """Which camera, what of it, by how much."""
        scale, form = (100, ".0f") if self.unit == "%" else (1, ".2f") if not self.unit else (1, ".1f")
        return (
            f"camera {self.camera!r}: {self.what}: {self.measured * scale:{form}}{self.unit and ' ' + self.unit} "
            f"(limit {self.limit * scale:{form}})"
        )

    def __str__(self) -> str:
        return f"{self.told} away from the demonstrations; {self.cure}"


CURES = {
    "brightness": "switch the lamps as they were, and lock exposure and gain at the values of that day",
    "colour": "use the same lamps, keep daylight out, and lock the white balance at the value of that day",
    "contrast": "clean the lens and look at its focus; glare does it too",
    "shift_px": "bring the camera back to where it was, by the contact sheet beside that of the demonstrations",
    "turn_deg": "turn the camera back to where it was, by the contact sheet beside that of the demonstrations",
}
NAMES = {
    "brightness": ("brightness", "%"),
    "colour": ("tint", "%"),
    "contrast": ("contrast", "%"),
    "shift_px": ("framing", "px"),
    "turn_deg": ("framing", "deg"),
}
UNLIKE = "look whether names of cameras were swapped, one fell over or something hides it; else record anew"


def drift(reference: Reference, frames: Mapping[str, Frames], settings: DriftSettings) -> list[Finding]:
    """What has changed since the demonstrations; empty where nothing has.

    frames: camera -> uint8 RGB (N, size_px, size_px, 3) as the policy sees them, of an arm that moves
    Raises `ReferenceUnfit` for too few frames or another shape.
    """
    looks = {
        name: look(require_frames(name, frames.get(name), camera.look.median.shape[0]))
        for name, camera in reference.cameras.items()
    }
    return drift_of(reference, looks, settings)


def drift_of(reference: Reference, looks: Mapping[str, Look], settings: DriftSettings) -> list[Finding]:
    """The same where the looks of all cameras are at hand."""
    return [
        finding
        for name, camera in reference.cameras.items()
        for finding in _findings(name, camera, difference(camera.look, looks[name]), settings)
    ]


def _findings(name: str, camera: CameraReference, now: Difference, settings: DriftSettings) -> Iterator[Finding]:
    own = camera.among_themselves
    least = min(settings.likeness, own.likeness / settings.margin)
    if now.likeness < least:
        yield Finding(name, "likeness", now.likeness, least, "", Severity.SEVERE, UNLIKE)
    for field, (what, unit) in NAMES.items():
        if now.likeness < least and unit != "%":
            continue  # where nothing fits, no movement can be measured
        measured = getattr(now, field)
        limit = max(getattr(settings, field), settings.margin * getattr(own, field))
        if abs(measured) > limit:
            severity = Severity.SEVERE if abs(measured) > settings.severe * limit else Severity.WARNING
            yield Finding(name, what, measured, limit, unit, severity, CURES[field])
