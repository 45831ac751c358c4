"""A recorded episode again, on an arm: the same actions from the same pose, and how far the tool came off its way."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from actor.clock import Deadlines
from console.arm import opened_arm
from console.errors import ConsoleError
from console.replay.reel import Reel, Replayed, describe
from console.settings import Settings
from console.stopping import stop_event
from policy.contract import Contract
from robot.arm import JOINT_NAMES
from robot.env import ArmEnv
from robot.safety.emergency import EmergencyStop
from robot.settings import ControllerSettings
from robot.sim import SimArm
from robot.task import CUBE_STATE, CubePose, Start

if TYPE_CHECKING:
    from console.replay.main import ReplayOptions

TOOL = ("tool.x", "tool.y", "tool.z")
MARGIN_M = 0.01  # so far out of the controller's box a start may lie: measured poses do

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Deviation:
    """How the tool's way differed from the recorded one.

    by_step_m: distance after each step that was executed [m]
    recorded_steps: how many there were
    success: None where nobody judges; recorded_success: how the episode had ended
    """

    episode: str
    by_step_m: list[float]
    max_m: float
    max_at_step: int
    rms_m: float
    recorded_steps: int
    success: bool | None
    recorded_success: bool

    def __str__(self) -> str:
        told = {None: "nobody judged it", True: "success", False: "no success"}
        return (
            f"{len(self.by_step_m)} of {self.recorded_steps} steps executed; the tool deviated by at most "
            f"{1000 * self.max_m:.1f} mm (after step {self.max_at_step}), RMS {1000 * self.rms_m:.1f} mm; "
            f"{told[self.success]}, recorded: {told[self.recorded_success]}"
        )


def replay_on_arm(options: ReplayOptions, reel: Reel, console: Console) -> int:
    """Execute an episode; 1 where a recorded success did not come again, or where somebody stopped it.

    Ctrl+C parks the arm, a second one lets go of it. A fault of the arm ends it, and leaves as an error.
    """
    settings = options.settings
    replayed = reel.look(reel.place_of(options.session, options.episode))
    require_same_motion(replayed, settings)
    console.print(f"{describe(replayed.outcome)}, on the arm {settings.arm.kind}", highlight=False, markup=False)
    if settings.arm.kind != "sim" and not options.yes:
        _confirm()
    emergency = EmergencyStop()
    stop = stop_event(on_second=lambda: emergency.press("a second Ctrl+C"))
    with opened_arm(settings, settings.seed, emergency) as env:
        deviation = execute(env, replayed, settings, console, stop)
    if deviation is None:
        console.print("stopped before the first step", highlight=False)
        return 1
    print(json.dumps(asdict(deviation)) if options.as_json else deviation)
    whole = len(deviation.by_step_m) == deviation.recorded_steps
    return 0 if whole and (deviation.success is not False or not deviation.recorded_success) else 1


def require_same_motion(replayed: Replayed, settings: Settings) -> None:
    """Raise `ConsoleError` where this arm would not do what was recorded, or may not begin where that began.

    Cameras may differ: nobody looks through them here.
    """
    recorded, ours = replayed.contract, settings.contract
    for kind in ("action", "proprioception", "control_hz"):
        if _meaning(recorded, kind) != _meaning(ours, kind):
            raise ConsoleError(
                f"{kind} of what was recorded: got {_meaning(recorded, kind)}, the settings have "
                f"{_meaning(ours, kind)}: the same numbers would be another motion; name a --preset that fits"
            )
    start = _values(replayed, 0, TOOL)
    controller: ControllerSettings = settings.arm.controller
    low, high = np.array(controller.box_low_m) - MARGIN_M, np.array(controller.box_high_m) + MARGIN_M
    if (start < low).any() or (start > high).any():
        raise ConsoleError(
            f"the recorded start, tool at {_metres(start)}: expected it in the controller's box, "
            f"{_metres(low)} to {_metres(high)}; nobody knows what stands outside of it, replay another episode"
        )


def execute(
    env: ArmEnv, replayed: Replayed, settings: Settings, console: Console, stop: threading.Event
) -> Deviation | None:
    """Move slowly to the recorded start, then act step by step at the recorded rate.

    None when stopped before the first step. Raise `ArmFault` when the arm cannot go on; it has reacted already.
    """
    deadlines = None if isinstance(env.arm, SimArm) else Deadlines(settings.contract.control_hz)
    cube = _cube(replayed, settings, console)
    joint_rad = _values(replayed, 0, tuple(f"joint.{name}" for name in JOINT_NAMES))
    _, info = env.reset(options={"start": Start(cube, _values(replayed, 0, TOOL)), "joint_rad": joint_rad})
    if deadlines is not None:
        deadlines.start()
    tool = [dimension.name for dimension in settings.contract.proprioception].index(TOOL[0])
    by_step_m: list[float] = []
    success = False
    for index, step in enumerate(replayed.steps):
        if stop.is_set():
            break
        env.act(step.action)
        if deadlines is not None:
            deadlines.wait()
        seen, _, _, _, info = env.observe()
        success = success or bool(info["success"])
        away_m = seen["proprioception"][tool : tool + 3] - _values(replayed, index + 1, TOOL)
        by_step_m.append(float(np.linalg.norm(away_m)))
    if not by_step_m:
        return None
    return Deviation(
        episode=describe(replayed.outcome),
        by_step_m=by_step_m,
        max_m=max(by_step_m),
        max_at_step=int(np.argmax(by_step_m)),
        rms_m=float(np.sqrt(np.mean(np.square(by_step_m)))),
        recorded_steps=len(replayed.steps),
        success=success if settings.task.judge == "simulator" else None,
        recorded_success=replayed.outcome.success,
    )


def _cube(replayed: Replayed, settings: Settings, console: Console) -> CubePose:
    """Where it lay; in the middle of its field where nobody has recorded that, and then it is said."""
    names = [dimension.name for dimension in replayed.contract.sim_only]
    if set(CUBE_STATE[:4]) <= set(names):
        seen = replayed.seen(0).sim_only
        x_m, y_m, yaw_rad = (float(seen[names.index(f"cube.{what}")]) for what in ("x", "y", "yaw"))
        return CubePose(x_m, y_m, yaw_rad)
    field = settings.task
    console.print("nobody recorded where the cube lay: lay it there by hand, or watch the motion alone", style="yellow")
    return CubePose(sum(field.field_x_m) / 2, sum(field.field_y_m) / 2, 0.0)


def _values(replayed: Replayed, place: int, names: tuple[str, ...]) -> Vector:
    """Of the proprioception at a step, by name."""
    dimensions = [dimension.name for dimension in replayed.contract.proprioception]
    seen = replayed.seen(place).proprioception
    return np.array([seen[dimensions.index(name)] for name in names], np.float64)


def _meaning(contract: Contract, kind: str) -> str:
    """What the numbers of actions or proprioception say; the ranges to which they are normalised are no part of it."""
    if kind == "control_hz":
        return f"{contract.control_hz:g}"
    if kind == "action":
        return ", ".join(f"{dim.name} [{dim.scale:g} {dim.unit}]" for dim in contract.action)
    return ", ".join(f"{dim.name} [{dim.unit}]" for dim in contract.proprioception)


def _confirm() -> None:
    """Ask a person, if there is one; raise `ConsoleError` where nobody says yes."""
    if not sys.stdin.isatty():
        raise ConsoleError("a real arm would move, and nobody is here to be asked; add --yes to let it")
    answer = input("The arm will rise, travel to the recorded start, and act. Is its desk clear? Type yes: ")
    if answer.strip().lower() != "yes":
        raise ConsoleError(f"got {answer.strip()[:20]!r}, expected yes; nothing has moved")


def _metres(point: Vector) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in point) + ") m"
