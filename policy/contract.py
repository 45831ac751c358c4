"""The contract: what is observed, what is commanded, in which units, at which rate.

Demos, checkpoints, stores and the handshake carry its hash; whoever disagrees is refused with a
difference that a person can read (`difference`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from policy.errors import ContractMismatch

Unit = Literal["m", "rad", "1"]


class Frozen(BaseModel):
    """Base of all settings and contract models: immutable, and no unknown field goes unnoticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Crop(Frozen):
    """Region of the native frame that the policy sees [px]."""

    top: int = Field(ge=0)
    left: int = Field(ge=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)


class Camera(Frozen):
    """One camera: native frame, the region kept, and the square that the encoder gets.

    Frames are uint8 RGB, (size_px, size_px, 3).
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    native_height_px: int = Field(gt=0)
    native_width_px: int = Field(gt=0)
    crop: Crop
    size_px: int = Field(default=128, gt=0)

    @model_validator(mode="after")
    def _crop_lies_in_the_frame(self) -> Self:
        bottom, right = self.crop.top + self.crop.height, self.crop.left + self.crop.width
        if bottom > self.native_height_px or right > self.native_width_px:
            raise ValueError(
                f"camera {self.name!r}: the crop reaches row {bottom} and column {right}, but the native frame has "
                f"{self.native_height_px} rows and {self.native_width_px} columns; shrink or move the crop"
            )
        return self


class Dimension(Frozen):
    """One scalar of the observation, with its unit and the range that maps to [-1, 1]."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_.]*$")
    unit: Unit
    low: float
    high: float

    @model_validator(mode="after")
    def _range_is_not_degenerate(self) -> Self:
        if not self.high - self.low > 1e-6:
            raise ValueError(
                f"dimension {self.name!r}: the range {self.low}..{self.high} is empty, so its normalised value would "
                f"be infinite or constant; give low < high, or remove the dimension"
            )
        return self


class ActionDimension(Frozen):
    """One scalar of the action: the policy speaks -1..1, `scale` is what 1 means, in `unit` per step."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_.]*$")
    unit: Unit
    scale: float = Field(gt=0)


class Contract(Frozen):
    """All that two processes, or a process and an artefact, must agree on.

    `sim_only` dimensions (the pose of the cube) may be used by rewards and evaluation; they travel
    and are stored, but no policy can ask for them: they are not part of `proprioception`.
    """

    cameras: tuple[Camera, ...] = Field(min_length=1)
    proprioception: tuple[Dimension, ...] = Field(min_length=1)
    action: tuple[ActionDimension, ...] = Field(min_length=1)
    sim_only: tuple[Dimension, ...] = ()
    control_hz: float = Field(gt=0)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind in ("cameras", "proprioception", "action", "sim_only"):
            names = [item.name for item in getattr(self, kind)]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind}: each name may stand once, got {twice} more than once")
        return self

    @property
    def hash(self) -> str:
        """Sha256 of the canonical JSON (sorted keys, no white space), as 64 hex digits."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    def canonical_json(self) -> str:
        """The one JSON text of this contract."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def action_scale(self) -> NDArray[np.float32]:
        """What one unit of each action dimension means, in its unit: (A,)."""
        return np.array([dim.scale for dim in self.action], np.float32)

    def require_equal(self, other: Contract, ours: str, theirs: str) -> None:
        """Raise `ContractMismatch` with a readable difference unless both are equal."""
        if self.hash == other.hash:
            return
        lines = "\n".join(f"  {line}" for line in difference(self, other, ours, theirs))
        raise ContractMismatch(
            f"the contract of {theirs} ({other.hash[:12]}) differs from that of {ours} ({self.hash[:12]}):\n{lines}\n"
            f"Start both ends with the same preset, or record again under the new contract."
        )


def difference(a: Contract, b: Contract, name_a: str = "ours", name_b: str = "theirs") -> list[str]:
    """Each place where two contracts differ, as `path: value (name_a) != value (name_b)`."""
    flat_a, flat_b = dict(_flatten(a.model_dump(mode="json"))), dict(_flatten(b.model_dump(mode="json")))
    return [
        f"{path}: {flat_a.get(path, 'missing')} ({name_a}) != {flat_b.get(path, 'missing')} ({name_b})"
        for path in sorted(flat_a.keys() | flat_b.keys())
        if flat_a.get(path, "missing") != flat_b.get(path, "missing")
    ]


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a JSON tree by path; list items that have a name go by it, so a diff reads like the settings."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield f"{path}.order", [item.get("name") if isinstance(item, dict) else item for item in value]
        for index, item in enumerate(value):
            key = item.get("name", index) if isinstance(item, dict) else index
            yield from _flatten(item, f"{path}[{key}]")
    else:
        yield path, value
