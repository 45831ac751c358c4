"""The thread that has the leader's bus: it mirrors, feels for a hand, and looks for a leader that is gone."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot.errors import ArmError
from teleop.events import EventLatch, TeleopEvent
from teleop.leader.grab import GrabDetector, Stillness
from teleop.leader.mirror import Mirror
from teleop.leader.posture import Order, Posture
from teleop.leader.servos import LeaderReading, LeaderServos
from teleop.leader.settings import LeaderSettings
from teleop.takeover import Control

REOPEN_S = 0.5  # between two attempts to find a leader that is gone
LONGEST_STEP_S = 0.1  # a thread that was left waiting walks no farther at once than in this time

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the thread saw last.

    joint_rad: (6,); limp: without torque, confirmed; settled: stiff beside the follower; at_s: when [monotonic s]
    """

    joint_rad: NDArray[np.float64]
    limp: bool
    settled: bool
    at_s: float


class LeaderKeeper:
    """Owns the bus from `start` to `stop`. Orders go in and what is seen comes out as one reference each: no lock.

    order: what the loop told last
    seen: None while the leader is gone
    """

    def __init__(self, servos: LeaderServos, settings: LeaderSettings, latch: EventLatch) -> None:
        self.order: Order | None = None
        self.seen: Seen | None = None
        self._servos, self._settings, self._latch = servos, settings, latch
        self._posture, self._detector = Posture(), GrabDetector(settings)
        self._mirror = Mirror(settings.mirror_rad_s, settings.lead_rad)
        self._stillness = Stillness(settings.still_rad)
        self._was_settled = False  # since the torque came on
        self._aimed_s = 0.0
        self._told = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"leader {settings.id}", daemon=True)

    def start(self) -> None:
        """Take over servos whose port is open. Raises `ArmFault` where they do not answer, the port closed then."""
        try:
            self._tend()
        except BaseException:
            self._servos.close()
            raise
        self._thread.start()

    def stop(self) -> None:
        """Leave the leader without torque, and its port closed."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._servos.is_open:
                    self._servos.open()
                self._serve()
            except ArmError as error:
                self._tell(f"{error}")
            finally:
                self.seen = None
                self._let_go()
            self._stopping.wait(REOPEN_S)

    def _serve(self) -> None:
        """Until the end, or until the leader does not answer: raises `ArmError`."""
        due_s = time.monotonic()
        self._stillness.begin()
        while not self._stopping.is_set():
            self._tend()
            self._tell("")
            # After a late turn the next one comes a whole period later: turns are not made up for.
            due_s = max(due_s + 1 / self._settings.rate_hz, time.monotonic())
            self._stopping.wait(due_s - time.monotonic())

    def _tend(self) -> None:
        """One turn."""
        servos, order = self._servos, self.order
        reading = servos.read()
        now_s = time.monotonic()
        grabbed = servos.stiff and self._is_grabbed(reading, now_s)
        if grabbed:
            servos.release()
            self._posture.grabbed(now_s)
        if order is None or not self._posture.is_stiff(order):
            if servos.stiff:
                servos.release()
        elif servos.stiff:
            self._go_on(order, reading, now_s)
        else:
            self._begin_to_mirror(reading, now_s)
        self._feel_for_rest(reading, now_s)
        settled = servos.stiff and order is not None and self._is_beside(order, reading)
        self._was_settled = servos.stiff and (self._was_settled or settled)
        self.seen = Seen(reading.joint_rad, not servos.stiff, settled, now_s)
        if grabbed:  # told last: whoever heeds it finds the leader limp
            self._latch.press(TeleopEvent.TAKE_OVER, f"{self._settings.id}: grabbed")

    def _is_grabbed(self, reading: LeaderReading, now_s: float) -> bool:
        """By a hand; not on the way back to the follower, where the leader itself pulls at a hand."""
        hand = self._detector.sees_a_hand(reading.joint_rad, reading.load, now_s)
        return hand and self._was_settled

    def _begin_to_mirror(self, reading: LeaderReading, now_s: float) -> None:
        self._servos.stiffen()
        self._mirror.begin(reading.joint_rad)
        self._detector.begin()
        self._detector.aim(reading.joint_rad, now_s)
        self._aimed_s = now_s

    def _go_on(self, order: Order, reading: LeaderReading, now_s: float) -> None:
        elapsed_s = min(now_s - self._aimed_s, LONGEST_STEP_S)
        goal_rad = self._mirror.step(order.follower_rad, reading.joint_rad, elapsed_s)
        self._detector.aim(self._servos.aim(goal_rad), now_s)
        self._aimed_s = now_s

    def _is_beside(self, order: Order, reading: LeaderReading) -> bool:
        return float(np.abs(order.follower_rad - reading.joint_rad).max()) <= self._settings.settled_rad

    def _feel_for_rest(self, reading: LeaderReading, now_s: float) -> None:
        """A hand that drives and keeps still has finished."""
        order = self.order
        if order is None or order.control is not Control.HUMAN or not self._settings.release_after_s:
            self._stillness.begin()
        elif self._stillness.seconds(reading.joint_rad, now_s) >= self._settings.release_after_s:
            self._latch.press(TeleopEvent.REST, f"{self._settings.id}: held still")
            self._stillness.begin()

    def _let_go(self) -> None:
        """Whatever happened: no torque, as far as it can be told, and the port free."""
        try:
            if self._servos.is_open:
                self._servos.release()
        except ArmError as error:
            _log.error("%s: it could not be let go, and may be stiff: %s", self._settings.id, error)
        finally:
            self._servos.stiff = False
            self._close()

    def _close(self) -> None:
        try:
            self._servos.close()
        except ArmError as error:  # a port that is gone is free, too
            _log.debug("%s: %s", self._settings.id, error)

    def _tell(self, why: str) -> None:
        """Say once why the leader is away, and once that it is back."""
        if why and why != self._told:
            _log.warning("%s: it is away and looked for until it is back: %s", self._settings.id, why)
        elif self._told and not why:
            _log.info("%s: it is back", self._settings.id)
        self._told = why
