"""The guard: what each check stops, after how long, with which reaction; and that sound motion passes it unchanged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot.arm import ArmReading, ServoReading
from robot.errors import ArmFault, BusLost, CameraStale, InvalidTarget, Reaction, SafetyStop, ServoTripped
from robot.kinematics import Kinematics
from robot.motions import REST_RAD, SAFE_RAD, MotionSettings, park
from robot.safety.emergency import EmergencyStop
from robot.safety.guard import SafetyGuard
from robot.safety.reactions import HOLDING_LEAD_RAD, react
from robot.safety.settings import SafetySettings
from robot.settings import ControllerSettings

Vector = NDArray[np.float64]

KINEMATICS = Kinematics(ControllerSettings())
POSE = KINEMATICS.solve(np.array([0.25, 0.0, 0.1]), np.array([0.0, 0.0, 0.0, 1.4, 0.0, 0.5]))
SERVOS = ServoReading(
    velocity_rad_s=np.full(6, 0.1),
    load=np.full(6, 0.3),
    temperature_c=np.full(6, 40.0),
    voltage_v=np.full(6, 5.0),
    status=np.zeros(6, np.uint8),
)
READING = ArmReading(POSE, {}, np.zeros(0, np.float32), {"wrist": 0.05, "front": 0.05}, SERVOS)


def made(controller: ControllerSettings | None = None, safety: SafetySettings | None = None) -> SafetyGuard:
    return SafetyGuard(controller or ControllerSettings(), KINEMATICS, safety)


def at(index: int, value: float, of: Vector | None = None) -> Any:
    changed = (np.zeros(6) if of is None else of).copy()
    changed[index] = value
    return changed


def servos(**changed: Any) -> ArmReading:
    return replace(READING, servos=replace(SERVOS, **changed))


def moved(joint_rad: Vector) -> ArmReading:
    return replace(READING, joint_rad=joint_rad)


# What is read, how many ticks it may last, the counter, the error, and its reaction. Commands are at POSE.
CASES: dict[str, tuple[ArmReading, int, str, type[ArmFault], Reaction]] = {
    "status": (servos(status=at(5, 0x20).astype(np.uint8)), 1, "status.gripper", ServoTripped, Reaction.PARK),
    "heat": (servos(temperature_c=at(2, 66.0)), 1, "heat.elbow_flex", SafetyStop, Reaction.PARK),
    "low voltage": (
        servos(voltage_v=at(0, 4.4, SERVOS.voltage_v)),
        3,
        "voltage.shoulder_pan",
        SafetyStop,
        Reaction.PARK,
    ),
    "high voltage": (servos(voltage_v=at(5, 8.4, SERVOS.voltage_v)), 3, "voltage.gripper", SafetyStop, Reaction.PARK),
    "load": (servos(load=at(1, -0.95)), 20, "load.shoulder_lift", SafetyStop, Reaction.HOLD),
    "joint speed": (servos(velocity_rad_s=at(4, -4.5)), 2, "joint_speed.wrist_roll", SafetyStop, Reaction.HOLD),
    # 3.9 rad/s of the pan, 0.21 m from its axis: 0.83 m/s; the lift adds to it.
    "tool speed": (servos(velocity_rad_s=np.array([3.9, 3.9, 0, 0, 0, 0])), 2, "tool_speed", SafetyStop, Reaction.HOLD),
    "divergence": (moved(at(0, 0.65, POSE)), 5, "divergence.shoulder_pan", SafetyStop, Reaction.HOLD),
    "box": (moved(SAFE_RAD + at(3, -0.8)), 3, "box.z", SafetyStop, Reaction.HOLD),
    "frame": (replace(READING, frame_age_s={"wrist": 0.6}), 1, "stale_frame.wrist", CameraStale, Reaction.HOLD),
}


@pytest.mark.parametrize("name", CASES)
def test_each_check_stops_the_arm_after_its_ticks_and_not_before(name: str) -> None:
    reading, ticks, counter, error, reaction = CASES[name]
    guard = made()
    commanded = POSE if name in ("divergence",) else reading.joint_rad
    for _ in range(ticks - 1):
        guard.judge(reading, commanded)
    assert not guard.trips
    with pytest.raises(error) as stopped:
        guard.judge(reading, commanded)
    assert stopped.value.reaction is reaction
    assert guard.trips == {counter: 1}


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_persist_stops_nothing(name: str) -> None:
    reading, ticks, *_ = CASES[name]
    guard = made()
    commanded = POSE if name in ("divergence",) else reading.joint_rad
    for _ in range(3):
        for _ in range(ticks - 1):
            guard.judge(reading, commanded)
        guard.judge(READING, POSE)
    for _ in range(ticks - 1):
        guard.judge(reading, commanded)
    guard.begin()
    for _ in range(ticks - 1):
        guard.judge(reading, commanded)
    assert not guard.trips


def test_a_gripper_that_squeezes_may_lead() -> None:
    guard = made()
    for _ in range(50):
        guard.judge(READING, at(5, -0.1 - 0.6, POSE))


def test_an_arm_without_servos_is_judged_by_what_it_has() -> None:
    guard = made()
    bare = ArmReading(POSE, {}, np.zeros(0, np.float32))
    for _ in range(4):
        guard.judge(bare, at(2, POSE[2] + 0.7, POSE))
    with pytest.raises(SafetyStop, match="elbow_flex"):
        guard.judge(bare, at(2, POSE[2] + 0.7, POSE))


def test_a_silent_operator_stops_the_arm() -> None:
    guard = made()
    guard.require_operator(0.4)
    with pytest.raises(SafetyStop, match=r"silent for 0\.6 s"):
        guard.require_operator(0.6)
    assert guard.trips == {"stale_operator": 1}


@pytest.mark.parametrize("reaction", Reaction)
def test_the_emergency_stop_stays_until_it_is_reset(reaction: Reaction) -> None:
    guard = made(safety=SafetySettings(on_emergency=reaction))
    presser = threading.Thread(target=guard.emergency.press, args=("space bar",))
    presser.start()
    presser.join()
    guard.emergency.press("gamepad")  # the first one is told
    for _ in range(2):
        with pytest.raises(SafetyStop, match="space bar") as stopped:
            guard.judge(READING, POSE)
        assert stopped.value.reaction is reaction
    guard.begin()
    assert guard.emergency.is_pressed
    guard.emergency.reset()
    guard.judge(READING, POSE)


def test_a_warm_servo_is_warned_of_before_it_stops_the_arm() -> None:
    guard = made()
    guard.judge(servos(temperature_c=at(5, 60.0)), POSE)
    assert guard.warnings == ("gripper: warmer than 55 °C; let the arm rest soon",)
    guard.judge(READING, POSE)
    assert not guard.warnings


def test_a_target_that_is_no_number_is_refused_with_the_joint_named() -> None:
    with pytest.raises(InvalidTarget, match=r"elbow_flex.*nan"):
        made().clamp(at(2, np.nan), np.zeros(6))


def test_clamps_are_counted_by_limit_and_joint() -> None:
    guard = made(ControllerSettings(largest_joint_step_rad=0.2))
    clamped = guard.clamp(np.array([2.5, 0.1, 0.9, 0, 0, 0]), np.array([1.8, 0, 0, 0, 0, 0]))
    assert clamped == pytest.approx([1.91986, 0.1, 0.2, 0, 0, 0])
    assert guard.clamps == {"limit.shoulder_pan": 1, "step.elbow_flex": 1}


def test_positions_are_confined_to_leash_and_box_and_counted() -> None:
    guard = made()
    # The leash of 0.035 m first, then the box whose floor is at 0.008 m.
    confined = guard.confine(np.array([0.30, 0.0, -0.02]), np.array([0.25, 0.0, 0.02]))
    assert confined == pytest.approx([0.285, 0.0, 0.008])
    assert guard.clamps == {"leash.x": 1, "leash.z": 1, "box.z": 1}


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=6, max_size=6), st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6))
def test_a_clamped_target_is_within_limits_or_near_the_arm(target: list[float], measured: list[float]) -> None:
    controller, where = ControllerSettings(), np.array(measured)
    clamped = made(controller).clamp(np.array(target), where)
    assert (np.abs(clamped - where) <= controller.largest_joint_step_rad + 1e-12).all()
    inside = (where >= KINEMATICS.lower_rad) & (where <= KINEMATICS.upper_rad)
    assert (clamped >= KINEMATICS.lower_rad)[inside].all()
    assert (clamped <= KINEMATICS.upper_rad)[inside].all()


def test_many_clipped_ticks_are_warned_of_with_the_limit_that_clips_most() -> None:
    guard = made(safety=SafetySettings(clip_window_ticks=20))
    inside, far = np.array([0.25, 0.0, 0.02]), np.array([0.25, 0.0, 0.10])
    for tick in range(40):
        guard.confine(far if tick % 10 else np.array([0.25, 0.0, 0.0]), inside)
        guard.clamp(POSE, POSE)
    (told,) = guard.warnings
    assert "tool: at 100%" in told  # the leash, or the box, each time
    assert "leash.z" in told
    for _ in range(20):
        guard.confine(inside, inside)
    assert not guard.warnings


def test_pressing_onto_the_table_is_no_reason_for_a_warning_but_joints_at_their_limits_are() -> None:
    guard = made(safety=SafetySettings(clip_window_ticks=20))
    assert guard.clipped == (False, False)
    inside, table, beyond = np.array([0.25, 0.0, 0.02]), np.array([0.25, 0.0, 0.0]), POSE.copy()
    beyond[0] = 3.0
    for tick in range(20):
        guard.confine(inside if tick % 3 else table, inside)
        guard.clamp(POSE, POSE)
    assert not guard.warnings
    for _ in range(2):
        guard.clamp(beyond, POSE)
    assert guard.clipped == (False, True)
    (told,) = guard.warnings
    assert "joints: at 10% of the latest 20 ticks" in told
    assert "limit.shoulder_pan" in told or "step.shoulder_pan" in told


class Joints:
    """An arm that follows at once, and may have accidents."""

    def __init__(self, joint_rad: Vector) -> None:
        self.joint_rad = joint_rad
        self.released = False
        self.accident: Callable[[], None] = lambda: None

    def read_joints(self) -> Vector:
        self.accident()
        return self.joint_rad.copy()

    def write_goals(self, joint_rad: Vector) -> None:
        self.joint_rad = joint_rad

    def park(self) -> None:
        park(self, MotionSettings(step_s=0.001, settle_s=0, fold_s=0.01))

    def release(self) -> None:
        self.released = True


def lost() -> None:
    raise BusLost("unplugged")


def test_holding_keeps_the_command_and_pushes_no_harder_than_the_weight_needs() -> None:
    arm = Joints(POSE.copy())
    commanded = POSE + np.array([0.5, 0.02, 0.0, 0.0, 0.0, -0.4])
    assert react(arm, SafetyStop("stop"), commanded) is Reaction.HOLD
    # The pan is blocked, the lift carries its weight, the gripper squeezes.
    assert arm.joint_rad - POSE == pytest.approx([HOLDING_LEAD_RAD, 0.02, 0.0, 0.0, 0.0, -0.4])
    assert not arm.released


def test_parking_ends_folded_and_released() -> None:
    arm = Joints(POSE.copy())
    assert react(arm, SafetyStop("hot", Reaction.PARK), POSE) is Reaction.PARK
    assert arm.joint_rad == pytest.approx(REST_RAD)
    assert arm.released


def test_releasing_moves_nothing() -> None:
    arm = Joints(POSE.copy())
    assert react(arm, SafetyStop("now", Reaction.RELEASE), POSE) is Reaction.RELEASE
    assert arm.joint_rad == pytest.approx(POSE)
    assert arm.released


@pytest.mark.parametrize(
    ("reaction", "done"), [(Reaction.HOLD, Reaction.HOLD), (Reaction.PARK, Reaction.RELEASE)], ids=["hold", "park"]
)
def test_an_arm_that_cannot_be_parked_is_let_go_but_one_that_cannot_be_held_is_not_dropped(
    reaction: Reaction, done: Reaction
) -> None:
    arm, fault = Joints(POSE.copy()), SafetyStop("first", reaction)
    arm.accident = lost
    assert react(arm, fault, POSE) is done
    assert arm.released is (done is Reaction.RELEASE)
    assert fault.__notes__ == [f"and when it should {reaction.value}: unplugged"]


def test_an_arm_that_cannot_even_be_let_go_is_told_so() -> None:
    arm, fault = Joints(POSE.copy()), SafetyStop("first", Reaction.RELEASE)
    arm.release = lost  # type: ignore[method-assign]
    assert react(arm, fault, POSE) is None
    assert fault.__notes__ == ["and when it should let go: unplugged"]


def test_levels_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="warm_c, hot_c"):
        SafetySettings(warm_c=70)


def test_the_emergency_stop_is_shared_by_who_makes_it() -> None:
    stop = EmergencyStop()
    guard = SafetyGuard(ControllerSettings(), KINEMATICS, SafetySettings(), stop)
    stop.press("a signal")
    with pytest.raises(SafetyStop, match="a signal"):
        guard.require_no_emergency()
