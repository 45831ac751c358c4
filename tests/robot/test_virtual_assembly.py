"""How the virtual arms are put together, what they keep, and what their wire costs."""

from __future__ import annotations

import os
import random
import re
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from robot.arm import JOINT_NAMES
from robot.virtual import registers as reg
from robot.virtual.assembly import MOUNTING_TICKS, Keepsakes, assemble, calibrate
from robot.virtual.bus import ServoBus
from robot.virtual.commands import COMMAND
from robot.virtual.errors import VirtualArmError
from robot.virtual.hand import waypoints
from robot.virtual.line import SerialLine
from robot.virtual.packets import Packet
from robot.virtual.servo import JointState

PAGE = Path(__file__).parents[2] / "docs" / "virtual.md"
# As the Menagerie model has them [rad].
STOPS_RAD = np.array(
    [
        *((-1.91986, 1.91986), (-1.74533, 1.74533), (-1.69, 1.69)),
        *((-1.65806, 1.65806), (-2.74385, 2.74385), (-0.17453, 1.74533)),
    ]
)


def buses() -> dict[str, ServoBus]:
    return {arm: assemble(arm, random.Random(0)) for arm in MOUNTING_TICKS}


@pytest.mark.parametrize("arm", MOUNTING_TICKS)
def test_a_calibrated_arm_reads_its_ranges_at_its_stops_and_half_a_turn_in_the_middle(arm: str) -> None:
    bus = buses()[arm]
    calibration = calibrate(bus, STOPS_RAD)
    for name, servo, (low_rad, high_rad) in zip(JOINT_NAMES, bus.servos, STOPS_RAD, strict=True):
        read = []
        for angle_rad in (low_rad, (low_rad + high_rad) / 2, high_rad):
            servo.observe(JointState(float(angle_rad)), 0.0)
            read.append(reg.PRESENT_POSITION.decode(servo.read(reg.PRESENT_POSITION.address, 2)))
        assert read[1] == 2047, name
        if name != "wrist_roll":  # LeRobot gives it the full turn
            assert [calibration[name]["range_min"], calibration[name]["range_max"]] == pytest.approx(read[::2], abs=1)


def test_what_the_servos_keep_outlives_the_process(tmp_path: Path) -> None:
    first, path = buses(), tmp_path / "servos.json"
    keepsakes = Keepsakes(path, first)
    assert not keepsakes.restore()
    calibrate(first["follower"], STOPS_RAD)
    first["leader"].servos[5].write(reg.LOCK.address, b"\x00")
    first["leader"].servos[5].write(reg.ID.address, b"\x09")
    first["leader"].servos[5].write(reg.ACCELERATION.address, b"\x07")
    keepsakes.save()

    second = buses()
    assert Keepsakes(path, second).restore()
    for arm, bus in first.items():
        assert [it.memory.kept for it in second[arm].servos] == [it.memory.kept for it in bus.servos]
    assert second["leader"].servos[5].id == 9
    assert second["leader"].servos[5].memory.get(reg.ACCELERATION) == 0


@pytest.mark.parametrize("text", ["", "[]", '{"follower": []}', '{"follower": ["zz"], "leader": []}'])
def test_another_file_is_not_taken_for_what_they_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "servos.json"
    path.write_text(text)
    with pytest.raises(VirtualArmError, match=r"servos\.json: expected what the servos kept"):
        Keepsakes(path, buses()).restore()


def test_the_page_names_every_command_and_what_goes_with_it() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \|([a-z_`, ]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {command: {field.strip("` ") for field in fields.split(",")} - {""} for command, fields in rows}
    models = COMMAND.json_schema()["$defs"].values()
    assert named == {
        model["properties"]["command"]["const"]: set(model["properties"]) - {"command"} for model in models
    }


class TestLine:
    def test_a_dead_link_is_replaced_and_its_own_removed(self, tmp_path: Path) -> None:
        port = tmp_path / "port"
        port.symlink_to("/dev/pts/of-an-earlier-life")
        with SerialLine(port, buses()["leader"]) as line:
            assert port.is_char_device()
            line.unplug()
            assert not os.path.lexists(port)
            line.plug_in()
            assert port.is_char_device()
        assert list(tmp_path.iterdir()) == []

    def test_a_driver_that_never_reads_does_not_stop_the_servos(self, tmp_path: Path) -> None:
        bus = buses()["leader"]
        with SerialLine(tmp_path / "port", bus) as line:
            port = self.open(tmp_path / "port")
            # 600 answers of 134 bytes are twenty times what a terminal holds.
            for _ in range(600):
                os.write(port, Packet(1, 2, bytes((0, 128))).pack())
            os.write(port, Packet(2, 3, bytes((reg.TORQUE_ENABLE.address, 1))).pack())
            deadline_s = time.monotonic() + 20
            while not bus.servos[1].has_torque:
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
            assert line.sound
            os.close(port)

    def test_with_wire_timing_answers_take_their_time(self, tmp_path: Path) -> None:
        with SerialLine(tmp_path / "port", buses()["leader"], wire_timing=True):
            port = self.open(tmp_path / "port")
            begun_s = time.perf_counter()
            for _ in range(10):
                os.write(port, Packet(1, 2, bytes((56, 2))).pack())
                assert len(os.read(port, 100)) == 8
            # 160 µs for 16 bytes at 1 Mbit/s, and 500 µs until a servo as shipped speaks: 6.6 ms for ten.
            assert time.perf_counter() - begun_s >= 0.0066
            os.close(port)

    @staticmethod
    def open(path: Path) -> int:
        """Open a port at 1 Mbit/s, as a driver would."""
        port = os.open(path, os.O_RDWR | os.O_NOCTTY)
        settings = termios.tcgetattr(port)
        settings[4] = settings[5] = termios.B1000000
        termios.tcsetattr(port, termios.TCSANOW, settings)
        return port


class TestHand:
    def test_it_passes_the_waypoints_and_holds_the_last(self) -> None:
        path = waypoints([(1.0, {"gripper": 0.0}), (2.0, {"gripper": 1.0}), (4.0, {"gripper": 0.0})])
        angles = [path(at_s)["gripper"] for at_s in (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0)]
        assert angles == pytest.approx([0.0, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0])

    def test_it_starts_and_ends_without_speed(self) -> None:
        path = waypoints([(0.0, {"gripper": 0.0}), (1.0, {"gripper": 1.0})])
        # 3 s² - 2 s³: after a hundredth of the time three parts in ten thousand.
        assert path(0.01)["gripper"] == pytest.approx(3e-4, rel=0.01)
        assert 1 - path(0.99)["gripper"] == pytest.approx(3e-4, rel=0.01)
        fastest = max(path((step + 1) / 100)["gripper"] - path(step / 100)["gripper"] for step in range(100))
        assert fastest == pytest.approx(1.5 / 100, rel=0.01)
