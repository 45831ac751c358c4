"""The doctor's trial of the joints: each turns as it is told to, the tool takes small steps, and the arm comes home."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from console.doctor.context import Context
from console.doctor.drive import tool_m
from console.doctor.findings import Finding, amber, good, red, skipped
from console.doctor.station import Station, connected
from console.settings import Settings
from robot.arm import JOINT_NAMES
from robot.kinematics import Kinematics
from robot.motions import SAFE_RAD, park_path, travel
from robot.task import CubePose, Start

Vector = NDArray[np.float64]

NO_LIMIT_RAD = 1.0
SETTLE_TICKS = 3  # after a step, before it is measured
EXECUTED = 0.5  # of a step must arrive, to count as executed
SMALL = 0.25  # of the action's scale: finer actions than this should still move the tool


def check_open(context: Context) -> list[Finding]:
    """The arm stiffens where it stands, and rises to the pose that every path leads through. Leaves the station."""
    if context.bus is not None:
        context.bus.close()  # the port takes one at a time
    opened = connected(context.settings, context.cameras, context.emergency)
    context.station = station = context.stack.enter_context(opened)
    rising = park_path(station.bus.read_joints())[:2]
    report = travel(station.bus, rising, context.settings.arm.motion, lambda: context.halted)
    return [good(f"upright after {report.seconds:.1f} s, {report.joint_error_rad:.3f} rad off", "within 0.1 rad")]


def check_joints(context: Context) -> list[Finding]:
    """Each joint there and back by `sign_rad`: it turns that way and so far, and the others stay."""
    station, doctor = context.opened(), context.settings.doctor
    bounds = Kinematics(context.settings.arm.controller)
    home = station.bus.read_joints()
    home[:5] = SAFE_RAD[:5]
    found, values, told = [], {}, []
    for index, name in enumerate(JOINT_NAMES):
        asked = doctor.sign_rad if home[index] + doctor.sign_rad < bounds.upper_rad[index] else -doctor.sign_rad
        goal = home.copy()
        goal[index] += asked
        moved = _travelled(context, goal)
        back = _travelled(context, home)
        values[f"{name}_rad"] = round(float(moved[index]), 4)
        told.append(f"{moved[index]:+.3f}")
        found += _joint_findings(context, index, asked, (moved, back))
    if found:
        return [Finding(it.level, it.got, it.expected, it.cure, values) for it in found]
    expected = f"{doctor.sign_rad:.3f} rad each, by turns, {doctor.sign_error:.0%} more or less; the others still"
    return [good(f"moved {' '.join(told)} rad, and back", expected, values)]


def check_start(context: Context) -> list[Finding]:
    """The reset of an episode reaches its start."""
    station, settings = context.opened(), context.settings
    start_m = np.array(settings.task.start_m)
    seen, _ = station.env.reset(options={"start": Start(CubePose(0.0, 0.0, 0.0), start_m)})
    off_m = float(np.linalg.norm(tool_m(seen, settings) - start_m))
    limit_m, values = settings.arm.so101.reset_tolerance_m, {"error_m": round(off_m, 5)}
    got, expected = f"{1000 * off_m:.1f} mm from the start", f"at most {1000 * limit_m:g} mm"
    if off_m <= limit_m:
        return [good(got, expected, values)]
    cure = "see whether task.start_m lies in arm.controller's box and within reach; else calibrate again"
    return [red(got, expected, cure, values)]


def check_steps(context: Context) -> list[Finding]:
    """The smallest step of the tool that the servos really execute, along each axis."""
    station, settings = context.opened(), context.settings
    smallest = [_smallest_step_m(station, settings, axis) for axis in range(3)]
    scale_m = min(dimension.scale for dimension in settings.contract.action[:3])
    values = {f"{axis}_m": size for axis, size in zip("xyz", smallest, strict=True) if size is not None}
    largest_mm = 1000 * max(settings.doctor.steps_m)
    told = [
        f"{axis} {1000 * size:g} mm" if size is not None else f"{axis} none up to {largest_mm:g} mm"
        for axis, size in zip("xyz", smallest, strict=True)
    ]
    got = f"smallest step executed: {', '.join(told)}"
    expected = f"{SMALL:.0%} of action 1, {1000 * SMALL * scale_m:g} mm, or less"
    worst_m = max(size if size is not None else np.inf for size in smallest)
    if worst_m <= SMALL * scale_m:
        return [good(got, expected, values)]
    cure = "raise arm.so101.p_gain, tighten what has play, or raise the scale of the contract's actions"
    tell = amber if worst_m <= scale_m else red
    return [tell(got, expected, cure, values)]


def check_home(context: Context) -> list[Finding]:
    """The arm parks, and every servo confirms that it has no torque. Raises the `ArmFault` of what does not."""
    if context.station is None:
        return [skipped("the arm was not stiffened")]
    context.station = None
    context.stack.close()
    real = context.settings.arm.kind != "sim"
    return [good("parked, and every servo confirms that its torque is off" if real else "closed; it has no torque")]


def _travelled(context: Context, goal: Vector) -> Vector:
    """How far each joint moved (6,) [rad] on the way to a goal."""
    bus, motion = context.opened().bus, context.settings.arm.motion
    # Nothing is corrected, so that a joint that turns the wrong way is not pushed on; what came of it is judged here.
    gently = motion.model_copy(update={"correction_steps": 0, "arrival_rad": NO_LIMIT_RAD})
    before = bus.read_joints()
    after = travel(bus, [goal], gently, lambda: context.halted).joint_rad
    context.joint_rad += [before, after]
    return after - before


def _joint_findings(context: Context, index: int, asked: float, moved: tuple[Vector, Vector]) -> list[Finding]:
    """What was wrong with one joint's way there and back."""
    doctor, name = context.settings.doctor, JOINT_NAMES[index]
    for way, sign in zip(moved, (1, -1), strict=True):
        own, others = float(way[index]) * np.sign(asked) * sign, np.delete(np.abs(way), index)
        expected = f"{sign * asked:+.3f} rad, {doctor.sign_error:.0%} more or less"
        if own < -doctor.still_rad:
            cure = "its direction in the servo was turned round: set its `Phase` back, and calibrate again"
            return [red(f"{name}: turned the other way, {way[index]:+.3f} rad", expected, cure)]
        if abs(own - abs(asked)) > doctor.sign_error * abs(asked):
            cure = "see what holds it, whether its horn slips, and whether it has torque"
            return [red(f"{name}: moved {way[index]:+.3f} rad", expected, cure)]
        if others.max() > doctor.still_rad:
            other = [it for it in JOINT_NAMES if it != name][int(others.argmax())]
            cure = f"see whether {other} has play or too little torque, and whether two servos have the same id"
            got = f"{name}: {other} moved by {others.max():.3f} rad with it"
            return [amber(got, f"at most {doctor.still_rad:g} rad", cure)]
    return []


def _smallest_step_m(station: Station, settings: Settings, axis: int) -> float | None:
    """The first of these sizes of which the tool moves the greater part; None where it moves for none."""
    scale = settings.contract.action_scale
    for size_m in settings.doctor.steps_m:
        action = np.zeros(len(scale), np.float32)
        still = action.copy()
        action[axis] = min(1.0, size_m / float(scale[axis]))
        before = _settled(station, settings, still)
        after = _settled(station, settings, action)
        _settled(station, settings, -action)
        if (after - before)[axis] >= EXECUTED * size_m:
            return size_m
    return None


def _settled(station: Station, settings: Settings, action: NDArray[np.float32]) -> Vector:
    """Where the tool is (3,) [m] some ticks after an action."""
    seen = station.tick(action)
    for _ in range(SETTLE_TICKS):
        seen = station.tick(np.zeros_like(action))
    return tool_m(seen, settings)
