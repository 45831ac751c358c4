"""How a leader arm feels, in figures: the age of what the loop reads, how soon it yields to a hand and is back again.

    python bench/leader_feel.py [--json] [--grabs 20]

A `nudge virtual` of its own; the follower stands still at a start.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import numpy as np  # noqa: E402 - the path comes first
import tyro  # noqa: E402

from console.stopping import Child  # noqa: E402
from robot.kinematics import Kinematics  # noqa: E402
from robot.settings import ControllerSettings  # noqa: E402
from robot.sim import sim_contract  # noqa: E402
from robot.virtual.commands import MoveHand, ReleaseHand, State  # noqa: E402
from robot.virtual.control import Remote  # noqa: E402
from robot.virtual.station import CONTROL_SOCKET  # noqa: E402
from teleop.events import EventLatch  # noqa: E402
from teleop.leader.arm import LeaderArm  # noqa: E402
from teleop.leader.settings import LeaderSettings  # noqa: E402
from teleop.takeover import Control, OperatorView  # noqa: E402

LONGEST_S = 20.0
PULL_RAD, PULL_RAD_S = 0.5, 3.0


@dataclass(frozen=True)
class Settings:
    """A leader that mirrors a start, is grabbed and given back."""

    grabs: int = 20
    """How often."""
    json: bool = False
    """Print one JSON object as the last line."""


@dataclass(frozen=True)
class Figures:
    """Median and worst of each.

    age_s: of the joints, whenever the loop asks
    limp_s: from the first motion of a hand that pulls at 3 rad/s until no motor has torque; 0.05 s of it until 0.15 rad
    back_s: from the release, 0.5 rad off, until it mirrors again, at 1.5 rad/s
    processor: share of a core that the whole process took while it mirrored
    """

    age_s: tuple[float, float]
    limp_s: tuple[float, float]
    back_s: tuple[float, float]
    processor: float


def measure(settings: Settings) -> Figures:
    """Start a station, and do all of it."""
    with _leader() as (remote, leader, view):
        _follow_until(leader, view, Control.POLICY, lambda: leader.read(view).settled)
        begun_s, used_s, ages_s = time.monotonic(), time.process_time(), []
        while time.monotonic() - begun_s < 5:
            ages_s.append(leader.read(view).age_s)
            leader.follow(Control.POLICY, view)
            time.sleep(0.1)
        processor = (time.process_time() - used_s) / (time.monotonic() - begun_s)
        limp_s, back_s = [], []
        for _ in range(settings.grabs):
            pulled_s = time.monotonic()
            remote.tell(MoveHand(joint_rad={"wrist_roll": PULL_RAD}, speed_rad_s=PULL_RAD_S))
            _wait_for(lambda: not any(remote.tell(State())["arms"]["leader"]["has_torque"].values()))
            limp_s.append(time.monotonic() - pulled_s)
            leader.follow(Control.HUMAN, view)
            time.sleep(0.2)
            remote.tell(ReleaseHand())
            released_s = time.monotonic()
            _follow_until(leader, view, Control.RELEASING, lambda: leader.read(view).settled)
            back_s.append(time.monotonic() - released_s)
            leader.follow(Control.POLICY, view)
            time.sleep(0.3)
    return Figures(_summary(ages_s), _summary(limp_s), _summary(back_s), processor)


@contextmanager
def _leader() -> Iterator[tuple[Remote, LeaderArm, OperatorView]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = ["virtual", "--folder", name, "--cameras", "False"]
        with (
            Child("virtual arm", arguments, folder / "log"),
            Remote.when_ready(folder / CONTROL_SOCKET, within_s=60) as remote,
        ):
            given = {"port": folder / "leader", "calibration_dir": folder / "calibration", "tries": 50}
            settings, controller = LeaderSettings.model_validate(given), ControllerSettings()
            with LeaderArm(settings, sim_contract(), controller, EventLatch(print)) as leader:
                yield remote, leader, _start(Kinematics(controller))


def _start(kinematics: Kinematics) -> OperatorView:
    """The follower at a start."""
    seed = np.array([0.0, 0.0, 0.0, 1.4, 0.0, 0.6])
    position_m = np.array([0.25, 0.0, 0.10])
    seen = np.concatenate([kinematics.solve(position_m, seed), position_m, np.zeros(4)])
    return OperatorView(seen.astype(np.float32), np.zeros(0, np.float32))


def _follow_until(leader: LeaderArm, view: OperatorView, control: Control, holds: Callable[[], bool]) -> None:
    leader.follow(control, view)
    _wait_for(holds)


def _wait_for(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LONGEST_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise SystemExit(f"leader: waited {LONGEST_S:g} s for it; is the machine too busy?")
        time.sleep(0.002)


def _summary(values: list[float]) -> tuple[float, float]:
    return float(np.median(values)), max(values)


def main() -> None:
    """Measure, and print."""
    settings = tyro.cli(Settings, description=__doc__)
    figures = measure(settings)
    for name, value in asdict(figures).items():
        told = (
            f"{value:.1%}" if isinstance(value, float) else " median, ".join(f"{it:.3f} s" for it in value) + " worst"
        )
        print(f"{name:10} {told}")
    if settings.json:
        print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
