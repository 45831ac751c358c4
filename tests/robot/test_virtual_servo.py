"""One virtual servo: registers with consequences, motion, and what makes it give up."""

from __future__ import annotations

import math
import random

import pytest

from robot.virtual import registers as reg
from robot.virtual.assembly import assemble
from robot.virtual.bus import ServoBus
from robot.virtual.packets import BROADCAST_ID, Instruction, Packet, PacketReader
from robot.virtual.servo import HEAT_ERROR, OVERLOAD_ERROR, TICKS_PER_RAD, VOLTAGE_ERROR, JointState, Servo

BAUD = 1_000_000
PERIOD_S = 0.005


@pytest.fixture
def servo() -> Servo:
    """A new servo whose encoder reads 2000 at joint angle 0."""
    return Servo(1, 2000)


@pytest.fixture
def bus() -> ServoBus:
    """Six new servos."""
    return assemble("follower", random.Random(0))


def write(servo: Servo, register: reg.Register, value: int) -> None:
    servo.write(register.address, register.encode(value))


def read(servo: Servo, register: reg.Register) -> int:
    return register.decode(servo.read(register.address, register.size))


def run(servo: Servo, seconds: float) -> float:
    """Let a joint without weight follow the servo; where it ends [rad]."""
    angle_rad = servo._joint.angle_rad
    for _ in range(round(seconds / PERIOD_S)):
        drive = servo.drive(PERIOD_S)
        angle_rad = angle_rad if drive is None else drive.angle_rad
        servo.observe(JointState(angle_rad), PERIOD_S)
    return angle_rad


def answers(bus: ServoBus, request: Packet, baud: int = BAUD) -> list[Packet]:
    return PacketReader().feed(bus.answer(request, baud).sent, 0.0)


class TestMemory:
    def test_with_the_lock_closed_what_is_written_counts_until_the_power_goes(self, servo: Servo) -> None:
        write(servo, reg.HOMING_OFFSET, -700)
        assert read(servo, reg.HOMING_OFFSET) == -700
        servo.power_up()
        assert read(servo, reg.HOMING_OFFSET) == 0

    def test_with_the_lock_open_it_is_kept(self, servo: Servo) -> None:
        write(servo, reg.LOCK, 0)
        write(servo, reg.HOMING_OFFSET, -700)
        write(servo, reg.ACCELERATION, 254)
        servo.power_up()
        assert read(servo, reg.HOMING_OFFSET) == -700
        assert (read(servo, reg.ACCELERATION), read(servo, reg.LOCK)) == (0, 1)

    def test_read_only_registers_stay_as_they_are(self, servo: Servo) -> None:
        write(servo, reg.LOCK, 0)
        servo.write(0, bytes(range(1, 9)))
        assert read(servo, reg.MODEL_NUMBER) == 777
        assert read(servo, reg.ID) == 6  # the same write reached what is not read-only

    def test_the_torque_limit_starts_at_the_greatest_torque_that_is_kept(self, servo: Servo) -> None:
        write(servo, reg.LOCK, 0)
        write(servo, reg.MAX_TORQUE_LIMIT, 500)
        assert read(servo, reg.TORQUE_LIMIT) == 1000
        servo.power_up()
        assert read(servo, reg.TORQUE_LIMIT) == 500


class TestPosition:
    def test_the_position_is_the_encoder_less_the_offset_within_one_turn(self, servo: Servo) -> None:
        servo.observe(JointState(math.pi / 2), PERIOD_S)  # a quarter turn: 2000 + 1024
        assert read(servo, reg.PRESENT_POSITION) == 3024
        write(servo, reg.HOMING_OFFSET, 977)
        assert read(servo, reg.PRESENT_POSITION) == 2047
        write(servo, reg.HOMING_OFFSET, -2000)
        assert read(servo, reg.PRESENT_POSITION) == 3024 + 2000 - 4096

    def test_with_full_angle_feedback_it_may_be_negative(self, servo: Servo) -> None:
        write(servo, reg.PHASE, read(servo, reg.PHASE) | 0x10)
        servo.observe(JointState(-math.pi * 1.5), PERIOD_S)  # 2000 - 3072
        assert read(servo, reg.PRESENT_POSITION) == -1072

    def test_torque_128_makes_here_the_middle(self, servo: Servo) -> None:
        servo.observe(JointState(1.0), PERIOD_S)
        write(servo, reg.TORQUE_ENABLE, 128)
        assert read(servo, reg.PRESENT_POSITION) == 2048
        assert read(servo, reg.TORQUE_ENABLE) == 0


