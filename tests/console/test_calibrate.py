"""`nudge calibrate` against the virtual station: LeRobot's procedure, and doubts about its result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from calibrating import MIDDLE, SWING_S, perform, sweep, true
from console.calibrate import main
from console.errors import ConsoleError
from policy.errors import NudgeError
from robot.arm import JOINT_NAMES
from robot.so101.bus import So101Bus
from robot.so101.calibration import Scale, load_calibration
from robot.so101.settings import BusSettings
from robot.virtual.commands import Joint, State
from robot.virtual.control import Remote

# A busy machine may let a servo sleep.
PATIENT = ("answer-timeout-s", "0.1")


def options(virtual: Remote, arm: str, folder: Path | None = None) -> list[str]:
    given = {
        "port": str(virtual.folder / arm),
        "id": arm,
        "calibration-dir": str(folder or virtual.folder / "calibration"),
        PATIENT[0]: PATIENT[1],
    }
    return [text for name, value in given.items() for text in (f"--{arm}.{name}", value)]


@pytest.fixture
def leader(virtual: Remote) -> Iterator[So101Bus]:
    """The leader's bus, closed; its servos get their calibration back."""
    bus = So101Bus(BusSettings(port=virtual.folder / "leader", answer_timeout_s=0.1))
    yield bus
    bus.open()
    bus.ensure("Torque_Enable", dict.fromkeys(JOINT_NAMES, 0))
    bus.ensure("Lock", dict.fromkeys(JOINT_NAMES, 0))
    kept = true(virtual, "leader")
    for register, field in (
        ("Homing_Offset", "homing_offset"),
        ("Min_Position_Limit", "range_min"),
        ("Max_Position_Limit", "range_max"),
    ):
        bus.ensure(register, {name: kept[name][field] for name in JOINT_NAMES})
    bus.close()


def test_it_runs_lerobots_procedure_and_finds_its_result_sound(
    virtual: Remote,
    leader: So101Bus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    turning: tuple[Joint, ...] = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "gripper")
    perform(virtual, "leader", sweep(turning, MIDDLE, 0.0, SWING_S["leader"]), monkeypatch)
    assert main(options(virtual, "leader", tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "no findings" in printed
    assert "one read of its six servos takes" in printed

    found = json.loads((tmp_path / "leader.json").read_text())
    for name, truth in true(virtual, "leader").items():
        assert found[name] == pytest.approx(truth, abs=4), name
    # And so its angles are read as what they are; the hand still holds the middle.
    leader.open()
    read = Scale.of(load_calibration(tmp_path / "leader.json")).radians(
        leader.fetch(["Present_Position"])["Present_Position"]
    )
    leader.close()
    angles = virtual.tell(State())["arms"]["leader"]["joint_rad"]
    assert read == pytest.approx(np.array([angles[name] for name in JOINT_NAMES]), abs=0.01)


def test_a_procedure_that_gives_up_says_what_to_do_and_leaves_no_torque(
    virtual: Remote, leader: So101Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: "")
    monkeypatch.setattr("lerobot.motors.motors_bus.enter_pressed", lambda: True)  # before anything was moved
    with pytest.raises(ConsoleError, match=r"(?s)LeRobot gave up.* same min and max .*from end to end"):
        main(options(virtual, "leader", tmp_path))
    assert not any(virtual.tell(State())["arms"]["leader"]["has_torque"].values())
    assert list(tmp_path.iterdir()) == []


def test_a_check_compares_both_arms_with_their_files_and_changes_nothing(
    virtual: Remote, leader: So101Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [*options(virtual, "follower"), *options(virtual, "leader"), "--check"]
    assert main(both) == 0
    leader.open()
    leader.ensure("Homing_Offset", {"elbow_flex": -1400})
    leader.close()
    assert main(both) == 1
    printed = capsys.readouterr().out
    assert "leader, elbow_flex: got Homing_Offset -1400 in the servo, expected -1407 as in the file" in printed
    assert "1 findings" in printed


def test_without_a_port_or_a_file_it_says_which_option_is_missing(virtual: Remote, tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match=r"give --follower\.port, --leader\.port or both"):
        main(["--check"])
    with pytest.raises(NudgeError, match="there is no calibration; calibrate the arm with `nudge calibrate`"):
        main([*options(virtual, "follower", tmp_path), "--check"])
