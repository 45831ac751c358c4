"""`nudge doctor` on the simulated arm, and which line each thing that is wrong with host, learner or arm changes."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

import console.doctor.main
from console.doctor.arm import check_joints, check_steps
from console.doctor.cameras import check_light
from console.doctor.context import Check, Context, Drive
from console.doctor.drive import corners_m
from console.doctor.findings import Level
from console.doctor.host import check_clock, check_disk
from console.doctor.learner import check_learner
from console.doctor.loop import check_observations
from console.doctor.main import CHECKS, examine, main
from console.doctor.report import Diagnosis, print_diagnosis, render
from console.doctor.station import connected
from console.presets.load import load_preset
from console.settings import Settings
from policy.fakes import fake_contract
from robot.arm import JOINT_NAMES, JointBus
from robot.safety.emergency import EmergencyStop
from robot.sim import SimArm

type Listening = Callable[..., AbstractContextManager[int]]

BRISK = {"step_s": 0.01, "settle_s": 0.0, "fold_s": 0.1}
QUICK = {"loop_s": 0.2, "steps_m": (0.005, 0.02), "learner_s": 0.5}


def settings_in(folder: Path, **doctor: Any) -> Settings:
    """The simulated arm, in a hurry, with a learner nowhere."""
    preset = load_preset(Settings, "fast")
    encoder = preset.learner.encoder.model_copy(update={"source": "random:0"})
    return Settings.model_validate(
        preset.model_dump()
        | {"runs": folder, "run": "trial", "doctor": QUICK | doctor}
        | {"arm": preset.arm.model_dump() | {"motion": BRISK}}
        | {"link": preset.link.model_dump() | {"address": "127.0.0.1:9"}}
        | {"learner": preset.learner.model_dump() | {"encoder": encoder.model_dump()}}
    )


@contextmanager
def context_of(settings: Settings) -> Iterator[Context]:
    """A context whose simulated arm is stiff."""
    with ExitStack() as stack:
        context = Context(settings, threading.Event(), EmergencyStop(), stack)
        context.station = stack.enter_context(connected(settings, {}, context.emergency))
        yield context


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Diagnosis:
    return examine(settings_in(tmp_path_factory.mktemp("doctor")), threading.Event(), EmergencyStop())


def levels(found: Diagnosis) -> dict[str, Level]:
    return {finding.check: finding.level for finding in found.findings}


class TestASoundSimulatedArm:
    def test_has_nothing_red_and_every_check_of_its_kind_has_a_line(self, sound: Diagnosis) -> None:
        assert [it for it in sound.findings if it.level is Level.RED] == []
        assert list(levels(sound)) == [check.name for check in CHECKS if "sim" in check.kinds]
        green = {name for name, level in levels(sound).items() if level is Level.GREEN}
        assert green >= {it.name for it in CHECKS if it.moves}

    def test_is_told_to_programs_under_stable_names(self, sound: Diagnosis) -> None:
        told = json.loads(json.dumps(sound.as_json()))
        assert set(told) == {
            *("verdict", "version", "machine", "preset", "run", "arm", "contract_hash", "seconds"),
            *("findings", "tables"),
        }
        line = next(it for it in told["findings"] if it["check"] == "arm.joints")
        assert set(line) == {"check", "title", "level", "got", "expected", "cure", "values"}
        assert line["values"]["elbow_flex_rad"] == pytest.approx(0.052, abs=0.01)
        (rows,) = told["tables"].values()
        assert [row[0] for row in rows[1:]] == [it.name for it in sound.settings.contract.proprioception]

    def test_is_shown_on_a_page_that_needs_no_network(self, sound: Diagnosis) -> None:
        page = render(sound)
        assert "arm.joints" in page
        assert "data:image/png;base64," in page
        assert "http" not in page

    @pytest.mark.parametrize("width", [80, 120])
    def test_fits_the_terminal(self, sound: Diagnosis, width: int) -> None:
        printed = io.StringIO()
        print_diagnosis(sound, Console(width=width, file=printed))
        lines = printed.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        assert all(any(check.name in line for line in lines) for check in CHECKS if "sim" in check.kinds)


class TestTheVerb:
    @pytest.fixture(autouse=True)
    def _leaves_the_process_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        threads = torch.get_num_threads()
        monkeypatch.setattr(console.doctor.main, "stop_event", lambda on_second: threading.Event())
        yield
        torch.set_num_threads(threads)

    def test_without_motion_moves_nothing_and_prints_one_json_object(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--runs", str(tmp_path), "--run", "trial", "--link.address", "127.0.0.1:9"]
        assert main([*arguments, "--no-motion", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["verdict"] == "amber"  # no learner
        found = {it["check"]: it["level"] for it in told["findings"]}
        assert {found[check.name] for check in CHECKS if check.moves} == {"skipped"}
        assert (tmp_path / "trial" / "doctor.html").is_file()

    def test_its_status_is_1_when_something_is_red(self, tmp_path: Path, keys: Path) -> None:
        unfit = ["--link.tls.ca", str(keys / "nothing.pem")]
        assert main(["--runs", str(tmp_path), "--no-motion", "--json", *unfit]) == 1


def test_somebody_who_says_stop_is_obeyed_and_the_arm_comes_home(tmp_path: Path) -> None:
    stop = threading.Event()

    def at_the_joints(check: Check) -> None:
        if check.name == "arm.joints":
            stop.set()

    found = levels(examine(settings_in(tmp_path), stop, EmergencyStop(), at_the_joints))
    assert found["arm.open"] is Level.GREEN
    assert {found[name] for name in ("arm.joints", "arm.start", "loop.rate", "host.clock")} == {Level.SKIPPED}
    assert found["arm.home"] is Level.GREEN


class TestHost:
    def test_a_disk_without_room_for_a_run_is_red(self, small_disk: Callable[[int], Path]) -> None:
        (found,) = check_disk(Context(settings_in(small_disk(4096)), threading.Event(), EmergencyStop(), ExitStack()))
        assert found.level is Level.RED
        assert found.got.startswith("4 MB free")
        assert found.values["free_bytes"] < found.values["needed_bytes"]

    def test_a_clock_that_jumps_meanwhile_is_amber(self, tmp_path: Path) -> None:
        context = Context(settings_in(tmp_path), threading.Event(), EmergencyStop(), ExitStack())
        context.begun_wall_s -= 3600
        (found,) = check_clock(context)
        assert found.level is Level.AMBER
        assert "jumped by +3600.00 s" in found.got


class TestLearner:
    CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)

    def look(self, settings: Settings, **changes: Any) -> tuple[Level, str]:
        settings = settings.model_copy(update=changes)
        context = Context(settings, threading.Event(), EmergencyStop(), ExitStack())
        (found,) = check_learner(context)
        return found.level, found.got

    def test_one_of_the_same_contract_is_green_and_another_is_red_with_the_difference(
        self, tmp_path: Path, listening: Listening
    ) -> None:
        settings = settings_in(tmp_path)
        with listening(tmp_path) as port:
            link = settings.link.model_copy(update={"address": f"127.0.0.1:{port}"})
            patient = settings.doctor.model_copy(update={"learner_s": 20.0})
            level, got = self.look(settings, link=link, doctor=patient, contract=self.CONTRACT)
            assert level is Level.GREEN
            assert "run 'trial'" in got
            faster = self.CONTRACT.model_copy(update={"control_hz": 20.0})
            level, got = self.look(settings, link=link, doctor=patient, contract=faster)
            assert level is Level.RED
            assert "control_hz: 10.0 (the learner) != 20.0 (the actor)" in got

    def test_none_is_amber(self, tmp_path: Path) -> None:
        level, got = self.look(settings_in(tmp_path))
        assert level is Level.AMBER
        assert got.startswith("nobody answers at 127.0.0.1:9")


class Bent:
    """A simulated arm's joints of which one does not do as it is told; `bend` changes its goals."""

    def __init__(self, bus: JointBus, bend: Callable[[NDArray[np.float64]], None]) -> None:
        self._bus, self._bend = bus, bend
        self._home = bus.read_joints()

    def read_joints(self) -> NDArray[np.float64]:
        return self._bus.read_joints()

    def write_goals(self, joint_rad: NDArray[np.float64]) -> None:
        away = joint_rad - self._home
        self._bend(away)
        self._bus.write_goals(self._home + away)