class TestMotion:
    def test_torque_holds_the_joint_where_it_is(self, servo: Servo) -> None:
        servo.observe(JointState(0.7), PERIOD_S)
        write(servo, reg.TORQUE_ENABLE, 1)
        assert run(servo, 1.0) == pytest.approx(0.7, abs=1 / TICKS_PER_RAD)

    def test_a_goal_is_reached_and_switches_the_torque_on(self, servo: Servo) -> None:
        write(servo, reg.GOAL_POSITION, 3024)
        assert servo.has_torque
        assert run(servo, 1.0) == pytest.approx(math.pi / 2, abs=1e-6)
        assert read(servo, reg.MOVING) == 0

    def test_a_goal_beyond_a_limit_ends_at_the_limit_and_stays_in_the_register(self, servo: Servo) -> None:
        write(servo, reg.MAX_POSITION_LIMIT, 2500)
        write(servo, reg.GOAL_POSITION, 3024)
        assert run(servo, 1.0) == pytest.approx(500 / TICKS_PER_RAD, abs=1e-6)
        assert read(servo, reg.GOAL_POSITION) == 3024

    def test_the_speed_is_limited(self, servo: Servo) -> None:
        write(servo, reg.GOAL_VELOCITY, 500)
        write(servo, reg.GOAL_POSITION, 3000)
        # 1000 ticks at 500 ticks/s take 2 s.
        assert run(servo, 1.0) == pytest.approx(500 / TICKS_PER_RAD, rel=0.02)
        assert read(servo, reg.MOVING) == 1
        assert run(servo, 1.1) == pytest.approx(1000 / TICKS_PER_RAD, abs=1e-6)

    def test_the_acceleration_is_limited_and_the_goal_not_passed(self, servo: Servo) -> None:
        write(servo, reg.ACCELERATION, 10)  # 1000 ticks/s²
        write(servo, reg.GOAL_POSITION, 3000)
        # s = a·t²/2: after 0.5 s 125 ticks; half way after 1 s, there after 2 s.
        assert run(servo, 0.5) == pytest.approx(125 / TICKS_PER_RAD, rel=0.05)
        assert run(servo, 0.5) == pytest.approx(500 / TICKS_PER_RAD, rel=0.05)
        farthest = max(run(servo, 0.05) for _ in range(30))
        assert farthest == pytest.approx(1000 / TICKS_PER_RAD, abs=2 / TICKS_PER_RAD)

    def test_the_torque_limit_is_a_share_of_its_strength(self, servo: Servo) -> None:
        write(servo, reg.TORQUE_ENABLE, 1)
        write(servo, reg.TORQUE_LIMIT, 250)
        drive = servo.drive(PERIOD_S)
        assert drive is not None
        assert drive.strength == 0.25


