"""What the doctor's checks share: settings, what earlier checks have opened or measured, and who says stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from console.doctor.findings import Finding
from console.settings import Settings
from robot.safety.emergency import EmergencyStop

if TYPE_CHECKING:
    from console.doctor.station import Station
    from robot.cameras import CameraSet
    from robot.so101.bus import So101Bus

Kind = Literal["sim", "so101"]


@dataclass(slots=True)
class Drive:
    """What the control loop measured.

    act_s, observe_s, infer_s: (N,) durations of each tick's parts
    late: ticks that missed their deadline
    proprioception: (N, P) in the contract's units
    clamped: `limit.joint` -> how often the guard clipped; clipped_ticks: in how many ticks it did
    legs_m: where the tool should have come (3,) and came (3,), corner by corner
    """

    act_s: list[float] = field(default_factory=list)
    observe_s: list[float] = field(default_factory=list)
    infer_s: list[float] = field(default_factory=list)
    late: int = 0
    proprioception: list[NDArray[np.float32]] = field(default_factory=list)
    clamped: dict[str, int] = field(default_factory=dict)
    clipped_ticks: int = 0
    legs_m: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)


@dataclass(slots=True)
class Context:
    """Handed from check to check. A check that leaves something here is needed by those that read it.

    stop: set by the first Ctrl+C; the emergency stop is the second
    station: the arm with all that is connected to it, while it is stiff
    joint_rad: joints (6,) as measured while one after the other was tried [rad]
    frames: camera -> frames as the policy sees them, of the moving arm
    tables: what is shown beside the findings, title -> rows with the header first
    sheet: PNG of what the cameras see
    """

    settings: Settings
    stop: threading.Event
    emergency: EmergencyStop
    stack: ExitStack
    bus: So101Bus | None = None
    cameras: dict[str, CameraSet] = field(default_factory=dict)
    station: Station | None = None
    drive: Drive | None = None
    joint_rad: list[NDArray[np.float64]] = field(default_factory=list)
    frames: dict[str, list[NDArray[np.uint8]]] = field(default_factory=dict)
    tables: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    sheet: bytes | None = None
    begun_wall_s: float = field(default_factory=time.time)
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def halted(self) -> bool:
        """Whether somebody has said stop: the `stop` of a motion."""
        return self.stop.is_set() or self.emergency.is_pressed

    def opened(self) -> Station:
        """The station; a check that needs it names the one that opens it."""
        if self.station is None:
            raise AssertionError("a check that drives the arm runs after the one that opens it")
        return self.station


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    name: stable, `room.what`; title: for people
    run: looks, and returns at least one finding; an error of the project that it raises is a red one
    needs: names of checks without whose success it cannot look; those of other kinds of arm are no need
    kinds: of arms that it applies to
    moves: whether it needs an arm that may move
    always: whether it runs whatever came before, also when somebody has said stop
    """

    name: str
    title: str
    run: Callable[[Context], list[Finding]]
    needs: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ("sim", "so101")
    moves: bool = False
    always: bool = False
