"""Doubts about a calibration before it moves anything: which joint, what was got, what was expected, the cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from robot.arm import JOINT_NAMES
from robot.so101.bus import So101Bus
from robot.so101.calibration import FULL_TURN_JOINT, MODEL_RANGES_RAD, JointCalibration
from robot.so101.errors import CalibrationRefused
from robot.so101.registers import LIMITS, TICKS

LARGEST_OFFSET = 2047  # the servo keeps sign and eleven bits
_AGAIN = "calibrate it again, and move this joint to both of its ends"
# Field of the file -> register of the servo.
_KEPT = {"range_min": "Min_Position_Limit", "range_max": "Max_Position_Limit", "homing_offset": "Homing_Offset"}

Joints = Mapping[str, JointCalibration]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one joint of one arm."""

    arm: str
    joint: str
    got: str
    expected: str
    cure: str

    def __str__(self) -> str:
        return f"{self.arm}, {self.joint}: got {self.got}, expected {self.expected}; {self.cure}"


def lint_file(arm: str, joints: Joints, span_tolerance: float) -> list[Finding]:
    """What a calibration contradicts by itself: ids, directions, ranges, and the model's spans.

    span_tolerance: see `BusSettings.span_tolerance`
    """
    findings = [Finding(arm, *doubt) for name in JOINT_NAMES for doubt in _joint_doubts(name, joints[name])]
    return findings + [
        Finding(arm, *doubt) for name in JOINT_NAMES for doubt in _span_doubts(name, joints[name], span_tolerance)
    ]


def lint_servos(arm: str, joints: Joints, bus: So101Bus) -> list[Finding]:
    """Where the servos keep something else than the file says. Raises `ArmFault` when they do not answer."""
    kept = bus.fetch(LIMITS)
    return [
        Finding(
            *(
                arm,
                name,
                f"{register} {kept[register][index]} in the servo",
                f"{getattr(joints[name], field)} as in the file",
            ),
            "this file is not of this arm, or the servo forgot: write the file into the servos, or calibrate again, "
            "with `nudge calibrate`",
        )
        for index, name in enumerate(JOINT_NAMES)
        for field, register in _KEPT.items()
        if kept[register][index] != getattr(joints[name], field)
    ]


def lint_pair(follower: Joints, leader: Joints, span_tolerance: float) -> list[Finding]:
    """Where a leader would not lead its follower: other ids, or another range of a joint."""
    findings = []
    for name in JOINT_NAMES:
        ours, theirs = follower[name], leader[name]
        if ours.id != theirs.id:
            findings.append(
                Finding(
                    *("leader", name, f"id {theirs.id}", f"id {ours.id} as the follower's"),
                    "set it with lerobot-setup-motors",
                )
            )
        spans = ours.range_max - ours.range_min, theirs.range_max - theirs.range_min
        allowed = _allowed(name, span_tolerance) * max(*spans, 1)
        if abs(spans[0] - spans[1]) > allowed:
            findings.append(
                Finding(
                    *("leader", name, f"a range of {spans[1]} ticks"),
                    f"the follower's {spans[0]}, {allowed:.0f} more or less",
                    "one of the two was not moved to both of its ends: calibrate both again",
                )
            )
    return findings


def require_sound_calibration(path: object, findings: list[Finding]) -> None:
    """Raise `CalibrationRefused` with all findings, if there are any."""
    if findings:
        lines = "\n".join(f"  {finding}" for finding in findings)
        raise CalibrationRefused(f"{path}: this calibration would misplace the arm:\n{lines}")


def model_span_ticks(joint: str) -> float:
    """From end to end of a joint of the model [ticks]."""
    low_rad, high_rad = MODEL_RANGES_RAD[JOINT_NAMES.index(joint)]
    return float((high_rad - low_rad) * TICKS / (2 * np.pi))


def _joint_doubts(name: str, joint: JointCalibration) -> Iterator[tuple[str, str, str, str]]:
    id_ = JOINT_NAMES.index(name) + 1
    if joint.id != id_:
        yield name, f"id {joint.id}", f"id {id_}", "set it with lerobot-setup-motors, one servo at a time"
    if joint.drive_mode != 0:
        yield (
            name,
            f"drive_mode {joint.drive_mode}",
            "0",
            "LeRobot's degrees know no turned direction: calibrate it again",
        )
    if abs(joint.homing_offset) > LARGEST_OFFSET:
        yield name, f"homing_offset {joint.homing_offset}", f"-{LARGEST_OFFSET}..{LARGEST_OFFSET}", "calibrate it again"
    if not 0 <= joint.range_min < joint.range_max < TICKS:
        yield (
            *(name, f"a range of {joint.range_min}..{joint.range_max}"),
            *(f"0 <= range_min < range_max < {TICKS}", "begin in the middle of the joint when calibrating it again"),
        )


def _span_doubts(name: str, joint: JointCalibration, tolerance: float) -> Iterator[tuple[str, str, str, str]]:
    span, whole = joint.range_max - joint.range_min, model_span_ticks(name)
    if name == FULL_TURN_JOINT:
        if span != TICKS - 1:
            yield name, f"a range of {span} ticks", f"the whole turn, 0..{TICKS - 1}", "calibrate it again"
        return
    low, high = (whole * (1 + sign * _allowed(name, tolerance)) for sign in (-1, 1))
    if not low <= span <= high:
        why = (
            "it was not moved to both of its ends" if span < low else "it was turned past an end, or mounted otherwise"
        )
        yield (
            name,
            f"a range of {span} ticks",
            f"{low:.0f}..{high:.0f} as the model has {whole:.0f}",
            f"{why}: {_AGAIN}",
        )


def _allowed(name: str, tolerance: float) -> float:
    """The gripper's range scales its angle, where that of another joint would only move its middle."""
    return 2 * tolerance if name == "gripper" else tolerance
