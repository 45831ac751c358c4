"""A small process beside the actor that brings the arm home when the actor has died without having done so.

It learns of that by a pipe's end, whatever killed the actor. While the actor lives it does not touch the port; an actor
that has been silent for too long, since it was stopped, is killed first, so that it cannot wake up in the middle.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

from policy.contract import Frozen
from robot.errors import ArmError, ArmFault, BusLost
from robot.motions import MotionSettings, park
from robot.safety.settings import WatchdogSettings
from robot.so101 import torque
from robot.so101.bus import So101Bus
from robot.so101.calibration import Scale, calibration_path, load_calibration
from robot.so101.held import HeldJoints
from robot.so101.settings import So101Settings

log = logging.getLogger("robot.watchdog")

LOOK_EVERY_S = 0.1
BEAT, PARKED = b".\n", b"parked\n"
# Nobody waits for a tick here: a servo is asked for a second before it counts as silent, and the arm is dropped.
PATIENT = {"answer_timeout_s": 0.05, "tries": 20}
# Who was not asked for so long was asleep too, and has heard nothing because of that.
OWN_GAP_S = 1.0


class Orders(Frozen):
    """What the watchdog is told at its start, as one line of JSON."""

    actor_pid: int
    log: Path
    settings: WatchdogSettings
    arm: So101Settings
    motion: MotionSettings


class Watchdog:
    """The actor's end: from its start to `parked`, the arm comes home whatever becomes of this process."""

    def __init__(self, settings: WatchdogSettings, arm: So101Settings, motion: MotionSettings, log_path: Path) -> None:
        orders = Orders(actor_pid=os.getpid(), log=log_path.absolute(), settings=settings, arm=arm, motion=motion)
        self._beat_s = settings.beat_s
        self._process = subprocess.Popen(
            [sys.executable, "-m", "robot.watchdog"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl+C, and the end of a terminal, are the actor's business
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._say(orders.model_dump_json().encode() + b"\n")
        threading.Thread(target=self._beat, name="watchdog's heart", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with self._lock:
            self._pipe.close()

    @property
    def alive(self) -> bool:
        """Whether it still watches."""
        return self._process.poll() is None

    def parked(self) -> None:
        """The arm has no torque: there is nothing to watch."""
        self._say(PARKED)  # should this process die with the next line
        self.__exit__()
        self._process.kill()
        self._process.wait()

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s) and self._say(BEAT):
            pass

    def _say(self, line: bytes) -> bool:
        """Whether it was heard."""
        with self._lock:
            if self._pipe.closed:
                return False
            try:
                self._pipe.write(line)
            except BrokenPipeError:
                log.warning("watchdog: it has died; should this process die too, the arm stays stiff")
                return False
        return True


def main() -> None:
    """The watchdog's end: watch, and bring the arm home if need be."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # a service manager means the actor; this one ends after it
    # An actor may go before all others on its machine; this one has seconds of loading to do, and time.
    os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
    orders = Orders.model_validate_json(sys.stdin.buffer.readline())
    logging.basicConfig(filename=orders.log, level=logging.INFO, format="%(asctime)s %(message)s")
    import lerobot.motors.feetech  # noqa: F401  # seconds that the arm would have to wait later

    if _watch(orders):
        bring_home(orders)


def _watch(orders: Orders) -> bool:
    """Wait until the actor has parked (false), or has gone without it (true)."""
    settings, pipe = orders.settings, sys.stdin.fileno()
    heard_s = looked_s = time.monotonic()
    heard, open_ = b"", True
    while os.getppid() == orders.actor_pid:
        if open_ and select.select([pipe], [], [], LOOK_EVERY_S)[0]:
            said = os.read(pipe, 4096)
            heard, open_, heard_s = (heard + said)[-len(PARKED) :], bool(said), time.monotonic()
            if heard == PARKED:
                return False
        elif not open_:
            time.sleep(LOOK_EVERY_S)
        now_s = time.monotonic()
        heard_s += now_s - looked_s if now_s - looked_s > OWN_GAP_S else 0.0
        looked_s = now_s
        # One that has closed the pipe and lives on has left in order, and is waited for.
        if open_ and now_s - heard_s > settings.silent_s:
            log.error("the actor (pid %d) has been silent for %.0f s: killed", orders.actor_pid, settings.silent_s)
            os.kill(orders.actor_pid, signal.SIGKILL)
            return _has_gone(orders)
    return not _last_words(pipe, heard).endswith(PARKED)


def _last_words(pipe: int, heard: bytes) -> bytes:
    """What the pipe still has of an actor that is gone."""
    while select.select([pipe], [], [], 0)[0] and (said := os.read(pipe, 4096)):
        heard += said
    return heard


def _has_gone(orders: Orders) -> bool:
    deadline_s = time.monotonic() + orders.settings.exit_s
    while os.getppid() == orders.actor_pid:
        if time.monotonic() > deadline_s:
            log.error("the actor does not end; its arm stays as it is: switch the power of the servos off")
            return False
        time.sleep(LOOK_EVERY_S / 10)
    return True


def bring_home(orders: Orders) -> None:
    """Park and let go; where the bus is gone, as soon as it is back."""
    log.info("the actor is gone and has not parked: bringing the arm home")
    begun_s = time.monotonic()
    try:
        scale = Scale.of(load_calibration(calibration_path(orders.arm, "follower")))
    except ArmError:
        log.exception("the arm cannot be parked, and is let go")
        scale = None
    fault: ArmFault | None = None
    while fault is None or time.monotonic() - begun_s < orders.settings.bus_return_s:
        bus = So101Bus(orders.arm.model_copy(update=PATIENT))
        try:
            bus.open(complete=False)
            _park_and_release(bus, scale, orders.motion)
            log.info("the arm has no torque, %.1f s after the actor was missed", time.monotonic() - begun_s)
            return
        except ArmFault as again:
            if str(again) != str(fault):
                log.error("%s", again)  # noqa: TRY400  # once a cause, without a stack
            fault = again
            time.sleep(LOOK_EVERY_S)
        finally:
            bus.close()
    log.error("given up: the arm may be stiff; support it, and switch the power of its servos off")


def _park_and_release(bus: So101Bus, scale: Scale | None, motion: MotionSettings) -> None:
    try:
        if scale is not None and (joints := HeldJoints(bus, scale)).any:
            park(joints, motion)
    except BusLost:
        raise
    except ArmFault as fault:
        log.error("the arm cannot be parked, and is let go: %s", fault)  # noqa: TRY400  # an expected cause
    torque.release(bus)


if __name__ == "__main__":
    main()
