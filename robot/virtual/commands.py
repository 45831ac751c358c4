"""What the virtual arm can be told: where things lie, what hands do, and which accidents happen.

Each command is a model whose fields are those of its JSON; what it answers is JSON too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from policy.contract import Frozen
from robot.arm import JOINT_NAMES
from robot.task import CubePose
from robot.virtual.camera_process import CAMERA_NAMES, CameraFault
from robot.virtual.errors import VirtualArmError
from robot.virtual.hand import waypoints

if TYPE_CHECKING:
    from robot.virtual.servo import Servo
    from robot.virtual.station import Station

Arm = Literal["follower", "leader"]
Joint = Literal["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
Rate = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class State(Frozen):
    """How things are: ports, true joint angles, torque, cube, cameras, faults."""

    command: Literal["state"] = "state"

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        return station.state()


class PlaceCube(Frozen):
    """Lay the cube on the table, base frame [m, rad]."""

    command: Literal["place_cube"] = "place_cube"
    x_m: Finite = 0.25
    y_m: Finite = 0.0
    yaw_rad: Finite = 0.0

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        station.world.place_cube(CubePose(self.x_m, self.y_m, self.yaw_rad))
        return {}


class Reset(Frozen):
    """Begin anew: both arms folded, freshly powered, without faults, let go of; ports and cameras back; cube placed."""

    command: Literal["reset"] = "reset"
    x_m: Finite = 0.25
    y_m: Finite = 0.0
    yaw_rad: Finite = 0.0

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        station.world.reset(CubePose(self.x_m, self.y_m, self.yaw_rad))
        for line in station.lines.values():
            line.plug_in()
        if station.cameras is not None:
            station.cameras.faults.update(dict.fromkeys(CAMERA_NAMES, "none"))
        return {}


class MoveHand(Frozen):
    """Bring joints to angles by hand and hold them there; strong motors win. Answers how long it takes."""

    command: Literal["move_hand"] = "move_hand"
    arm: Arm = "leader"
    joint_rad: dict[Joint, Finite]
    speed_rad_s: float = Field(default=2.0, gt=0, allow_inf_nan=False)

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        target: dict[str, float] = {str(name): angle for name, angle in self.joint_rad.items()}
        arm = station.arms[self.arm]
        return {"duration_s": arm.move_hand(target, self.speed_rad_s, time.perf_counter())}


class FollowPath(Frozen):
    """Move joints by hand through angles at times from now, the same joints in each point; then hold them."""

    command: Literal["follow_path"] = "follow_path"
    arm: Arm = "leader"
    points: tuple[tuple[Finite, dict[Joint, Finite]], ...]

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        path = waypoints([(at_s, {str(name): angle for name, angle in joints.items()}) for at_s, joints in self.points])
        station.arms[self.arm].hand.follow(path, time.perf_counter())
        return {}


class ReleaseHand(Frozen):
    """Let go of an arm."""

    command: Literal["release_hand"] = "release_hand"
    arm: Arm = "leader"

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        station.arms[self.arm].hand.release()
        return {}


class Wire(Frozen):
    """A bad wire: the chance of each packet, requests and answers alike, to be lost or to have a wrong bit."""

    command: Literal["wire"] = "wire"
    arm: Arm = "follower"
    lost: Rate = 0.0
    corrupt: Rate = 0.0

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        faults = station.arms[self.arm].bus.faults
        faults.lost, faults.corrupt = self.lost, self.corrupt
        return {}


class Silence(Frozen):
    """A servo with a loose cable: it no longer answers, and holds what it held. `silent: false` mends it."""

    command: Literal["silence"] = "silence"
    arm: Arm = "follower"
    joint: Joint
    silent: bool = True

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        silent, index = station.arms[self.arm].bus.faults.silent, JOINT_NAMES.index(self.joint)
        (silent.add if self.silent else silent.discard)(index)
        return {}


class Overload(Frozen):
    """A latched overload: no torque, and an error in each answer, until the power has been off."""

    command: Literal["overload"] = "overload"
    arm: Arm = "follower"
    joint: Joint

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        with station.arms[self.arm].bus.lock:
            _servo(station, self.arm, self.joint).overload()
        return {}


class Heat(Frozen):
    """A servo of this temperature [°C], whatever it does; none gives it back its own."""

    command: Literal["heat"] = "heat"
    arm: Arm = "follower"
    joint: Joint
    temperature_c: Annotated[float, Field(ge=0, le=150)] | None

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        _servo(station, self.arm, self.joint).forced_temperature_c = self.temperature_c
        return {}


class Supply(Frozen):
    """The voltage that the servos of an arm get [V]; 5 is as it should be, below 4 is too little."""

    command: Literal["supply"] = "supply"
    arm: Arm = "follower"
    volts: float = Field(ge=0, le=25)

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        for servo in station.arms[self.arm].bus.servos:
            servo.supply_v = self.volts
        return {}


class Power(Frozen):
    """The power brick, out or in again; the port stays, its servos are gone meanwhile."""

    command: Literal["power"] = "power"
    arm: Arm = "follower"
    on: bool

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        station.arms[self.arm].bus.power(self.on)
        return {}


class Plug(Frozen):
    """The USB cable, out or in again: the port vanishes and returns, and the servos keep on with what they did."""

    command: Literal["plug"] = "plug"
    arm: Arm = "follower"
    plugged_in: bool

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        line = station.lines[self.arm]
        if self.plugged_in:
            line.plug_in()
        else:
            line.unplug()
        return {}


class CameraTrouble(Frozen):
    """A camera that shows one picture for ever, shows two a second, or is gone; `none` mends it."""

    command: Literal["camera"] = "camera"
    camera: Literal["wrist", "front"]
    fault: CameraFault

    def apply(self, station: Station) -> dict[str, Any]:
        """Follow it."""
        if station.cameras is None:
            raise VirtualArmError(f"camera {self.camera!r}: this station serves none; start it with --cameras True")
        station.cameras.faults[self.camera] = self.fault
        return {}


HandCommand = MoveHand | FollowPath | ReleaseHand
FaultCommand = Wire | Silence | Overload | Heat | Supply | Power | Plug | CameraTrouble
Command = Annotated[
    State | PlaceCube | Reset | HandCommand | FaultCommand,
    Field(discriminator="command"),
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


def _servo(station: Station, arm: str, joint: str) -> Servo:
    return station.arms[arm].bus.servos[JOINT_NAMES.index(joint)]
