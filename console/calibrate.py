"""`nudge calibrate`: LeRobot's own calibration of follower and leader, and what is wrong with its result."""

from __future__ import annotations

import statistics
import termios
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field
from rich.console import Console
from rich.table import Table

from console.errors import ConsoleError
from console.presets.load import parse_options
from policy.contract import Frozen
from robot.arm import JOINT_NAMES
from robot.so101.bus import So101Bus
from robot.so101.calibration import JointCalibration, Role, calibration_path, load_calibration
from robot.so101.lint import Finding, lint_file, lint_pair, lint_servos, model_span_ticks
from robot.so101.port import doubts_of_port, require_port
from robot.so101.registers import STATE
from robot.so101.settings import BusSettings

if TYPE_CHECKING:
    from lerobot.robots.so_follower import SO101Follower
    from lerobot.teleoperators.so_leader import SO101Leader

TIMED_READS = 50


class CalibrateOptions(Frozen):
    """Which arms; give the port of one or of both."""

    follower: BusSettings = BusSettings()
    leader: BusSettings = BusSettings(id="leader")
    check: bool = Field(default=False, description="Calibrate nothing: only look at files and servos.")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about one arm."""

    settings: BusSettings
    joints: Mapping[str, JointCalibration]
    findings: list[Finding]
    read_s: float


def main(argv: list[str]) -> int:
    """Calibrate, or only check; 1 when a calibration would misplace its arm."""
    options = parse_options(CalibrateOptions, argv, "nudge calibrate", flags=True)
    asked: dict[Role, BusSettings] = {"follower": options.follower, "leader": options.leader}
    arms = {role: settings for role, settings in asked.items() if settings.port is not None}
    if not arms:
        raise ConsoleError("calibrate: no arm is named; give --follower.port, --leader.port or both")
    if not options.check:
        for role, settings in arms.items():
            run_procedure(role, settings)
    checked = {role: check(role, settings) for role, settings in arms.items()}
    findings = [finding for it in checked.values() for finding in it.findings]
    if len(checked) == len(asked):
        joints = [checked[role].joints for role in asked]
        findings += lint_pair(joints[0], joints[1], options.follower.span_tolerance)
    _print(checked, findings)
    return int(bool(findings))


def run_procedure(role: Role, settings: BusSettings) -> None:
    """LeRobot's procedure, which asks a person to move the arm, and writes servos and file.

    Raises `ArmFault` or `ArmError` where the arm is not there, `ConsoleError` where the procedure gives up.
    """
    bus = So101Bus(settings)  # tells what is missing more clearly than LeRobot's handshake, and asks more than once
    bus.open()
    bus.close()
    device = _device(role, settings)
    try:
        with ExitStack() as stack:
            device.bus.connect(handshake=False)
            stack.callback(device.bus.disconnect)  # without torque
            device.calibrate()
    except (ConnectionError, OSError, termios.error, RuntimeError, ValueError) as error:
        raise ConsoleError(
            f"{settings.id}: LeRobot gave up calibrating: {error}; nothing counts until it has ended, so run it again, "
            f"and move every joint but the wrist roll from end to end"
        ) from error


def check(role: Role, settings: BusSettings) -> Checked:
    """Read file and servos of an arm, and doubt them. Raises `ArmError` where there is nothing to read."""
    bus = So101Bus(settings)
    bus.open()
    try:
        joints = load_calibration(calibration_path(settings, role))
        findings = lint_file(settings.id, joints, settings.span_tolerance) + lint_servos(settings.id, joints, bus)
        return Checked(settings, joints, findings, _read_s(bus))
    finally:
        bus.close()


def _device(role: Role, settings: BusSettings) -> SO101Follower | SO101Leader:
    from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
    from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig

    named = {
        "port": str(require_port(settings.port)),
        "id": settings.id,
        "calibration_dir": calibration_path(settings, role).parent,
    }
    return (
        SO101Follower(SO101FollowerConfig(**named)) if role == "follower" else SO101Leader(SO101LeaderConfig(**named))
    )


def _read_s(bus: So101Bus) -> float:
    """Median time of reading all that a tick needs."""
    took_s = []
    for _ in range(TIMED_READS):
        begun_s = time.perf_counter()
        bus.fetch(STATE)
        took_s.append(time.perf_counter() - begun_s)
    return statistics.median(took_s)


def _print(checked: Mapping[Role, Checked], findings: list[Finding]) -> None:
    console = Console()
    for role, it in checked.items():
        console.print(_table(role, it))
        console.print(f"one read of its six servos takes {1000 * it.read_s:.1f} ms (median of {TIMED_READS})\n")
    for finding in findings:
        print(finding)
    for it in checked.values():
        for doubt in doubts_of_port(require_port(it.settings.port)):
            print(f"warning: {doubt}")
    print(f"{len(findings) or 'no'} findings")


def _table(role: Role, checked: Checked) -> Table:
    table = Table(title=f"{role}: {calibration_path(checked.settings, role)}", title_justify="left")
    for heading in ("joint", "id", "homing", "range", "span", "of the model's", ""):
        table.add_column(heading, justify="left" if heading in ("joint", "") else "right")
    doubted = {finding.joint for finding in checked.findings}
    for name in JOINT_NAMES:
        joint = checked.joints[name]
        span = joint.range_max - joint.range_min
        share = f"{100 * span / model_span_ticks(name):.0f} %"
        ends = f"{joint.range_min}..{joint.range_max}"
        verdict = "see below" if name in doubted else "sound"
        table.add_row(name, str(joint.id), str(joint.homing_offset), ends, str(span), share, verdict)
    return table
