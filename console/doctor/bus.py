"""The doctor's look at the servos of a real arm, without torque: who is there, how they feel, what they remember."""

from __future__ import annotations

import statistics
import time

import numpy as np

from console.doctor.context import Context
from console.doctor.findings import Finding, amber, good, red
from robot.arm import JOINT_NAMES
from robot.kinematics import Kinematics
from robot.so101 import torque
from robot.so101.bus import So101Bus
from robot.so101.calibration import MODEL_RANGES_RAD, Scale, calibration_path, load_calibration
from robot.so101.lint import Finding as Doubt
from robot.so101.lint import lint_file, lint_pair, lint_servos
from robot.so101.port import doubts_of_port, require_port
from robot.so101.registers import IDENTITY, STATE, VOLTAGE_UNIT_V, complaints

LOWEST_TOOL_M = -0.02  # the tool of an arm that stands on its table, with room for what a calibration is off
PATIENCE = 5
BEYOND_RAD = 0.15  # a joint at its stop, and a calibration that fits roughly


def check_port(context: Context) -> list[Finding]:
    """The port is there, may be used, and keeps its name. Raises `ArmError` and `BusLost` as `require_port` does."""
    port = require_port(context.settings.arm.so101.port)
    doubts = doubts_of_port(port)
    if doubts:
        return [amber(f"{port}, which is {port.resolve()}", "a path below /dev/serial/by-id", doubts[0])]
    return [good(f"{port}, which is {port.resolve()}")]


def check_servos(context: Context) -> list[Finding]:
    """All six answer, are STS3215 of one firmware, and seldom miss a question. Leaves the bus open."""
    settings, patience_s = context.settings, context.settings.arm.so101.patience_s
    # More patient than the arm will be: an answer that comes late is told as such, and not as a servo that is away.
    bus = So101Bus(settings.arm.so101.model_copy(update={"tries": PATIENCE * settings.arm.so101.tries}))
    bus.open()
    context.stack.callback(bus.close)
    context.bus = bus
    told = bus.fetch(IDENTITY)
    firmware = [
        f"{major}.{minor}"
        for major, minor in zip(told["Firmware_Major_Version"], told["Firmware_Minor_Version"], strict=True)
    ]
    read_s = _timed_reads(bus, settings.doctor.bus_reads)
    asked = settings.doctor.bus_reads * len(JOINT_NAMES)
    lost, median_ms, worst_ms = bus.unanswered.total(), 1000 * statistics.median(read_s), 1000 * max(read_s)
    values = {"read_median_ms": round(median_ms, 3), "read_worst_ms": round(worst_ms, 3), "lost_answers": float(lost)}
    timing = f"a read of all takes {median_ms:.1f} ms, {worst_ms:.1f} at worst"
    found = []
    if lost > settings.doctor.lost_share * asked:
        which = ", ".join(f"{name} {count}" for name, count in bus.unanswered.most_common())
        limit = f"at most {settings.doctor.lost_share:.0%}"
        cure = "check the cables of the first of them, and that nothing else keeps this computer busy"
        found.append(amber(f"{lost} of {asked} answers were lost ({which}); {timing}", limit, cure, values))
    if max(read_s) > patience_s:
        limit = f"at most {1000 * patience_s:.0f} ms, after which a servo counts as silent"
        cure = "see what keeps this computer busy; arm.so101.tries is how often the arm asks"
        found.append(amber(timing, limit, cure, values))
    if len(set(firmware)) > 1:
        named = ", ".join(f"{name} {has}" for name, has in zip(JOINT_NAMES, firmware, strict=True))
        found.append(amber(f"firmware {named}", "the same in all", "update them with Feetech's FD software", values))
    return found or [good(f"6 STS3215, firmware {firmware[0]}; {timing}", values=values)]