ELBOW, WRIST = JOINT_NAMES.index("elbow_flex"), JOINT_NAMES.index("wrist_flex")


def turned(away: NDArray[np.float64]) -> None:
    away[ELBOW] *= -1


def stuck(away: NDArray[np.float64]) -> None:
    away[ELBOW] = 0


def coupled(away: NDArray[np.float64]) -> None:
    away[WRIST] += away[ELBOW]


class TestJoints:
    @pytest.mark.parametrize(
        ("bend", "level", "told"),
        [
            (turned, Level.RED, "elbow_flex: turned the other way"),
            (stuck, Level.RED, r"elbow_flex: moved [+-]0\.00"),
            (coupled, Level.AMBER, "elbow_flex: wrist_flex moved by 0.05"),
        ],
    )
    def test_one_that_does_not_do_as_it_is_told_is_named(
        self, tmp_path: Path, bend: Callable[[NDArray[np.float64]], None], level: Level, told: str
    ) -> None:
        with context_of(settings_in(tmp_path)) as context:
            station = context.opened()
            station.bus = Bent(station.bus, bend)
            (found,) = check_joints(context)
        assert found.level is level
        assert re.match(told, found.got)

    def test_servos_that_do_not_execute_small_steps_are_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = SimArm.command

        def coarse(arm: SimArm, joint_rad: NDArray[np.float64]) -> None:
            command(arm, np.round(joint_rad / 0.3) * 0.3)

        with context_of(settings_in(tmp_path, steps_m=(0.005,))) as context:
            context.opened().env.reset()
            monkeypatch.setattr(SimArm, "command", coarse)
            (found,) = check_steps(context)
        assert found.level is not Level.GREEN
        assert found.cure.startswith("raise arm.so101.p_gain")