class TestErrors:
    def test_an_overload_stays_until_the_power_has_been_off(self, servo: Servo) -> None:
        write(servo, reg.TORQUE_ENABLE, 1)
        servo.overload()
        assert read(servo, reg.TORQUE_ENABLE) == 0
        for register, value in ((reg.TORQUE_ENABLE, 1), (reg.GOAL_POSITION, 2100)):
            write(servo, register, value)
            assert read(servo, reg.TORQUE_ENABLE) == 0
        assert servo.error == OVERLOAD_ERROR == read(servo, reg.STATUS)
        servo.power_up()
        write(servo, reg.TORQUE_ENABLE, 1)
        assert (servo.error, read(servo, reg.TORQUE_ENABLE)) == (0, 1)

    def test_a_hot_servo_lets_go_and_can_be_used_again_once_it_is_cool(self, servo: Servo) -> None:
        write(servo, reg.TORQUE_ENABLE, 1)
        servo.forced_temperature_c = 71.0
        servo.observe(JointState(), PERIOD_S)
        assert (servo.error, servo.has_torque) == (HEAT_ERROR, False)
        servo.forced_temperature_c = 60.0
        write(servo, reg.TORQUE_ENABLE, 1)
        assert (servo.error, servo.has_torque) == (0, True)

    def test_too_little_voltage_is_told_and_does_not_unload(self, servo: Servo) -> None:
        write(servo, reg.TORQUE_ENABLE, 1)
        servo.supply_v = 3.8
        servo.observe(JointState(), PERIOD_S)
        assert (servo.error, servo.has_torque) == (VOLTAGE_ERROR, True)
        assert read(servo, reg.PRESENT_VOLTAGE) == 38

    def test_a_loaded_servo_warms_up(self, servo: Servo) -> None:
        for _ in range(round(300 / PERIOD_S)):
            servo.observe(JointState(load=1.0), PERIOD_S)
        # 27 + 45·(1 − e^(−300/120)) = 27 + 45·0.918 = 68.3
        assert servo.temperature_c == pytest.approx(68.3, abs=0.1)
        assert read(servo, reg.PRESENT_LOAD) == 1000


class TestBus:
    def test_everybody_answers_a_broadcast_ping(self, bus: ServoBus) -> None:
        assert [it.id for it in answers(bus, Packet(BROADCAST_ID, Instruction.PING))] == [1, 2, 3, 4, 5, 6]

    def test_nobody_answers_at_another_baud_rate(self, bus: ServoBus) -> None:
        assert answers(bus, Packet(1, Instruction.PING), 500_000) == []
        bus.servos[0].write(reg.BAUD_RATE.address, b"\x01")
        assert [it.id for it in answers(bus, Packet(BROADCAST_ID, Instruction.PING), 500_000)] == [1]

    def test_a_registered_write_waits_for_the_action(self, bus: ServoBus) -> None:
        goal = bytes((reg.GOAL_POSITION.address, 0, 8))
        assert len(answers(bus, Packet(2, Instruction.REG_WRITE, goal))) == 1
        assert not bus.servos[1].has_torque
        assert answers(bus, Packet(BROADCAST_ID, Instruction.ACTION)) == []
        assert bus.servos[1].memory.get(reg.GOAL_POSITION) == 2048

    def test_a_new_id_counts_from_the_next_packet_on(self, bus: ServoBus) -> None:
        assert [it.id for it in answers(bus, Packet(1, Instruction.WRITE, bytes((5, 9))))] == [1]
        assert [it.id for it in answers(bus, Packet(9, Instruction.PING))] == [9]
        assert answers(bus, Packet(1, Instruction.PING)) == []

    def test_at_status_level_0_only_reads_and_pings_are_answered(self, bus: ServoBus) -> None:
        answers(bus, Packet(1, Instruction.WRITE, bytes((reg.RESPONSE_STATUS_LEVEL.address, 0))))
        assert answers(bus, Packet(1, Instruction.WRITE, bytes((41, 7)))) == []
        assert len(answers(bus, Packet(1, Instruction.READ, bytes((41, 1))))) == 1

    def test_the_air_time_counts_bytes_and_return_delays(self, bus: ServoBus) -> None:
        # 8 bytes asked, 8 answered, 10 bits each at 1 Mbit/s: 160 µs; and 250 · 2 µs until the servo speaks.
        answer = bus.answer(Packet(1, Instruction.READ, bytes((56, 2))), BAUD)
        assert answer.air_time_s == pytest.approx(660e-6)

    def test_without_power_nobody_answers_and_the_torque_is_gone(self, bus: ServoBus) -> None:
        bus.servos[0].write(reg.TORQUE_ENABLE.address, b"\x01")
        bus.power(on=False)
        assert answers(bus, Packet(1, Instruction.PING)) == []
        bus.power(on=True)
        assert not bus.servos[0].has_torque
