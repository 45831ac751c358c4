"""`nudge virtual`: an SO-101 that is not there, for any program that speaks to a real one."""

from __future__ import annotations

import json

from pydantic import Field
from rich.console import Console

from console.presets.load import parse_options
from console.priority import niceness, take_short_turns
from console.stopping import stop_event
from robot.virtual.control import Remote
from robot.virtual.settings import VirtualSettings
from robot.virtual.station import CALIBRATION_FOLDER, CONTROL_SOCKET, Station

TEND_S = 1.0


class VirtualVerbSettings(VirtualSettings):
    """The virtual station, or a word to one that runs."""

    niceness: int = Field(
        default=-10,
        ge=-20,
        le=19,
        description="Priority of the servos, which as hardware would answer at once; the start tells if it is refused.",
    )
    tell: str | None = Field(
        default=None,
        description="Start nothing: hand this command, JSON, to the station that runs in the folder, print its answer.",
    )


def main(argv: list[str]) -> int:
    """Serve until SIGINT or SIGTERM; or hand over one command."""
    settings = parse_options(VirtualVerbSettings, argv, "nudge virtual")
    if settings.tell is not None:
        with Remote(settings.folder / CONTROL_SOCKET) as remote:
            print(json.dumps(remote.tell_json(settings.tell), indent=1))
        return 0
    serve(settings)
    return 0


def serve(settings: VirtualVerbSettings) -> None:
    """Run a station until someone says stop; leaves no port and no socket behind."""
    stop = stop_event()
    take_short_turns()
    console = Console(soft_wrap=True, highlight=False)
    with niceness(settings.niceness) as refused:
        if refused:
            console.print(
                f"no right to a niceness of {settings.niceness}: on a busy machine answers may come late, and drivers "
                f"see lost packets; start it with that right, or with --niceness 0 to hear no more of it"
            )
        with Station(settings) as station:
            console.print(introduction(station, settings), markup=False)
            while not stop.wait(TEND_S):
                station.tend()
    console.print("the virtual arm has ended")


def introduction(station: Station, settings: VirtualSettings) -> str:
    """Where everything is, and commands that work against it as they stand."""
    camera_ports = station.cameras.ports if station.cameras is not None else {}
    cameras = ", ".join(
        f"{name}: {{type: zmq, server_address: 127.0.0.1, port: {port}, camera_name: {name}, "
        f"width: {settings.camera_width_px}, height: {settings.camera_height_px}, fps: {settings.camera_hz:g}}}"
        for name, port in camera_ports.items()
    )
    folder = settings.folder
    follower = _device("robot", "follower", station, settings)
    leader = _device("teleop", "leader", station, settings)
    seen = f' --robot.cameras="{{{cameras}}}"' if cameras else ""
    ports = ", ".join(f"{name} tcp://127.0.0.1:{port}" for name, port in camera_ports.items())
    return f"""\
A virtual SO-101 is ready; Ctrl+C ends it.
  follower  {station.lines["follower"].path}
  leader    {station.lines["leader"].path}
  cameras   {ports or "none"}

LeRobot's commands work against it:
  lerobot-teleoperate {follower} {leader}{seen}
  lerobot-calibrate {follower}
  lerobot-calibrate {leader}

Be the hand on the leader, and the accidents (all of them: docs/virtual.md):
  {_tell(folder, {"command": "move_hand", "arm": "leader", "joint_rad": {"shoulder_pan": 0.5}})}
  {_tell(folder, {"command": "place_cube", "x_m": 0.25, "y_m": 0.05})}
  {_tell(folder, {"command": "overload", "arm": "follower", "joint": "gripper"})}
  {_tell(folder, {"command": "reset"})}
"""


def _device(option: str, name: str, station: Station, settings: VirtualSettings) -> str:
    kind = "so101_follower" if option == "robot" else "so101_leader"
    return (
        f"--{option}.type={kind} --{option}.port={station.lines[name].path} --{option}.id={name} "
        f"--{option}.calibration_dir={settings.folder / CALIBRATION_FOLDER}"
    )


def _tell(folder: object, command: dict[str, object]) -> str:
    return f"nudge virtual --folder {folder} --tell '{json.dumps(command)}'"
