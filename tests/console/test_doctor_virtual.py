"""`nudge doctor` on the virtual station: each accident changes the line that speaks of it, and the arm ends limp."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from console.doctor.context import Check
from console.doctor.findings import Finding, Level
from console.doctor.main import CHECKS, examine
from console.doctor.report import Diagnosis
from console.presets.load import load_preset
from console.settings import Settings
from policy.contract import Camera, Crop
from robot.motions import REST_RAD
from robot.safety.emergency import EmergencyStop
from robot.virtual.commands import CameraTrouble, Heat, Overload, Plug, Silence, State, Supply
from robot.virtual.control import Remote
from virtual_arm import BRISK, torque_of, true_rad

CAMERAS = ("wrist", "front")
# A busy machine may let a servo sleep, or the loop: what the machine is, these tests do not ask.
QUICK: dict[str, Any] = {
    "bus_reads": 5,
    "lost_share": 0.9,
    "camera_s": 0.3,
    "loop_s": 0.3,
    "late_share": 0.9,
    "steps_m": (0.005,),
    "learner_s": 0.5,
}


@pytest.fixture
def settings_for(virtual: Remote, tmp_path: Path) -> Callable[..., Settings]:
    """The virtual preset on the shared station; options of the doctor, and of the arm with `arm_`."""

    def make(**options: Any) -> Settings:
        preset = load_preset(Settings, "virtual")
        shown = virtual.tell(State())["cameras"]
        devices = [{"kind": "zmq", "name": name, "port": shown[name]["port"], "noisy": False} for name in CAMERAS]
        so101 = {
            "port": virtual.folder / "follower",
            "calibration_dir": virtual.folder / "calibration",
            "witness": None,
            "answer_timeout_s": 0.1,
            "tries": 10,
            "cameras": preset.arm.so101.cameras.model_dump() | {"devices": devices},
        }
        so101 |= {name.removeprefix("arm_"): value for name, value in options.items() if name.startswith("arm_")}
        doctor = {name: value for name, value in options.items() if not name.startswith("arm_")}
        arm = preset.arm.model_dump()
        arm |= {"so101": arm["so101"] | so101, "motion": BRISK.model_dump(), "safety": {"stale_frame_s": 5.0}}
        crop = Crop(top=0, left=20, height=120, width=120)
        size = {"native_height_px": 120, "native_width_px": 160, "crop": crop}
        cameras = [Camera.model_validate({"name": name} | size) for name in CAMERAS]
        return Settings.model_validate(
            preset.model_dump()
            | {"arm": arm, "runs": tmp_path, "run": "trial", "doctor": QUICK | doctor}
            | {"contract": preset.contract.model_dump() | {"cameras": cameras}}
            | {"teleop": {}}  # nobody has a leader arm, unless a test says so
            | {"link": preset.link.model_dump() | {"address": "127.0.0.1:9"}}
            | {"learner": preset.learner.model_dump() | {"encoder": {"source": "random:0"}}}
        )

    return make


def look(settings: Settings, on_check: Callable[[Check], None] = lambda _: None) -> Diagnosis:
    return examine(settings, threading.Event(), EmergencyStop(), on_check)


def of(found: Diagnosis, check: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.check == check]


def level_of(found: Diagnosis, check: str) -> Level:
    (finding,) = of(found, check)
    return finding.level


def test_a_hot_servo_a_low_supply_a_frozen_and_a_slow_camera_are_told_and_then_nothing_moves(
    virtual: Remote, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(camera_s=1.2)

    def when_open(check: Check) -> None:
        if check.name == "cameras.flow":
            virtual.tell(CameraTrouble(camera="wrist", fault="frozen"))
            virtual.tell(CameraTrouble(camera="front", fault="slow"))

    virtual.tell(Heat(joint="elbow_flex", temperature_c=68))
    virtual.tell(Supply(volts=4.2))
    found = look(settings, when_open)
    health = of(found, "bus.health")
    assert {it.level for it in health} == {Level.RED}
    assert "elbow_flex: 68 °C" in [it.got for it in health]
    assert "gripper: 4.2 V" in [it.got for it in health]
    wrist, front = of(found, "cameras.flow")
    assert front.level is Level.AMBER
    assert wrist.values["wrist_hz"] < front.values["front_hz"] < 10
    assert level_of(found, "arm.open") is Level.SKIPPED
    assert of(found, "arm.open")[0].got == "needs bus.health, which failed"
    assert found.verdict is Level.RED
    assert torque_of(virtual) == []


def test_a_silent_servo_is_named_and_what_needs_it_is_not_green(
    virtual: Remote, settings_for: Callable[..., Settings]
) -> None:
    virtual.tell(Silence(joint="wrist_flex"))
    found = look(settings_for(motion=False, arm_answer_timeout_s=0.03, arm_tries=5))
    (servos,) = of(found, "bus.servos")
    assert servos.level is Level.RED
    assert "wrist_flex (id 4)" in servos.got
    assert servos.cure == "check the cable that leads to wrist_flex"
    needing = {"bus.health", "bus.calibration", "bus.pose"}
    assert {level_of(found, name) for name in needing} == {Level.SKIPPED}
    assert {it.level for it in of(found, "cameras.devices")} == {Level.GREEN}


def test_an_unplugged_port_is_red(virtual: Remote, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(motion=False)
    virtual.tell(Plug(plugged_in=False))
    found = look(settings)
    assert level_of(found, "bus.port") is Level.RED
    assert of(found, "bus.servos")[0].got == "needs bus.port, which failed"


def test_a_calibration_with_a_turned_joint_or_of_another_arm_is_red_and_so_is_a_leader_that_does_not_fit(
    virtual: Remote, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    for arm, joint, field, value in (
        ("follower", "elbow_flex", "drive_mode", 1),
        ("leader", "shoulder_pan", "range_max", 2500),
    ):
        joints = json.loads((virtual.folder / "calibration" / f"{arm}.json").read_text())
        joints[joint][field] = value
        (tmp_path / f"{arm}.json").write_text(json.dumps(joints))
    patient = {"answer_timeout_s": 0.1, "tries": 10}
    leader = {"port": virtual.folder / "leader", "id": "leader", "calibration_dir": tmp_path} | patient
    made = settings_for(arm_calibration_dir=tmp_path)
    found = look(Settings.model_validate(made.model_dump() | {"teleop": {"leader": leader}}))
    (calibration,) = of(found, "bus.calibration")
    assert (calibration.level, calibration.got) == (Level.RED, "elbow_flex: drive_mode 1")
    leaders = of(found, "bus.leader")
    assert {it.level for it in leaders} == {Level.RED}
    assert any(it.got.startswith("shoulder_pan: a range of") for it in leaders)
    assert level_of(found, "arm.open") is Level.SKIPPED
    assert torque_of(virtual) == []


def test_an_overload_on_the_way_is_told_and_the_arm_is_let_go(
    virtual: Remote, settings_for: Callable[..., Settings]
) -> None:
    def at_the_joints(check: Check) -> None:
        if check.name == "arm.joints":
            virtual.tell(Overload(joint="gripper"))

    found = look(settings_for(), at_the_joints)
    assert level_of(found, "arm.open") is Level.GREEN
    (joints,) = of(found, "arm.joints")
    assert joints.level is Level.RED
    assert "gripper: it was overloaded" in joints.got
    assert level_of(found, "arm.start") is Level.SKIPPED
    assert torque_of(virtual) == []
    assert true_rad(virtual)[:5] == pytest.approx(REST_RAD[:5], abs=0.1)


@pytest.mark.slow
def test_a_sound_station_has_nothing_red_and_ends_folded_and_limp(
    virtual: Remote, settings_for: Callable[..., Settings]
) -> None:
    found = look(settings_for())
    assert [it for it in found.findings if it.level is Level.RED] == []
    green = {it.check for it in found.findings if it.level is Level.GREEN}
    assert green >= {check.name for check in CHECKS if check.name.startswith(("bus.", "arm."))} - {"bus.leader"}
    assert np.isfinite([it.values[f"{axis}_m"] for it in of(found, "arm.steps") for axis in "xyz"]).all()
    assert torque_of(virtual) == []
    assert true_rad(virtual)[:5] == pytest.approx(REST_RAD[:5], abs=0.1)
