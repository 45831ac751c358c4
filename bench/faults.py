"""What each accident looks like from the actor: how soon it is told, what the arm does, how soon it is usable again.

    python bench/faults.py [--json] [--hz 10]

A `nudge virtual` of its own, the real driver and network cameras, the environment at its rate with small motions.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import numpy as np  # noqa: E402 - the path comes first
import tyro  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from console.presets.load import load_preset  # noqa: E402
from console.settings import Settings as ProjectSettings  # noqa: E402
from console.stopping import Child  # noqa: E402
from robot.env import ArmEnv, make_env  # noqa: E402
from robot.errors import ArmFault  # noqa: E402
from robot.virtual.commands import (  # noqa: E402
    CameraTrouble,
    Command,
    Heat,
    Overload,
    Plug,
    Power,
    Reset,
    Silence,
    State,
    Supply,
    Wire,
)
from robot.virtual.control import Remote  # noqa: E402

LONGEST_S = 20.0  # to tell an accident, and to be sound again
QUIET_S = 3.0  # an accident that is not told by then goes unnoticed, as lost packets shall


@dataclass(frozen=True)
class Settings:
    """Accidents of the virtual arm, one after the other."""

    hz: float = 10.0
    """Control rate."""
    json: bool = False
    """Print one JSON object as the last line."""


@dataclass(frozen=True)
class Accident:
    """What happens, and what mends it."""

    name: str
    happens: Command
    mended: Sequence[Command]


@dataclass(frozen=True)
class Outcome:
    """What came of an accident.

    done_s: from the accident until the arm had reacted and the loop was told; None where nothing was
    message: the first sentence of what the operator reads
    torque: joints with torque then, of six
    sound_s: from the mending until the arm could be driven again
    """

    name: str
    done_s: float | None
    fault: str
    message: str
    reaction: str
    torque: int
    sound_s: float


def accidents() -> Sequence[Accident]:
    """All that the station can do to a follower and its cameras."""
    overload, cured = Overload(arm="follower", joint="elbow_flex"), (Power(on=False), Power(on=True))
    return (
        Accident("5 % of the packets lost", Wire(lost=0.05), (Wire(),)),
        Accident("5 % of the packets corrupt", Wire(corrupt=0.05), (Wire(),)),
        Accident(
            "a servo is silent", Silence(joint="wrist_flex", silent=True), (Silence(joint="wrist_flex", silent=False),)
        ),
        Accident("overload latches", overload, cured),
        Accident("75 °C", Heat(joint="elbow_flex", temperature_c=75), (Heat(joint="elbow_flex", temperature_c=None),)),
        Accident("66 °C", Heat(joint="elbow_flex", temperature_c=66), (Heat(joint="elbow_flex", temperature_c=None),)),
        Accident("3.5 V", Supply(volts=3.5), (Supply(volts=5.0),)),
        Accident("power brick out", Power(on=False), (Power(on=True),)),
        Accident("USB cable out", Plug(plugged_in=False), (Plug(plugged_in=True),)),
        *(
            Accident(
                f"a camera is {fault}",
                CameraTrouble(camera="wrist", fault=fault),
                (CameraTrouble(camera="wrist", fault="none"),),
            )
            for fault in ("frozen", "slow", "vanished")
        ),
    )


class Driver:
    """Drives the environment in real time, to and fro, until a fault or the end of patience."""

    def __init__(self, env: ArmEnv, hz: float) -> None:
        self._env, self._period_s = env, 1 / hz

    def until_fault(self, seconds: float) -> tuple[float, ArmFault] | None:
        """When the fault was told [s], with the reaction already done; None when there was none."""
        end_s, tick = time.monotonic() + seconds, 0
        while time.monotonic() < end_s:
            begun_s = time.monotonic()
            try:
                side = 1.0 if tick // 10 % 2 else -1.0
                self._env.act(np.array([0, side * 0.5, 0, 0], np.float32))
                time.sleep(max(0.0, begun_s + self._period_s - time.monotonic()))
                self._env.observe()
            except ArmFault as fault:
                return time.monotonic(), fault
            tick += 1
        return None


def try_all(env: ArmEnv, station: Remote, settings: Settings, console: Console) -> list[Outcome]:
    """Each accident on an arm that is sound and moves."""
    driver, found = Driver(env, settings.hz), []
    for accident in accidents():
        env.reset()
        if driver.until_fault(1.0) is not None:
            console.print(f"[yellow]before {accident.name!r} the arm was not sound; it is tried all the same[/]")
        outcome = _try(env, driver, station, accident)
        console.print(f"{outcome.name}: {outcome.fault} {outcome.message}", highlight=False, markup=False)
        found.append(outcome)
    return found


def _try(env: ArmEnv, driver: Driver, station: Remote, accident: Accident) -> Outcome:
    happened = threading.Event()
    begun_s = 0.0

    def happen() -> None:
        nonlocal begun_s
        time.sleep(0.5)
        begun_s = time.monotonic()
        station.tell(accident.happens)
        happened.set()

    threading.Thread(target=happen).start()
    told = driver.until_fault(0.5 + QUIET_S)
    happened.wait()
    torque = sum(station.tell(State())["arms"]["follower"]["has_torque"].values())
    for command in accident.mended:
        station.tell(command)
        time.sleep(0.2 if len(accident.mended) > 1 else 0.0)
    if told is None:
        return Outcome(accident.name, None, "", "", "", torque, 0.0)
    told_s, fault = told
    mended_s = time.monotonic()
    while True:
        try:
            env.recover()
            break
        except ArmFault:
            if time.monotonic() - mended_s > LONGEST_S:
                raise
            time.sleep(0.05)
    sound_s = time.monotonic() - mended_s
    sentence = str(fault).split(";", 1)[0]
    return Outcome(
        accident.name,
        told_s - begun_s,
        type(fault).__name__,
        sentence,
        fault.reaction.value,
        torque,
        sound_s,
    )


def table(found: Sequence[Outcome]) -> Table:
    """One row per accident."""
    shown = Table(title="accidents of the virtual arm")
    for heading in ("accident", "told and done after", "fault", "reaction", "torque then", "sound again after mending"):
        shown.add_column(heading)
    for outcome in found:
        told = "not: it goes on" if outcome.done_s is None else f"{outcome.done_s:.2f} s"
        cells = f"{outcome.torque} of 6", f"{outcome.sound_s:.2f} s"
        shown.add_row(outcome.name, told, outcome.fault, outcome.reaction, *cells)
    return shown


def main() -> None:
    """Measure as the command line says."""
    settings, console = tyro.cli(Settings), Console(width=None if sys.stdout.isatty() else 180)
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as name:
        folder = Path(name)
        arguments = ["virtual", "--folder", str(folder), "--camera-port", "0"]
        with (
            Child("virtual arm", arguments, folder / "log"),
            Remote.when_ready(folder / "control", within_s=60) as station,
        ):
            env = _environment(station, folder, settings.hz)
            with closing(env):
                found = try_all(env, station, settings, console)
                station.tell(Reset())
                env.recover()
    console.print(table(found))
    if settings.json:
        print(json.dumps({"accidents": [dataclasses.asdict(outcome) for outcome in found], "hz": settings.hz}))


def _environment(station: Remote, folder: Path, hz: float) -> ArmEnv:
    project = load_preset(ProjectSettings, "virtual")
    cameras: dict[str, Any] = station.tell(State())["cameras"]
    so101 = project.arm.so101
    devices = tuple(it.model_copy(update={"port": cameras[it.name]["port"]}) for it in so101.cameras.devices)
    own = so101.model_copy(
        update={
            "port": folder / "follower",
            "calibration_dir": folder / "calibration",
            "witness": folder / "control",
            "cameras": so101.cameras.model_copy(update={"devices": devices}),
        }
    )
    contract = project.contract.model_copy(update={"control_hz": hz})
    return make_env(contract, project.arm.model_copy(update={"so101": own}), project.task, 0)


if __name__ == "__main__":
    main()
