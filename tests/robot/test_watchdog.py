"""The actor dies in every way there is: the arm comes home, and no torque stays on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import waiting
from robot.arm import JOINT_NAMES
from robot.errors import BusLost
from robot.motions import REST_RAD, SAFE_RAD, MotionSettings, travel
from robot.safety.settings import WatchdogSettings
from robot.so101 import torque
from robot.so101.bus import So101Bus
from robot.so101.calibration import Scale, calibration_path, load_calibration
from robot.so101.held import HeldJoints
from robot.so101.settings import So101Settings
from robot.virtual.commands import Plug, Silence, State
from robot.virtual.control import Remote
from robot.watchdog import Orders, bring_home

eventually = partial(waiting.eventually, within_s=60.0)

# An actor, as far as its arm goes: it stiffens the arm, raises it, and swings it until it is told to end.
ACTOR = """
import math, sys, time
from pathlib import Path
import numpy as np
from robot.motions import MotionSettings, SAFE_RAD, park, travel
from robot.so101 import torque
from robot.safety.settings import WatchdogSettings
from robot.so101.bus import So101Bus
from robot.so101.calibration import Scale, calibration_path, load_calibration
from robot.so101.settings import So101Settings
from robot.safety.settings import WatchdogSettings
from robot.watchdog import Watchdog

class Joints:
    def read_joints(self):
        return scale.radians(bus.fetch(["Present_Position"])["Present_Position"])
    def write_goals(self, joint_rad):
        bus.spread("Goal_Position", torque.by_joint(scale.ticks(joint_rad)))

arm = So101Settings.model_validate_json(sys.argv[1])
watch = WatchdogSettings.model_validate_json(sys.argv[2])
with Watchdog(watch, arm, MotionSettings(), Path(sys.argv[3])) as watchdog:
    bus, scale = So101Bus(arm), Scale.of(load_calibration(calibration_path(arm, "follower")))
    bus.open()
    torque.hold_here(bus, scale)
    travel(Joints(), [SAFE_RAD], MotionSettings())
    print("moving", flush=True)
    if sys.argv[4] == "park":
        park(Joints(), MotionSettings())
        torque.release(bus)
        watchdog.parked()
        sys.exit()
    begun_s = time.monotonic()
    while sys.argv[4] != "leave":
        swung = SAFE_RAD.copy()
        swung[0] = 0.5 * math.sin(2 * (time.monotonic() - begun_s))
        Joints().write_goals(swung)
        time.sleep(0.05)
