"""How soon and how smoothly a person takes over, and whether the arm does what the hand says, by device.

    python bench/takeover.py [--json] [--devices leader gamepad keyboard] [--takeovers 10]

Each device through its real library, on the arm of a virtual station with LeRobot's driver. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room. Terminals and pads that
# are moved by a program are those of the tests.
_ROOT = Path(__file__).resolve().parents[1]
_OTHERS = [entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench")]
sys.path[:] = [str(_ROOT), *_OTHERS, str(_ROOT / "tests" / "support")]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import numpy as np  # noqa: E402 - the path comes first
import tyro  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from actor.clock import Deadlines  # noqa: E402
from bench import control_nudge  # noqa: E402
from bench.takeover_hands import GamepadHand, Hand, KeyboardHand, LeaderHand  # noqa: E402
from console.arm import opened_arm  # noqa: E402
from console.settings import Settings as ProjectSettings  # noqa: E402
from policy.contract import Contract  # noqa: E402
from robot.env import ArmEnv  # noqa: E402
from robot.safety.emergency import EmergencyStop  # noqa: E402
from robot.virtual.control import Remote  # noqa: E402
from robot.virtual.station import CONTROL_SOCKET  # noqa: E402
from teleop.agreement import agreement  # noqa: E402
from teleop.events import EventLatch, TeleopEvent  # noqa: E402
from teleop.person import PersonAtDevice  # noqa: E402
from teleop.settings import TeleopSettings  # noqa: E402
from teleop.takeover import Control, OperatorView  # noqa: E402

Device = Literal["leader", "gamepad", "keyboard"]
TAKING = (TeleopEvent.TAKE_OVER, TeleopEvent.TOGGLE)
MOVE_S, REST_S = 0.8, 0.4
HELD_S = 0.9  # a terminal takes the same key within 0.7 s for a repeat


@dataclass(frozen=True)
class Settings:
    """Takeovers of an arm that stands still, and then one in which each axis is moved both ways."""

    devices: tuple[Device, ...] = ("leader", "gamepad", "keyboard")
    """Which."""
    takeovers: int = 10
    """How many of each, at random moments within a tick."""
    json: bool = False
    """Print one JSON object as the last line."""


@dataclass(frozen=True)
class Tick:
    """One tick of the loop.

    polled_s: when the operator was asked; sent_s: when the goals were written [s, monotonic]
    action: as executed (4,); before, after: proprioception (P,); commanded_rad: goals (6,)
    """

    polled_s: float
    sent_s: float
    control: Control
    action: NDArray[np.float32]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    commanded_rad: NDArray[np.float64]


class TimedLatch(EventLatch):
    """Remembers when each press came."""

    def __init__(self) -> None:
        super().__init__(EmergencyStop().press)
        self.pressed: list[tuple[float, TeleopEvent]] = []

    def press(self, event: TeleopEvent, by: str) -> None:
        """Latch an event, and note the time."""
        self.pressed.append((time.monotonic(), event))
        super().press(event, by)


def measure(device: Device, settings: Settings, project: ProjectSettings, remote: Remote) -> dict[str, Any]:
    """All figures of one device."""
    hand = _hand(device, project, remote)
    latch = TimedLatch()
    with (
        hand.device(project.contract, latch) as opened,
        opened_arm(project, project.seed, EmergencyStop()) as env,
        ThreadPoolExecutor(1) as thread,
    ):
        person = PersonAtDevice(opened, latch, TeleopSettings(device=device))
        person.begin_episode(demonstrating=False)
        ticks = _drive(env, person, project.contract, lambda: thread.submit(_conduct, hand, settings.takeovers))
    return figures(ticks, latch.pressed, project.contract)


def _hand(device: Device, project: ProjectSettings, remote: Remote) -> Hand:
    if device == "leader":
        return LeaderHand(remote, project.arm)
    return GamepadHand() if device == "gamepad" else KeyboardHand()


def _conduct(hand: Hand, takeovers: int) -> None:
    """What the person does: brief takeovers at any moment, then one in which everything is moved."""
    moments = random.Random(0)
    for _ in range(takeovers):
        hand.wait_until_free()
        time.sleep(REST_S + moments.random() * 0.1)
        hand.take_over()
        time.sleep(HELD_S)
        hand.release()
        time.sleep(HELD_S)
    hand.wait_until_free()
    hand.take_over()
    time.sleep(REST_S)
    for axis in range(4):
        for sign in (1, -1) if axis < 3 else (-1, 1):  # the jaw stands open
            hand.move(axis, sign, MOVE_S)
            time.sleep(REST_S)
    hand.release()
    time.sleep(REST_S)


def _drive(env: ArmEnv, person: PersonAtDevice, contract: Contract, conduct: Callable[[], Future[None]]) -> list[Tick]:
    """The loop of the actor without a policy: who does not drive by hand, stands still."""
    seen, info = env.reset()
    deadlines, ticks = Deadlines(contract.control_hz), list[Tick]()
    deadlines.start()
    conducted = conduct()
    while not conducted.done():
        polled_s = time.monotonic()
        decision = person.poll(OperatorView(seen["proprioception"], info["sim_only"]))
        env.act(np.zeros(4, np.float32) if decision.action is None else decision.action)
        sent_s = time.monotonic()
        deadlines.wait()
        before = seen["proprioception"]
        seen, _, _, _, info = env.observe()
        ticks.append(
            Tick(
                polled_s,
                sent_s,
                decision.control,
                info["executed"],
                before,
                seen["proprioception"],
                env.commanded_rad.copy(),
            )
        )
    conducted.result()
    return ticks


def figures(ticks: list[Tick], pressed: list[tuple[float, TeleopEvent]], contract: Contract) -> dict[str, Any]:
    """latency_ticks: from the press to the first command by hand, that one counted; the worst of all takeovers."""
    human = [tick.control is Control.HUMAN for tick in ticks]
    begins = [index for index in range(1, len(ticks)) if human[index] and not human[index - 1]]
    ends = [index for index in range(1, len(ticks)) if human[index - 1] and not human[index]]
    taken_s = [at_s for at_s, event in pressed if event in TAKING]
    latency_ticks, latency_ms = [], []
    for begin in begins:
        press_s = max(at_s for at_s in taken_s if at_s <= ticks[begin].polled_s)
        latency_ticks.append(sum(press_s <= tick.polled_s for tick in ticks[: begin + 1]))
        latency_ms.append(1e3 * (ticks[begin].sent_s - press_s))
    steps_deg = [
        float(np.degrees(np.abs(ticks[index].commanded_rad - ticks[index - 1].commanded_rad).max()))
        for index in (*begins, *ends)
    ]
    longest = max(zip(begins, ends, strict=True), key=lambda it: it[1] - it[0])
    trace = ticks[longest[0] : longest[1]]
    proprioception = np.array([*(tick.before for tick in trace), trace[-1].after])
    axes = agreement(contract, np.array([tick.action for tick in trace]), proprioception)
    return {
        "takeovers": len(begins),
        "latency_ticks": max(latency_ticks),
        "latency_ms": {"p50": round(float(np.median(latency_ms)), 1), "max": round(max(latency_ms), 1)},
        "max_joint_step_deg": round(max(steps_deg), 3),
        "action_motion_correlation": round(min(axis.correlation for axis in axes), 4),
        "correlation": {axis.name: round(axis.correlation, 4) for axis in axes},
        "rms": {axis.name: round(axis.rms, 6) for axis in axes},
    }


def main() -> None:
    """Measure each device, and print."""
    settings = tyro.cli(Settings, description=__doc__)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as name:
        folder = Path(name)
        station = folder / "station"
        with control_nudge.station(station) as cameras, Remote(station / CONTROL_SOCKET) as remote:
            project = control_nudge.make_settings(folder, station, cameras, 10.0, 1000.0)
            for device in settings.devices:
                found[device] = measure(device, settings, project, remote)
    _show(found)
    if settings.json:
        print(json.dumps({"settings": dataclasses.asdict(settings), **found}))


def _show(found: dict[str, Any]) -> None:
    table = Table("device", "takeovers", "ticks to the hand", "ms (median, worst)", "largest step", "worst correlation")
    for device, of in found.items():
        ms = of["latency_ms"]
        table.add_row(
            device,
            f"{of['takeovers']}",
            f"{of['latency_ticks']}",
            f"{ms['p50']}, {ms['max']}",
            f"{of['max_joint_step_deg']}°",
            f"{of['action_motion_correlation']}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
