"""Accidents of the virtual arm, as LeRobot's own driver and camera see them."""

from __future__ import annotations

import os
import random
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from lerobot.cameras.zmq import ZMQCamera, ZMQCameraConfig
from lerobot.motors import Motor, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

import waiting
from robot.arm import JOINT_NAMES
from robot.virtual.commands import (
    CameraTrouble,
    Heat,
    MoveHand,
    Overload,
    PlaceCube,
    Plug,
    Power,
    Silence,
    State,
    Supply,
    Wire,
)
from robot.virtual.control import Remote
from robot.virtual.errors import VirtualArmError

PATIENCE_S = 30.0
eventually = partial(waiting.eventually, within_s=PATIENCE_S)
type Patiently = Callable[[Any, Callable[[], None]], None]


def make_bus(virtual: Remote) -> FeetechMotorsBus:
    motors = {name: Motor(index + 1, "sts3215", MotorNormMode.DEGREES) for index, name in enumerate(JOINT_NAMES)}
    return FeetechMotorsBus(str(virtual.folder / "follower"), motors)


@pytest.fixture
def bus(virtual: Remote, patiently: Patiently) -> Iterator[FeetechMotorsBus]:
    """LeRobot's bus on the follower's port, with torque."""
    made = make_bus(virtual)
    patiently(made, made.connect)
    made.enable_torque(num_retry=5)
    yield made
    made.port_handler.closePort()


@pytest.fixture
def camera(virtual: Remote) -> Iterator[ZMQCamera]:
    """LeRobot's network camera on the wrist camera's port."""
    port = virtual.tell(State())["cameras"]["wrist"]["port"]
    made = ZMQCamera(ZMQCameraConfig(*("127.0.0.1", port, "wrist"), width=160, height=120, fps=20, timeout_ms=500))
    made.connect(warmup=False)
    yield made
    made.disconnect()


def failure(act: Callable[[], object]) -> str:
    """What the error of communication says, or nothing where there is none."""
    try:
        act()
    except ConnectionError as error:
        return str(error)
    return ""


def has_torque(virtual: Remote) -> dict[str, bool]:
    torque: dict[str, bool] = virtual.tell(State())["arms"]["follower"]["has_torque"]
    return torque


class TestWire:
    @pytest.mark.parametrize(
        ("fault", "message"),
        [(Wire(lost=0.3), "There is no status packet"), (Wire(corrupt=0.3), "status packet")],
        ids=["lost", "corrupt"],
    )
    def test_bad_packets_fail_some_reads_and_are_gone_when_mended(
        self, virtual: Remote, bus: FeetechMotorsBus, fault: Wire, message: str
    ) -> None:
        virtual.tell(fault)
        # A request or its answer is spoilt in 1 - 0.7² = 51 % of the reads; the odds for 3..27 of 30 are above 0.99999.
        failures = [failure(lambda: bus.read("Model_Number", "gripper")) for _ in range(30)]
        assert 3 <= sum(message in it for it in failures) <= 27
        virtual.tell(Wire())
        assert bus.read("Model_Number", "gripper", num_retry=5) == 777

    def test_retries_help_against_lost_packets(self, virtual: Remote, bus: FeetechMotorsBus) -> None:
        virtual.tell(Wire(lost=0.1))
        for _ in range(5):
            # All seven packets must come through: 0.9^7 = 0.48; twenty times in vain has odds of 2e-6.
            assert len(bus.sync_read("Present_Position", normalize=False, num_retry=20)) == 6

    def test_noise_does_not_end_it(self, virtual: Remote, bus: FeetechMotorsBus) -> None:
        generator = random.Random(1)
        for _ in range(50):
            bus.port_handler.writePort(generator.randbytes(200))
            bus.port_handler.writePort(b"\xff\xff" + generator.randbytes(3))
        time.sleep(0.1)
        bus.port_handler.ser.reset_input_buffer()
        assert [bus.ping(name, num_retry=5) for name in JOINT_NAMES] == [777] * 6


class TestServo:
    def test_a_silent_servo_is_missed_by_name(self, virtual: Remote, bus: FeetechMotorsBus) -> None:
        virtual.tell(Silence(joint="elbow_flex"))
        assert bus.ping("elbow_flex") is None
        with pytest.raises(ConnectionError, match="There is no status packet"):
            bus.sync_read("Present_Position", normalize=False)
        with pytest.raises(RuntimeError, match=r"Missing motor IDs:\n  - 3 "):
            make_bus(virtual).connect()
        assert has_torque(virtual)["elbow_flex"]
        virtual.tell(Silence(joint="elbow_flex", silent=False))
        assert bus.ping("elbow_flex", num_retry=5) == 777

    def test_an_overload_latches_until_the_power_has_been_off(self, virtual: Remote, bus: FeetechMotorsBus) -> None:
        virtual.tell(Overload(joint="gripper"))
        assert bus.sync_read("Status", num_retry=5)["gripper"] == 0x20
        with pytest.raises(RuntimeError, match="Overload error"):
            bus.write("Torque_Enable", "gripper", 1, num_retry=5)
        assert has_torque(virtual) == {**dict.fromkeys(JOINT_NAMES, True), "gripper": False}
        for on in (False, True):
            virtual.tell(Power(on=on))
        bus.write("Torque_Enable", "gripper", 1, num_retry=5)
        assert bus.read("Torque_Enable", "gripper", num_retry=5) == 1

    def test_a_hot_servo_lets_go_and_says_so(self, virtual: Remote, bus: FeetechMotorsBus) -> None:
        virtual.tell(Heat(joint="shoulder_lift", temperature_c=75))
        eventually(lambda: not has_torque(virtual)["shoulder_lift"])
        assert bus.sync_read("Present_Temperature", num_retry=5)["shoulder_lift"] == 75
        with pytest.raises(RuntimeError, match="Overheat error"):
            bus.read("Present_Position", "shoulder_lift", normalize=False)
        virtual.tell(Heat(joint="shoulder_lift", temperature_c=None))
        bus.write("Torque_Enable", "shoulder_lift", 1, num_retry=5)

    def test_too_little_voltage_is_told_by_every_servo(self, virtual: Remote, bus: FeetechMotorsBus) -> None:
        virtual.tell(Supply(volts=3.5))
        assert bus.sync_read("Present_Voltage", num_retry=5) == dict.fromkeys(JOINT_NAMES, 35)
        with pytest.raises(RuntimeError, match="Input voltage error"):
            bus.read("Present_Position", "wrist_roll", normalize=False)


