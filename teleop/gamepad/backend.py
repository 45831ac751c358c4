"""What a backend is: it lists the pads that it sees, opens one, and tells how its controls stood since then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from teleop.errors import TeleopError
from teleop.gamepad.state import PadState


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that may be the pad.

    ids: GUID, serial number or whatever else tells it from others
    where: what its backend opens it by
    unfit: why it cannot be used as it is, and the cure; empty where it can
    """

    backend: str
    name: str
    ids: tuple[str, ...]
    where: int | bytes
    unfit: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.backend}; {', '.join(self.ids)})" + (f": {self.unfit}" if self.unfit else "")

    def is_meant_by(self, wanted: str) -> bool:
        """Whether `wanted`, a setting, means this one: part of its name, or one of its ids."""
        wanted = wanted.casefold()
        return wanted in self.name.casefold() or wanted in [it.casefold() for it in self.ids]


class Pad(Protocol):
    """A pad that is open. All calls from one thread."""

    @property
    def candidate(self) -> Candidate:
        """Which one it is."""
        ...

    @property
    def streams(self) -> bool:
        """Whether it reports at rest too, so that its silence means that it is gone."""
        ...

    def poll(self) -> list[PadState] | None:
        """Each state since the last call, oldest first, those of taps included; None once it is gone. Never waits."""
        ...

    def close(self) -> None:
        """Let go of it; it may be gone."""
        ...


class Backend(Protocol):
    """A way to read pads, entered and used by one thread."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def candidates(self) -> list[Candidate]:
        """The devices that are there now."""
        ...

    def open(self, candidate: Candidate) -> Pad:
        """Open one of them. Raises `TeleopError` where that fails."""
        ...


def choose(candidates: Sequence[Candidate], wanted: str) -> Candidate:
    """The one that is meant. Raises `TeleopError` with all that are there where it is none, several, or unfit.

    wanted: the setting `device`; empty means any
    """
    meant = [it for it in candidates if it.is_meant_by(wanted)]
    fit = [it for it in meant if not it.unfit]
    if len(fit) == 1:
        return fit[0]
    there = "".join(f"\n  {it}" for it in candidates) or " none"
    called = f"gamepad {wanted!r}" if wanted else "gamepad"
    if not fit:
        cure = "plug it in or switch it on" if not meant else "see below"
        raise TeleopError(f"{called}: got no pad that can be used, expected one; {cure}. What is there:{there}")
    raise TeleopError(
        f"{called}: got {len(fit)} pads, expected one; name it: --teleop.gamepad.device with part of its name, its "
        f"GUID or its serial number (which --teleop.gamepad.backend hid knows). What is there:{there}"
    )
