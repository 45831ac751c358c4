"""Hands for `takeover.py`: each moves a device as a person would, through the device's own wire."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from bench.leader_scene import Scene
from policy.contract import Contract
from robot.arm import JOINT_NAMES
from robot.kinematics import Kinematics
from robot.settings import ArmSettings
from robot.virtual.commands import FollowPath, MoveHand, ReleaseHand, State
from robot.virtual.control import Remote
from teleop.device import TeleopDevice
from teleop.events import EventLatch, TeleopEvent
from teleop.gamepad.device import Gamepad
from teleop.gamepad.settings import GamepadSettings
from teleop.keyboard.device import Keyboard
from teleop.keyboard.settings import KeyboardSettings
from teleop.leader.arm import LeaderArm
from teleop.leader.settings import LeaderSettings
from terminals import Window
from virtual_pad import VirtualPad

PULL_RAD, PULL_RAD_S = 0.4, 3.0
REPEAT_S = 1 / 30  # a keyboard repeats a key that is held as often
SPEED_M_S, SPEED_RAD_S = 0.06, 0.8  # of a hand on the leader
# What a terminal sends for keys that type no character.
TYPED = {"space": b" ", "up": b"\x1b[A", "down": b"\x1b[B", "right": b"\x1b[C", "left": b"\x1b[D"}
ROLL, GRIPPER = JOINT_NAMES.index("wrist_roll"), JOINT_NAMES.index("gripper")


class Hand(Protocol):
    """A person's hand on one device. It waits where a person would; calls come from a thread of their own."""

    def device(self, contract: Contract, latch: EventLatch) -> AbstractContextManager[TeleopDevice]:
        """The device, opened."""
        ...

    def wait_until_free(self) -> None:
        """Until the device can be taken."""
        ...

    def take_over(self) -> None:
        """Do what takes over."""
        ...

    def move(self, axis: int, sign: int, seconds: float) -> None:
        """Move one axis of the action one way for so long, then rest."""
        ...

    def release(self) -> None:
        """Do what gives the arm back."""
        ...


class KeyboardHand:
    """Types into the terminal, as a keyboard without a screen does: characters, repeated while a key is held."""

    def __init__(self) -> None:
        self._settings = KeyboardSettings(source="terminal")
        keys = self._settings.keys
        tool = ((keys.forward, keys.back), (keys.left, keys.right), (keys.higher, keys.lower))
        self._keys = (*tool, (keys.open, keys.close))
        self._window: Window | None = None

    @contextmanager
    def device(self, contract: Contract, latch: EventLatch) -> Iterator[TeleopDevice]:
        """Its terminal is standard input while this lasts."""
        with (
            Window() as self._window,
            self._window.as_file() as terminal,
            patch.object(sys, "stdin", terminal),
            Keyboard(self._settings, contract, latch, drives=True) as keyboard,
        ):
            yield keyboard

    def wait_until_free(self) -> None:
        """It always is."""

    def take_over(self) -> None:
        """One key."""
        self._type(self._settings.keys.toggle)

    def move(self, axis: int, sign: int, seconds: float) -> None:
        """Hold a key down."""
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            self._type(self._keys[axis][0 if sign > 0 else 1])
            time.sleep(REPEAT_S)

    def release(self) -> None:
        """The same key."""
        self._type(self._settings.keys.toggle)

    def _type(self, key: str) -> None:
        assert self._window is not None
        self._window.type(TYPED.get(key, key.encode()))


class GamepadHand:
    """Moves SDL's virtual joystick."""

    def __init__(self) -> None:
        self._pad = VirtualPad()

    @contextmanager
    def device(self, contract: Contract, latch: EventLatch) -> Iterator[TeleopDevice]:
        """Plugged in while this lasts."""
        settings = GamepadSettings(backend="sdl")
        with self._pad, Gamepad(settings, contract, latch) as gamepad:
            self._pad.move("lefttrigger", -1)
            self._pad.move("righttrigger", -1)
            yield gamepad

    def wait_until_free(self) -> None:
        """It always is."""

    def take_over(self) -> None:
        """Hold the shoulder button down."""
        self._pad.press("rightshoulder")

    def move(self, axis: int, sign: int, seconds: float) -> None:
        """Push a stick, or pull a trigger."""
        if axis < 3:
            name = ("lefty", "leftx", "righty")[axis]  # SDL has forward and left negative
            self._pad.move(name, -0.9 * sign)
            time.sleep(seconds)
            self._pad.move(name, 0)
            return
        trigger = "lefttrigger" if sign > 0 else "righttrigger"
        self._pad.move(trigger, 0.3)
        time.sleep(seconds)
        self._pad.move(trigger, -1)

    def release(self) -> None:
        """Let go of it."""
        self._pad.press("rightshoulder", down=False)


class LeaderHand:
    """A hand on the leader of a virtual station: it pulls, leads, and lets go."""

    def __init__(self, remote: Remote, arm: ArmSettings) -> None:
        self._remote, self._arm = remote, arm
        self._kinematics = Kinematics(arm.controller)
        self._hand_rad: NDArray[np.float64] = np.zeros(6)
        self._latch: EventLatch | None = None

    @contextmanager
    def device(self, contract: Contract, latch: EventLatch) -> Iterator[TeleopDevice]:
        """The leader of the station. It is let go of by a key, so that a rest is none."""
        self._latch = latch
        folder = self._remote.folder
        given = {"port": folder / "leader", "calibration_dir": folder / "calibration", "tries": 25}
        settings = LeaderSettings.model_validate(given | {"answer_timeout_s": 0.02, "release_after_s": 0.0})
        with LeaderArm(settings, contract, self._arm.controller, latch) as leader:
            yield leader

    def wait_until_free(self) -> None:
        """Until it mirrors the follower."""
        deadline_s = time.monotonic() + 20
        while not self._scene().mirrors:
            if time.monotonic() > deadline_s:
                raise SystemExit("leader: it does not come to mirror the follower; is the machine too busy?")
            time.sleep(0.05)
        time.sleep(0.3)  # the device has seen it, too

    def take_over(self) -> None:
        """Pull, until it gives way, and hold it there."""
        pulled = self._scene().leader_rad.copy()
        pulled[ROLL] += PULL_RAD
        self._hand_rad = pulled
        self._remote.tell(MoveHand.model_validate({"joint_rad": _named(pulled), "speed_rad_s": PULL_RAD_S}))

    def move(self, axis: int, sign: int, seconds: float) -> None:
        """Lead its tool along an axis, or its jaw."""
        after = self._hand_rad.copy()
        if axis < 3:
            position_m = self._kinematics.tool_pose(self._hand_rad).position_m.copy()
            position_m[axis] += sign * SPEED_M_S * seconds
            after = self._kinematics.solve(position_m, self._hand_rad)
        else:
            after[GRIPPER] += sign * SPEED_RAD_S * seconds
        points = ((0.0, _named(self._hand_rad)), (seconds, _named(after)))
        self._remote.tell(FollowPath.model_validate({"points": points}))
        self._hand_rad = after
        time.sleep(seconds)

    def release(self) -> None:
        """Let go, and press a key."""
        assert self._latch is not None
        self._remote.tell(ReleaseHand())
        self._latch.press(TeleopEvent.RELEASE, "key")

    def _scene(self) -> Scene:
        return Scene.of(self._remote.tell(State()), self._kinematics)


def _named(joint_rad: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(JOINT_NAMES, joint_rad.tolist(), strict=True))
