"""The bus of the real arm against virtual servos: what LeRobot reads, bounded tries, and faults by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from robot.arm import JOINT_NAMES
from robot.errors import ArmError, BusLost, ServoSilent
from robot.so101.bus import So101Bus
from robot.so101.port import doubts_of_port, require_port
from robot.so101.registers import STATE, StatusBit, complaints
from robot.so101.settings import BusSettings
from robot.virtual.commands import Plug, Power, Silence, Wire
from robot.virtual.control import Remote

PATIENT = {"answer_timeout_s": 0.1, "tries": 10}


@pytest.fixture
def bus(virtual: Remote) -> Iterator[So101Bus]:
    made = So101Bus(BusSettings.model_validate({"port": virtual.folder / "follower", **PATIENT}))
    made.open()
    yield made
    made.close()


def test_one_read_brings_what_lerobot_reads_one_by_one_with_the_right_signs(bus: So101Bus) -> None:
    bus.ensure("Goal_Velocity", {"gripper": -300})
    bus.ensure("Homing_Offset", {"gripper": -1000})
    state = bus.fetch(STATE)
    assert bus._lerobot is not None
    for register in STATE:
        if register != "Present_Velocity":  # it trembles
            theirs = bus._lerobot.sync_read(register, normalize=False, num_retry=5)
            np.testing.assert_allclose(
                state[register], [theirs[name] for name in JOINT_NAMES], atol=3, err_msg=register
            )
    # The servo subtracts its offset: 1000 ticks less make the position 1000 greater.
    assert bus.fetch(["Goal_Velocity"])["Goal_Velocity"][5] == -300
    assert bus.fetch(["Homing_Offset"])["Homing_Offset"][5] == -1000


def test_who_has_not_answered_is_asked_again_and_counted(virtual: Remote) -> None:
    virtual.tell(Wire(lost=0.05, corrupt=0.05))
    quick = So101Bus(BusSettings(port=virtual.folder / "follower", answer_timeout_s=0.02, tries=20))
    quick.open()
    for _ in range(20):
        state = quick.fetch(STATE)
        assert set(state["Present_Voltage"]) == {50}  # 5 V of each, from a whole answer
    # Request or answer is spoilt in 1 - 0.9025² = 19 % of the 120 answers: none in 120 has odds of 1e-11.
    assert quick.unanswered.total() > 0
    quick.close()


def test_a_late_answer_is_not_taken_for_the_next_one(bus: So101Bus) -> None:
    assert bus._lerobot is not None
    # Read one byte at 63 of servo 6, its 27 degrees, and do not wait for it; then one byte of each, its 5 V.
    bus._lerobot.port_handler.writePort(bytes.fromhex("ffff0604023f01b3"))
    time.sleep(0.2)
    assert bus.fetch(["Present_Voltage"])["Present_Voltage"].tolist() == [50] * 6


def test_a_write_that_does_not_arrive_is_repeated_until_it_is_read_back(virtual: Remote, bus: So101Bus) -> None:
    virtual.tell(Wire(lost=0.3))
    for speed in range(3):
        bus.ensure("Goal_Velocity", dict.fromkeys(JOINT_NAMES, speed))
    virtual.tell(Wire())
    assert bus.fetch(["Goal_Velocity"])["Goal_Velocity"].tolist() == [2] * 6


def test_a_register_that_cannot_be_written_is_told(bus: So101Bus) -> None:
    with pytest.raises(ServoSilent, match=r"Present_Voltage of gripper: wrote .*: 7.* read .*: 50"):
        bus.ensure("Present_Voltage", {"gripper": 7})


class TestSilence:
    @pytest.mark.parametrize(
        ("silent", "message"),
        [
            (
                ("elbow_flex",),
                r"elbow_flex \(id 3\) did not answer 5 times .* check the cable that leads to elbow_flex",
            ),
            (("wrist_roll", "gripper"), "check the cable from wrist_flex to wrist_roll: all behind it are silent"),
        ],
    )
    def test_silent_servos_are_named_within_the_patience(
        self, virtual: Remote, silent: tuple[str, ...], message: str
    ) -> None:
        settings = BusSettings(port=virtual.folder / "follower", answer_timeout_s=0.03)
        bus = So101Bus(settings)
        bus.open()
        for joint in silent:
            virtual.tell_json(Silence(joint="gripper").model_copy(update={"joint": joint}).model_dump_json())
        begun_s = time.monotonic()
        with pytest.raises(ServoSilent, match=message):
            bus.fetch(STATE)
        assert settings.patience_s == pytest.approx(0.15)
        assert time.monotonic() - begun_s < settings.patience_s + 1.0
        bus.close()

    def test_without_power_the_brick_is_named(self, virtual: Remote, bus: So101Bus) -> None:
        virtual.tell(Power(on=False))
        with pytest.raises(ServoSilent, match=r"no servo answers .* is the power brick plugged in"):
            bus.fetch(STATE)
        virtual.tell(Power(on=True))
        assert bus.fetch(STATE)["Status"].tolist() == [0] * 6

    def test_a_patience_that_would_outlast_the_arm_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"got 10 x 0.5 s, expected at most 2.0 s together"):
            BusSettings(answer_timeout_s=0.5, tries=10)


class TestPort:
    @pytest.mark.parametrize(
        "act",
        [
            lambda bus: bus.fetch(STATE),
            lambda bus: bus.spread("Goal_Velocity", {"gripper": 0}),
            lambda bus: bus.ensure("Goal_Velocity", {"gripper": 0}),
        ],
        ids=["read", "write", "write and read"],
    )
    def test_an_unplugged_bus_is_lost_whatever_is_done_and_opens_again(
        self, virtual: Remote, bus: So101Bus, act: Callable[[So101Bus], None]
    ) -> None:
        virtual.tell(Plug(plugged_in=False))
        with pytest.raises(BusLost, match=r"lost while .* check the USB cable"):
            act(bus)
        with pytest.raises(BusLost, match="the port is not open"):
            act(bus)
        with pytest.raises(BusLost, match="there is no such device"):
            bus.open()
        virtual.tell(Plug(plugged_in=True))
        bus.open()
        act(bus)

    def test_a_missing_port_lists_what_there_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("robot.so101.port.STABLE_PORTS", tmp_path)
        with pytest.raises(BusLost, match=r"there is no such device.* has none: is the arm plugged in"):
            require_port(tmp_path / "nothing")
        (tmp_path / "usb-1a86_USB_Single_Serial_5A46-if00").symlink_to("/dev/null")
        with pytest.raises(ArmError, match=r"none is set; give arm\.so101\.port\. There: .*5A46-if00"):
            require_port(None)

    def test_a_name_that_swaps_at_a_reboot_is_doubted_and_the_stable_one_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("robot.so101.port.STABLE_PORTS", tmp_path)
        (tmp_path / "usb-ours-if00").symlink_to("/dev/ttyACM0")
        (tmp_path / "usb-other-if00").symlink_to("/dev/ttyACM1")
        (doubt,) = doubts_of_port(Path("/dev/ttyACM0"))
        assert "swap at a reboot" in doubt
        assert "usb-ours-if00" in doubt
        assert "other" not in doubt
        assert doubts_of_port(Path("/dev/serial/by-id/usb-ours-if00")) == []

    def test_something_that_is_no_port_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(BusLost, match="lost while opening"):
            So101Bus(BusSettings(port=tmp_path / "file")).open()


def test_each_bit_of_the_status_has_its_cause_and_its_cure() -> None:
    assert list(complaints({"gripper": 0, "elbow_flex": 0})) == []
    both = list(complaints({"gripper": StatusBit.OVERLOAD | StatusBit.HEAT, "elbow_flex": 0x40}))
    assert [it.split(":")[0] for it in both] == ["gripper", "gripper", "elbow_flex"]
    assert "let it cool" in both[0]
    assert "power of the servos off and on" in both[1]
    assert "got status 0x40" in both[2]