def check_health(context: Context) -> list[Finding]:
    """Status bits, temperature and voltage of each servo against the limits of the guard."""
    state = _bus(context).fetch(STATE)
    limits = context.settings.arm.safety
    volts, heat = state["Present_Voltage"] * VOLTAGE_UNIT_V, state["Present_Temperature"]
    values = {"lowest_v": float(volts.min()), "highest_v": float(volts.max()), "hottest_c": float(heat.max())}
    found = [red(*_told(line), values) for line in complaints(torque.by_joint(state["Status"]))]
    for index, name in enumerate(JOINT_NAMES):
        if heat[index] >= limits.warm_c:
            tell = red if heat[index] > limits.hot_c else amber
            cure = "let it cool down, and see what it strains against"
            found.append(tell(f"{name}: {heat[index]} °C", f"below {limits.warm_c:g} °C", cure, values))
        if not limits.lowest_voltage_v <= volts[index] <= limits.highest_voltage_v:
            span = f"{limits.lowest_voltage_v:g} to {limits.highest_voltage_v:g} V"
            cure = "check brick, plug and cables; for servos of 12 V set arm.safety.highest_voltage_v"
            found.append(red(f"{name}: {volts[index]:.1f} V", span, cure, values))
    sound = f"{volts.min():.1f} to {volts.max():.1f} V, {heat.min()} to {heat.max()} °C, no complaint"
    return found or [good(sound, f"below {limits.warm_c:g} °C", values)]


def check_calibration(context: Context) -> list[Finding]:
    """The calibration does not contradict itself, the model or the servos."""
    settings = context.settings.arm.so101
    path = calibration_path(settings, "follower")
    joints = load_calibration(path)
    doubts = lint_file(settings.id, joints, settings.span_tolerance)
    doubts += lint_servos(settings.id, joints, _bus(context))
    return [_red(doubt) for doubt in doubts] or [good(f"{path}", "what the model and the servos say")]


def check_pose(context: Context) -> list[Finding]:
    """Each joint within its limits and the tool above the table: else no motion is safe."""
    settings = context.settings.arm
    scale = Scale.of(load_calibration(calibration_path(settings.so101, "follower")))
    joint_rad = scale.radians(_bus(context).fetch(["Present_Position"])["Present_Position"])
    beyond = np.maximum(MODEL_RANGES_RAD[:, 0] - joint_rad, joint_rad - MODEL_RANGES_RAD[:, 1])  # (6,)
    angles = " ".join(f"{angle:+.2f}" for angle in joint_rad)
    values = {f"{name}_rad": round(float(angle), 4) for name, angle in zip(JOINT_NAMES, joint_rad, strict=True)}
    cure = "calibrate it again: its middle is not where the file says"
    found = [
        (red if beyond[index] > BEYOND_RAD else amber)(
            f"{name}: {joint_rad[index]:+.2f} rad", f"{low:.2f} to {high:.2f} rad", cure, values
        )
        for index, (name, (low, high)) in enumerate(zip(JOINT_NAMES, MODEL_RANGES_RAD, strict=True))
        if beyond[index] > 0.02
    ]
    height_m = float(Kinematics(settings.controller).tool_pose(joint_rad).position_m[2])
    if height_m < LOWEST_TOOL_M:
        below = f"the tool would be {-1000 * height_m:.0f} mm below the table (joints {angles} rad)"
        found.append(red(below, "above the table", f"lift it by hand; else {cure}", values))
    values["tool_z_m"] = round(height_m, 4)
    return found or [good(f"joints {angles} rad, tool {1000 * height_m:.0f} mm high", values=values)]


def check_leader(context: Context) -> list[Finding]:
    """Where a leader arm is set: it answers, its calibration is sound, and fits the follower's."""
    follower, leader = context.settings.arm.so101, context.settings.teleop.leader
    if leader.port is None:
        return []
    bus = So101Bus(leader)
    bus.open()
    try:
        joints = load_calibration(calibration_path(leader, "leader"))
        doubts = lint_file(leader.id, joints, leader.span_tolerance) + lint_servos(leader.id, joints, bus)
    finally:
        bus.close()
    ours = load_calibration(calibration_path(follower, "follower"))
    doubts += lint_pair(ours, joints, follower.span_tolerance)
    return [_red(doubt) for doubt in doubts] or [good(f"{leader.port}: 6 STS3215, calibrated like the follower")]


def _bus(context: Context) -> So101Bus:
    assert context.bus is not None, "the check of the servos opens it"
    return context.bus


def _timed_reads(bus: So101Bus, count: int) -> list[float]:
    took_s = []
    for _ in range(count):
        begun_s = time.perf_counter()
        bus.fetch(STATE)
        took_s.append(time.perf_counter() - begun_s)
    return took_s


def _red(doubt: Doubt) -> Finding:
    return red(f"{doubt.joint}: {doubt.got}", doubt.expected, doubt.cure)


def _told(complaint: str) -> tuple[str, str, str]:
    """Got, expected and cure of a servo's complaint, `who: why; cure`."""
    got, _, cure = complaint.partition("; ")
    return got, "status 0", cure