class TestObservations:
    @pytest.mark.parametrize(
        ("value", "level", "told"),
        [(60.0, Level.RED, "joint.shoulder_pan: +66"), (1.5, Level.AMBER, "joint.shoulder_pan: +1.67")],
    )
    def test_what_lies_outside_its_range_is_told(self, tmp_path: Path, value: float, level: Level, told: str) -> None:
        context = Context(settings_in(tmp_path), threading.Event(), EmergencyStop(), ExitStack())
        middle = np.array([(it.low + it.high) / 2 for it in context.settings.contract.proprioception], np.float32)
        seen = middle + np.linspace(0, 1e-3, 4, dtype=np.float32)[:, None]
        seen[:, 0] = [value, value, value, value + 1e-3]
        context.drive = Drive(act_s=[0.0] * 4, proprioception=list(seen))
        (found,) = check_observations(context)
        assert found.level is level
        assert found.got.startswith(told)

    def test_what_is_always_the_same_is_told(self, tmp_path: Path) -> None:
        context = Context(settings_in(tmp_path), threading.Event(), EmergencyStop(), ExitStack())
        middle = np.array([(it.low + it.high) / 2 for it in context.settings.contract.proprioception], np.float32)
        seen = middle + np.linspace(0, 1e-3, 4, dtype=np.float32)[:, None]
        seen[:, -1] = 0.0
        context.drive = Drive(act_s=[0.0] * 4, proprioception=list(seen))
        (found,) = check_observations(context)
        assert found.level is Level.AMBER
        assert found.got == "lead.gripper: always +0.00"


def test_a_picture_of_one_colour_is_red_and_a_dark_one_amber(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dim = np.random.default_rng(0).integers(0, 20, (128, 128, 3)).astype(np.uint8)
    shown = {"wrist": np.zeros((128, 128, 3), np.uint8), "front": dim}
    monkeypatch.setattr(SimArm, "_render", lambda arm: shown)
    with context_of(settings_in(tmp_path)) as context:
        found = check_light(context)
    assert [it.level for it in found] == [Level.RED, Level.AMBER]
    assert found[0].got == "wrist: one colour everywhere, mean 0"


def test_the_corners_are_all_of_the_start_region_and_each_is_next_to_the_last(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    corners = np.array(corners_m(settings))
    assert len({tuple(corner) for corner in corners}) == 8
    assert corners.mean(axis=0) == pytest.approx(settings.task.start_m)
    moved = np.abs(np.diff(corners, axis=0)) > 1e-9
    assert (moved.sum(axis=1) == 1).all()