time.sleep(600)
"""


def settings_of(virtual: Remote) -> So101Settings:
    return So101Settings(
        port=virtual.folder / "follower",
        calibration_dir=virtual.folder / "calibration",
        answer_timeout_s=0.1,  # on a busy machine the station may sleep
        tries=15,
    )


class Actor:
    """The actor above in a process of its own."""

    def __init__(self, virtual: Remote, log: Path, watch: WatchdogSettings, then: str = "swing") -> None:
        self.arm = settings_of(virtual)
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-c", ACTOR, self.arm.model_dump_json(), watch.model_dump_json(), str(log), then],
            stdout=subprocess.PIPE,
            text=True,
        )

    def until_it_moves(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "moving\n"

    def logged(self, text: str) -> bool:
        return self.log.exists() and text in self.log.read_text()


@pytest.fixture
def actors(virtual: Remote, tmp_path: Path) -> Iterator[Any]:
    made: list[Actor] = []

    def make(watch: WatchdogSettings | None = None, then: str = "swing") -> Actor:
        made.append(Actor(virtual, tmp_path / "watchdog.log", watch or WatchdogSettings(), then))
        return made[-1]

    yield make
    for actor in made:
        actor.process.kill()
        actor.process.wait()


def follower(virtual: Remote) -> dict[str, Any]:
    found: dict[str, Any] = virtual.tell(State())["arms"]["follower"]
    return found


def is_limp(virtual: Remote) -> bool:
    return not any(follower(virtual)["has_torque"].values())


def is_home(virtual: Remote) -> bool:
    joints = [follower(virtual)["joint_rad"][name] for name in JOINT_NAMES]
    return bool(np.abs(np.array(joints) - REST_RAD)[:5].max() < 0.1)


def test_an_arm_that_was_left_stiff_is_brought_home(virtual: Remote, tmp_path: Path) -> None:
    arm = settings_of(virtual)
    scale = Scale.of(load_calibration(calibration_path(arm, "follower")))
    bus = So101Bus(arm)
    with closing(bus):
        bus.open()
        torque.hold_here(bus, scale)
        travel(HeldJoints(bus, scale), [SAFE_RAD], MotionSettings())
        with pytest.raises(BusLost, match="another process has it"):  # the port is the actor's while it lives
            So101Bus(arm).open()
    motion = MotionSettings(fold_s=0.5, settle_s=0.0)
    watch = WatchdogSettings()
    bring_home(Orders(actor_pid=0, log=tmp_path / "log", settings=watch, arm=arm, motion=motion))
    assert is_limp(virtual)
    assert is_home(virtual)


@pytest.mark.slow
@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_actor_that_dies_in_the_middle_of_a_motion_leaves_an_arm_that_comes_home(
    virtual: Remote, actors: Any, deadly: signal.Signals
) -> None:
    actor = actors()
    actor.until_it_moves()
    actor.process.send_signal(deadly)
    actor.process.wait()
    assert not is_limp(virtual)  # it does not drop
    eventually(lambda: is_limp(virtual), "no torque")
    assert is_home(virtual)
    eventually(lambda: actor.logged("the arm has no torque"))


@pytest.mark.slow
def test_an_actor_that_has_parked_is_left_alone(virtual: Remote, actors: Any) -> None:
    actor = actors(then="park")
    assert actor.process.wait(60) == 0
    assert is_limp(virtual)
    assert is_home(virtual)
    assert not actor.logged("bringing the arm home")


@pytest.mark.slow
def test_an_actor_that_is_stopped_is_killed_before_its_arm_is_touched(virtual: Remote, actors: Any) -> None:
    actor = actors(WatchdogSettings(silent_s=1.0, beat_s=0.1))
    actor.until_it_moves()
    os.kill(actor.process.pid, signal.SIGSTOP)
    assert actor.process.wait(60) == -signal.SIGKILL
    eventually(lambda: is_limp(virtual), "no torque")
    assert is_home(virtual)
    assert actor.logged("has been silent for 1 s: killed")


@pytest.mark.slow
def test_an_actor_that_has_something_to_do_without_its_arm_is_waited_for(virtual: Remote, actors: Any) -> None:
    actor = actors(WatchdogSettings(silent_s=0.5, beat_s=0.1), then="leave")
    actor.until_it_moves()
    with pytest.raises(subprocess.TimeoutExpired):
        actor.process.wait(5.0)
    assert not is_limp(virtual)
    actor.process.kill()
    eventually(lambda: is_limp(virtual), "no torque")
    assert is_home(virtual)


@pytest.mark.slow
def test_a_bus_that_was_gone_is_let_go_when_it_is_back(virtual: Remote, actors: Any) -> None:
    actor = actors()
    actor.until_it_moves()
    virtual.tell(Plug(arm="follower", plugged_in=False))
    actor.process.kill()
    eventually(lambda: actor.logged("there is no such device"), "the watchdog sees it")
    assert not is_limp(virtual)
    virtual.tell(Plug(arm="follower", plugged_in=True))
    eventually(lambda: is_limp(virtual), "no torque")


@pytest.mark.slow
def test_a_bus_that_stays_away_is_given_up(virtual: Remote, actors: Any) -> None:
    actor = actors(WatchdogSettings(bus_return_s=0.3))
    actor.until_it_moves()
    virtual.tell(Plug(arm="follower", plugged_in=False))
    actor.process.kill()
    eventually(lambda: actor.logged("given up"))


@pytest.mark.slow
def test_one_silent_servo_does_not_keep_the_others_stiff(virtual: Remote, actors: Any) -> None:
    actor = actors(WatchdogSettings(bus_return_s=1.0))
    actor.until_it_moves()
    virtual.tell(Silence(arm="follower", joint="wrist_roll"))
    actor.process.kill()
    stiff = {name: name == "wrist_roll" for name in JOINT_NAMES}
    eventually(lambda: follower(virtual)["has_torque"] == stiff, json.dumps(stiff))
