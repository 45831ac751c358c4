"""Devices for LeRobot's own loop: its SO-101, which notes when it is called, and an operator who drives it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from lerobot.robots.so_follower import SO101Follower
from lerobot.teleoperators import Teleoperator
from lerobot.teleoperators.utils import TeleopEvents
from numpy.typing import NDArray

from bench.config_lerobot_devices import SteadyHandConfig, TimedArmConfig


class TimedArm(SO101Follower):  # type: ignore[misc]  # LeRobot has no types
    """LeRobot's driver, which notes when it is asked to observe and to act, and when it has."""

    config_class = TimedArmConfig
    name = "so_follower"

    def get_observation(self) -> Any:
        """As LeRobot's."""
        self._note("observe")
        observation = super().get_observation()
        self._note("observed")
        return observation

    def send_action(self, action: Any) -> Any:
        """As LeRobot's."""
        self._note("act")
        sent = super().send_action(action)
        self._note("acted")
        return sent

    def _note(self, what: str) -> None:
        self.config.journal.entries.append((what, time.perf_counter()))


class SteadyHand(Teleoperator):  # type: ignore[misc]  # LeRobot has no types
    """Instead of a leader arm, which would have to be moved: has the arm all the time, and sways it a little.

    LeRobot's loop asks its policy for an action at each tick whoever drives, and takes joint targets from a hand alone:
    an action of the policy needs inverse kinematics by `placo`, which LeRobot does not install by itself.
    """

    config_class = SteadyHandConfig
    name = "steady_hand"
    action_features: dict[str, type] = {}  # noqa: RUF012  # LeRobot's own way
    feedback_features: dict[str, type] = {}  # noqa: RUF012
    is_connected = is_calibrated = True

    def __init__(self, config: SteadyHandConfig) -> None:
        super().__init__(config)
        self.config = config

    def get_action(self) -> NDArray[np.float32]:
        """Joint targets (6,) [degrees; the gripper 0..100]."""
        sway = self.config.sway * np.sin(2 * np.pi * time.monotonic() / self.config.period_s)
        return np.array(self.config.pose, np.float32) + np.float32(sway)

    def get_teleop_events(self) -> dict[TeleopEvents, bool]:
        """The hand drives, and that is all."""
        return {event: event is TeleopEvents.IS_INTERVENTION for event in TeleopEvents}

    def connect(self, calibrate: bool = True) -> None:  # LeRobot's own signature
        """Nothing to connect."""

    def calibrate(self) -> None:
        """Nothing to calibrate."""

    def configure(self) -> None:
        """Nothing to configure."""

    def send_feedback(self, feedback: dict[str, float]) -> None:
        """Nobody feels it."""

    def disconnect(self) -> None:
        """Nothing to leave."""