class TestPlug:
    def test_an_unplugged_port_fails_and_the_servos_hold_on_until_it_returns(
        self, virtual: Remote, bus: FeetechMotorsBus, patiently: Patiently
    ) -> None:
        port = virtual.folder / "follower"
        virtual.tell(Plug(plugged_in=False))
        assert not os.path.lexists(port)
        with pytest.raises(termios.error, match="Input/output error"):  # no OSError: pyserial lets it through
            bus.sync_read("Present_Position", normalize=False)
        with pytest.raises(ConnectionError, match="lerobot-find-port"):
            make_bus(virtual).connect()
        assert all(has_torque(virtual).values())
        virtual.tell(Plug(plugged_in=True))
        again = make_bus(virtual)
        patiently(again, again.connect)
        assert again.sync_read("Torque_Enable", num_retry=5) == dict.fromkeys(JOINT_NAMES, 1)
        again.disconnect()

    def test_without_the_power_brick_the_port_stays_and_nobody_answers(
        self, virtual: Remote, bus: FeetechMotorsBus
    ) -> None:
        virtual.tell(Power(on=False))
        assert not any(has_torque(virtual).values())
        assert bus.ping("gripper") is None
        virtual.tell(Power(on=True))
        assert bus.ping("gripper", num_retry=5) == 777


class TestCamera:
    def test_lerobot_sees_the_cube_move_in_red(self, virtual: Remote, camera: ZMQCamera) -> None:
        # The resting arm looks down at the field; red comes first, as LeRobot's RGB has it.
        seen = []
        for y_m in (-0.03, 0.03):
            virtual.tell(PlaceCube(x_m=0.22, y_m=y_m))
            time.sleep(0.3)
            frame = camera.async_read(timeout_ms=20_000).astype(int)
            red = (frame[..., 0] > 100) & (frame[..., 1] < 90) & (frame[..., 2] < 90)
            assert red.sum() > 50
            seen.append(np.argwhere(red).mean(axis=0))
        assert np.abs(seen[0] - seen[1]).max() > 5

    def test_a_frozen_camera_shows_the_past(self, virtual: Remote, camera: ZMQCamera) -> None:
        virtual.tell(CameraTrouble(camera="wrist", fault="frozen"))
        time.sleep(0.3)
        before = camera.async_read(timeout_ms=20_000)
        virtual.tell(PlaceCube(x_m=0.22, y_m=0.03))
        time.sleep(0.3)
        np.testing.assert_array_equal(camera.async_read(timeout_ms=20_000), before)
        virtual.tell(CameraTrouble(camera="wrist", fault="none"))
        eventually(lambda: np.abs(camera.async_read(timeout_ms=20_000).astype(int) - before).max() > 50)

    def test_a_slow_camera_shows_two_frames_a_second(self, virtual: Remote, camera: ZMQCamera) -> None:
        virtual.tell(CameraTrouble(camera="wrist", fault="slow"))
        camera.async_read(timeout_ms=20_000)
        camera.async_read(timeout_ms=20_000)
        begun_s = time.monotonic()
        for _ in range(3):  # who reads late has the first of them at once
            camera.async_read(timeout_ms=20_000)
        assert time.monotonic() - begun_s > 0.7

    def test_a_vanished_camera_is_stale_and_comes_back(self, virtual: Remote, camera: ZMQCamera) -> None:
        camera.async_read(timeout_ms=20_000)
        virtual.tell(CameraTrouble(camera="wrist", fault="vanished"))
        time.sleep(0.5)
        with pytest.raises(TimeoutError, match="too old"):
            camera.read_latest(max_age_ms=300)
        virtual.tell(CameraTrouble(camera="wrist", fault="none"))
        assert camera.async_read(timeout_ms=20_000).shape == (120, 160, 3)


class TestCommands:
    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("nonsense", "expected a command"),
            ('{"command": "dance"}', "dance"),
            ('{"command": "wire", "lost": 2}', "less than or equal to 1"),
            ('{"command": "move_hand", "joint_rad": {"elbow": 1}}', "elbow"),
            ('{"command": "move_hand", "joint_rad": {}}', "expected some of shoulder_pan"),
            ('{"command": "place_cube", "x_m": NaN}', "finite number"),
            ('{"command": "follow_path", "points": [[1, {"gripper": 0}], [0, {"gripper": 1}]]}', "rising times"),
        ],
    )
    def test_what_cannot_be_followed_is_refused_with_the_reason(self, virtual: Remote, line: str, reason: str) -> None:
        with pytest.raises(VirtualArmError, match=reason):
            virtual.tell_json(line)
        assert virtual.tell(MoveHand(joint_rad={"gripper": 0.5})) == {"duration_s": 0.25}
