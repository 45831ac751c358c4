"""The real arm: six servos, its cameras, and a safe way to a start pose, to rest and back from a fault."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from policy.contract import Camera
from robot.arm import JOINT_NAMES, ArmReading, ServoReading
from robot.cameras import CameraSet
from robot.errors import ArmError, ArmFault, BusLost, InvalidTarget, SafetyStop, ServoSilent, ServoTripped
from robot.kinematics import Kinematics
from robot.motions import MotionSettings, never, park, reset_path, travel
from robot.so101 import torque
from robot.so101.bus import So101Bus, Ticks
from robot.so101.calibration import Scale, calibration_path, load_calibration
from robot.so101.held import HeldJoints
from robot.so101.lint import lint_file, lint_servos, require_sound_calibration
from robot.so101.registers import LOAD_UNIT, STATE, VOLTAGE_UNIT_V
from robot.so101.settings import So101Settings
from robot.task import CubePose
from robot.virtual.witness import Witness

_log = logging.getLogger(__name__)
Vector = NDArray[np.float64]
STALL_S = 3.0  # an old servo stalls the bus for up to two seconds
PARKINGS = 3  # of one arm, between stalls
NOTHING_KNOWN = np.zeros(0, np.float32)


class So101Arm:
    """A SO-101 that stands stiff where it was found. All calls from one thread.

    Constructing it opens port and cameras and waits for their first frames. Raises `ArmError` for settings, servos or a
    calibration that do not fit, `ArmFault` for what a person at the arm can mend.

    cameras: those of the contract
    stop: ends a motion on its way, such as the emergency stop
    lost_goals: joint -> how often a goal did not arrive; the next one replaces it
    """

    def __init__(
        self,
        settings: So101Settings,
        cameras: tuple[Camera, ...],
        kinematics: Kinematics,
        motion: MotionSettings,
        stop: Callable[[], bool] = never,
    ) -> None:
        self._settings, self._kinematics, self._motion, self._stop = settings, kinematics, motion, stop
        self._calibration_path = calibration_path(settings, "follower")
        self._joints = load_calibration(self._calibration_path)
        found = lint_file(settings.id, self._joints, settings.span_tolerance)
        require_sound_calibration(self._calibration_path, found)
        self._scale = Scale.of(self._joints)
        self._goal_ticks: Ticks | None = None
        self._released = self._closed = False
        self.lost_goals: Counter[str] = Counter()
        self.bus = So101Bus(settings)
        with ExitStack() as stack:
            stack.callback(self.bus.close)
            self.bus.open()
            self._witness = None if settings.witness is None else Witness(settings.witness)
            if self._witness is not None:
                stack.callback(self._witness.close)
            self._cameras = stack.enter_context(CameraSet(settings.cameras, cameras))
            self._stiffen()
            self._devices = stack.pop_all()

    # --- the arm ----------------------------------------------------------------------------------------------------

    def read(self) -> ArmReading:
        """Joints, what the servos say of themselves, and the latest frames. Never waits for a camera."""
        state = self._state()
        frames = self._cameras.latest()
        return ArmReading(
            self._scale.radians(state["Present_Position"]),
            {name: frame.pixels for name, frame in frames.items()},
            NOTHING_KNOWN if self._witness is None else self._witness.cube_state(),
            {name: frame.age_s for name, frame in frames.items()},
            self._servos(state),
        )

    def command(self, joint_target_rad: Vector) -> None:
        """Send joint targets (6,) [rad]; returns at once."""
        self.write_goals(joint_target_rad)

    def reset(self, joint_target_rad: Vector) -> None:
        """Travel to a start pose (6,) [rad]; raises `ArmFault` when it does not get there."""
        waypoints = reset_path(self.read_joints(), joint_target_rad, self._kinematics, self._motion)
        error_m = travel(self, waypoints, self._motion, self._stop).tool_error_m(self._kinematics)
        if error_m > self._settings.reset_tolerance_m:
            raise SafetyStop(
                f"{self._settings.id}: after the reset the tool is {1000 * error_m:.1f} mm from its start, expected at "
                f"most {1000 * self._settings.reset_tolerance_m:.1f} mm; see what the arm touches, and check its "
                f"calibration with `nudge calibrate --check`"
            )

    def recover(self) -> None:
        """Stiffen the arm where it is, once port and servos are back and sound; a sound arm is left as it is."""
        self._require_open()
        try:
            state = self.bus.fetch(STATE) if self.bus.is_open else None
        except BusLost:
            state = None  # the device went away and may be back under the same path
        if state is None:
            self.bus.open()
        elif not self._released and self._holds(state):
            return
        self._stiffen()

    def park(self) -> None:
        """Travel to rest with the joints that hold torque, whatever their servos complain of; `release` comes next."""
        held = HeldJoints(self.bus, self._scale)
        self._goal_ticks = None  # these goals are not its own
        if held.any:
            park(held, self._motion, self._stop)

    def release(self) -> None:
        """Let go at once: the arm falls. `recover` stiffens it again."""
        self._goal_ticks, self._released = None, True
        torque.release(self.bus)

    def close(self) -> None:
        """Park, let go, and free port and cameras. The first thing that goes wrong is raised once all is done."""
        if self._closed:
            return
        faults: list[ArmError] = []
        try:
            if self.bus.is_open and not self._released:
                self._park_between_stalls()
        except ArmError as fault:
            faults.append(fault)
        finally:  # Ctrl+C must not leave the arm stiff either
            faults += self._free()
        if faults:
            raise type(faults[0])("\n".join(map(str, faults))) from faults[0]

    def place_cube(self, pose: CubePose) -> None:
        """Lay the virtual cube there; on a real desk a person does it."""
        if self._witness is not None:
            self._witness.place_cube(pose)

    # --- what motions need --------------------------------------------------------------------------------------------

    def read_joints(self) -> Vector:
        """Measured joints (6,) [rad] of an arm that is sound and stiff."""
        return self._scale.radians(self._state()["Present_Position"])

    def write_goals(self, joint_rad: Vector) -> None:
        """Goal positions (6,) [rad], at once and unramped; beyond the calibrated range they end there."""
        if not np.isfinite(joint_rad).all():
            raise InvalidTarget(f"{self._settings.id}: got the goals {joint_rad} rad, expected finite numbers")
        if self._released:
            # The servos' firmware would switch the torque on with the goal, and jump there.
            raise ArmFault(f"{self._settings.id}: got a goal while it is let go; recover it first, which stiffens it")
        self._goal_ticks = self._scale.ticks(joint_rad)
        self.bus.spread("Goal_Position", torque.by_joint(self._goal_ticks))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Ticks]:
        """The registers `STATE` of an arm that is as it should be."""
        self._require_open()
        state = self.bus.fetch(STATE)
        torque.require_sound(state)
        if not self._released:
            torque.require_holding(state)
        if self._goal_ticks is not None:
            arrived = state["Goal_Position"] == self._goal_ticks
            self.lost_goals.update(name for name, there in zip(JOINT_NAMES, arrived, strict=True) if not there)
        return state

    def _servos(self, state: dict[str, Ticks]) -> ServoReading:
        return ServoReading(
            velocity_rad_s=state["Present_Velocity"] * self._scale.rad_per_tick,
            load=np.multiply(state["Present_Load"], LOAD_UNIT, dtype=np.float64),
            temperature_c=state["Present_Temperature"].astype(np.float64),
            voltage_v=np.multiply(state["Present_Voltage"], VOLTAGE_UNIT_V, dtype=np.float64),
            status=state["Status"].astype(np.uint8),
        )

    def _holds(self, state: dict[str, Ticks]) -> bool:
        try:
            torque.require_sound(state)
            torque.require_holding(state)
        except ServoTripped:
            return False
        return True

    def _stiffen(self) -> None:
        """Make sure that these are its servos, sound and set up, and switch the torque on where the arm is."""
        torque.require_sound(self.bus.fetch(STATE))
        found = lint_servos(self._settings.id, self._joints, self.bus)
        require_sound_calibration(self._calibration_path, found)
        torque.configure(self.bus, self._settings)
        torque.hold_here(self.bus, self._scale)
        self._goal_ticks, self._released = None, False

    def _park_between_stalls(self) -> None:
        """Park, and begin again once a silent bus answers: until then the servos hold what they were told last.

        Raises `ServoSilent` where it answers no more, or is silent each time.
        """
        for _ in range(PARKINGS - 1):
            try:
                self.park()
            except ServoSilent as silent:
                self._await_answer(silent)
            else:
                return
        self.park()

    def _await_answer(self, silent: ServoSilent) -> None:
        """Ask until all servos answer. Raises what was given, once that took too long or somebody says stop."""
        _log.warning("%s; it is waited for, and the arm parked then", silent)
        until_s = time.monotonic() + STALL_S
        while time.monotonic() < until_s and not self._stop():
            try:
                self.bus.fetch(["Present_Position"])
            except ServoSilent:
                continue
            return
        raise silent

    def _free(self) -> list[ArmError]:
        """Let go, and free port and cameras whatever comes of that; what went wrong."""
        self._closed = True
        with self._devices:
            try:
                if not self.bus.is_open:
                    self.bus.open()  # it may be back
                torque.release(self.bus)
            except ArmError as fault:
                _log.error("%s: it could not be let go: %s", self._settings.id, fault)
                return [
                    fault,
                    ArmFault("the arm may still be held: support it, and switch the power of its servos off"),
                ]
        return []

    def _require_open(self) -> None:
        if self._closed:
            raise ArmError(f"{self._settings.id}: it has been closed; make a new one")
