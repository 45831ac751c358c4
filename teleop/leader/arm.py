"""The leader arm as a device of the operator: how its joints become actions, tick by tick."""

from __future__ import annotations

import math
import time
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from robot.arm import JOINT_NAMES
from robot.errors import ArmError
from robot.kinematics import Kinematics
from robot.settings import ControllerSettings
from robot.so101.port import stable_ports
from teleop.device import HandReading
from teleop.errors import TeleopError
from teleop.events import EventLatch
from teleop.leader.clutch import Clutch
from teleop.leader.keeper import LeaderKeeper
from teleop.leader.posture import Order
from teleop.leader.servos import LeaderServos
from teleop.leader.settings import LeaderSettings
from teleop.takeover import Control, OperatorView

Vector = NDArray[np.float64]


class LeaderArm:
    """A SO-101 leader that mirrors the follower until a hand takes hold of it; see `teleop.device.TeleopDevice`.

    While the policy acts it is stiff, with little torque. A hand that deflects it takes over, and it is limp then; the
    follower's tool goes where the hand brings the leader's, from where both are at that time.
    """

    def __init__(
        self, settings: LeaderSettings, contract: Contract, controller: ControllerSettings, latch: EventLatch
    ) -> None:
        self._settings, self._latch = settings, latch
        names = [dimension.name for dimension in contract.proprioception]
        self._joints = [names.index(f"joint.{name}") for name in JOINT_NAMES]
        self._tool = [*(names.index(f"tool.{axis}") for axis in "xyz"), names.index("joint.gripper")]
        self._lead = [names.index(f"lead.{axis}") for axis in (*"xyz", "gripper")]
        self._kinematics = Kinematics(controller)
        self._clutch = Clutch(settings, controller, contract.action_scale)
        self._still = np.zeros(len(contract.action), np.float32)
        self._control = Control.POLICY
        self._keeper: LeaderKeeper | None = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "leader arm"

    def __enter__(self) -> Self:
        """Find the leader, look at its calibration, and leave it limp until `follow` says how the follower stands."""
        if self._settings.port is None:
            there = ", ".join(map(str, stable_ports())) or "none below /dev/serial/by-id: is the arm plugged in?"
            raise TeleopError(f"{self.name}: no port is set; give teleop.leader.port. There: {there}")
        try:
            servos = LeaderServos(self._settings)
            servos.open()
            keeper = LeaderKeeper(servos, self._settings, self._latch)
            keeper.start()
        except ArmError as error:
            raise TeleopError(f"{self.name}: {error}") from error
        self._keeper = keeper
        return self

    def __exit__(self, *exc: object) -> None:
        """Leave it without torque."""
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None

    def read(self, view: OperatorView) -> HandReading:
        """The hand's way since it drives that the follower's target has not gone yet."""
        seen = None if self._keeper is None else self._keeper.seen
        if seen is None:
            return HandReading(self._still, ready=False, settled=False, age_s=math.inf)
        hand = np.append(self._kinematics.tool_pose(seen.joint_rad).position_m, seen.joint_rad[-1])  # (4,)
        target = (view.proprioception[self._tool] + view.proprioception[self._lead]).astype(np.float64)  # (4,)
        if self._control is Control.HUMAN:
            action = self._clutch.action(hand, target)
        else:
            self._clutch.engage(hand, target)
            action = self._still
        return HandReading(action, seen.limp, seen.settled, max(0.0, time.monotonic() - seen.at_s))

    def follow(self, control: Control, view: OperatorView) -> None:
        """Mirror the follower, or be limp in a hand."""
        self._control = control
        if self._keeper is not None:
            follower_rad = view.proprioception[self._joints].astype(np.float64)
            self._keeper.order = Order(control, follower_rad, time.monotonic())
