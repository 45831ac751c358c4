"""An episode again on an arm: in simulation it does what it did; what would be another motion is refused."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from rich.console import Console

from console.arm import opened_arm
from console.main import main
from console.presets.load import load_preset
from console.replay.arm import execute
from console.replay.reel import Reel
from console.settings import Settings
from demos.experience_file import new_experience
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from robot.env import ArmEnv, make_env
from robot.errors import ArmError, SafetyStop
from robot.motions import REST_RAD
from robot.safety.emergency import EmergencyStop
from robot.task import CubePose, Start
from robot.virtual.commands import State
from robot.virtual.control import Remote
from teleop.scripted import ScriptedOperator
from teleop.takeover import OperatorView
from virtual_arm import true_rad

SETTINGS = load_preset(Settings, "fast")
SESSION = "c" * 32


def demonstrate(settings: Settings) -> list[Step]:
    """The scripted operator grasps and lifts a cube, in simulation."""
    contract = settings.contract
    operator = ScriptedOperator(contract, settings.operator, 3)
    env = make_env(contract, settings.arm, settings.task, 0)
    seen, info = env.reset(options={"start": Start(CubePose(0.24, 0.03, 0.4), np.array([0.25, -0.01, 0.10]))})
    operator.begin_episode(demonstrating=True)
    steps: list[Step] = []
    ended = False
    while not ended:
        observation = seen_of(seen, info, contract)
        decision = operator.poll(OperatorView(seen["proprioception"], info["sim_only"]))
        assert decision.action is not None
        seen, reward, terminated, truncated, info = env.step(decision.action)
        ended = terminated or truncated
        steps.append(
            Step(
                id=StepId(SESSION, 0, len(steps)),
                observation=observation,
                action=info["executed"],
                source=Source.DEMO,
                reward=float(reward),
                terminated=terminated,
                truncated=truncated,
                policy_version=0,
                monotonic_ns=len(steps),
                wall_ns=len(steps),
                final=seen_of(seen, info, contract) if ended else None,
            )
        )
    env.close()
    assert terminated
    return steps


def seen_of(seen: dict[str, NDArray[Any]], info: dict[str, Any], contract: Contract) -> Observation:
    return Observation({it.name: seen[it.name] for it in contract.cameras}, seen["proprioception"], info["sim_only"])


def write(path: Path, steps: list[Step], contract: Contract) -> Path:
    with new_experience(path, contract) as new:
        new.append(steps, contract)
    return path


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The verb catches Ctrl+C for the rest of its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return demonstrate(SETTINGS)


@pytest.fixture(scope="module")
def path(steps: list[Step], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("demo") / "demo.sqlite", steps, SETTINGS.contract)


def test_in_simulation_a_success_comes_again_on_the_same_way(
    path: Path, steps: list[Step], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(path), "--on-arm", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["success"]
    assert told["recorded_success"]
    assert len(told["by_step_m"]) == told["recorded_steps"] == len(steps)
    assert told["max_m"] < 1e-5
    assert told["max_m"] == max(told["by_step_m"]) == told["by_step_m"][told["max_at_step"]]
    assert told["rms_m"] == pytest.approx(np.sqrt(np.mean(np.square(told["by_step_m"]))))


def test_it_begins_in_just_the_joints_that_were_recorded(steps: list[Step], tmp_path: Path) -> None:
    names = [dim.name for dim in SETTINGS.contract.proprioception]
    body = steps[0].observation.proprioception.copy()
    body[names.index("joint.gripper")] = 0.2  # where no episode begins otherwise
    moved = [replace(steps[0], observation=replace(steps[0].observation, proprioception=body)), *steps[1:]]
    reel = Reel(write(tmp_path / "moved.sqlite", moved, SETTINGS.contract))
    stop = threading.Event()
    stop.set()
    with opened_arm(SETTINGS, 0, EmergencyStop()) as env:
        execute(env, reel.look(0), SETTINGS, Console(quiet=True), stop)
        np.testing.assert_allclose(env.arm.read_joints(), body[:6], atol=1e-6)


def test_a_pressed_emergency_stop_ends_it_and_the_arm_is_closed(path: Path) -> None:
    opened: list[ArmEnv] = []

    def press_after_a_step() -> None:
        emergency = EmergencyStop()
        with opened_arm(SETTINGS, 0, emergency) as env:
            opened.append(env)
            acted = env.act

            def act(action: NDArray[np.float32], operator_silent_s: float = 0.0) -> None:
                acted(action, operator_silent_s)
                emergency.press("a test")

            env.act = act  # type: ignore[method-assign]
            execute(env, Reel(path).look(0), SETTINGS, Console(quiet=True), threading.Event())

    with pytest.raises(SafetyStop, match="emergency"):
        press_after_a_step()
    with pytest.raises(ArmError, match="it has been closed"):
        opened[0].arm.read()


def test_who_says_stop_before_the_first_step_gets_none(path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with opened_arm(SETTINGS, 0, EmergencyStop()) as env:
        assert execute(env, Reel(path).look(0), SETTINGS, Console(quiet=True), stop) is None


def test_another_scale_of_the_actions_is_refused(
    steps: list[Step], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actions = tuple(dim.model_copy(update={"scale": dim.scale / 2}) for dim in SETTINGS.contract.action)
    other = write(tmp_path / "other.sqlite", steps, SETTINGS.contract.model_copy(update={"action": actions}))
    assert main(["replay", str(other), "--on-arm"]) == 1
    assert "the same numbers would be another motion" in " ".join(capsys.readouterr().err.split())


def test_a_start_out_of_the_box_is_refused(
    steps: list[Step], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [dim.name for dim in SETTINGS.contract.proprioception]
    body = steps[0].observation.proprioception.copy()
    body[names.index("tool.z")] = -0.05
    low = [replace(steps[0], observation=replace(steps[0].observation, proprioception=body)), *steps[1:]]
    assert main(["replay", str(write(tmp_path / "low.sqlite", low, SETTINGS.contract)), "--on-arm"]) == 1
    assert "expected it in the controller's box" in " ".join(capsys.readouterr().err.split())


def test_a_real_arm_moves_only_when_somebody_says_yes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path), "--on-arm", "--preset", "virtual"]) == 1
    assert "add --yes to let it" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_the_virtual_arm_travels_to_the_start_and_follows_in_real_time(
    path: Path, virtual: Remote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["replay", str(path), "--on-arm", "--yes", "--json", "--preset", str(station(virtual, tmp_path))])
    told = json.loads(capsys.readouterr().out)
    assert len(told["by_step_m"]) == told["recorded_steps"]
    assert told["rms_m"] < 0.01
    assert status == (0 if told["success"] else 1)
    assert np.abs(true_rad(virtual)[1:4] - REST_RAD[1:4]).max() < 0.1  # parked


def station(virtual: Remote, folder: Path) -> Path:
    """The preset `virtual` on the station of this session."""
    cameras: dict[str, Any] = virtual.tell(State())["cameras"]
    crop = {"top": 0, "left": 20, "height": 120, "width": 120}
    so101 = {
        "port": str(virtual.folder / "follower"),
        "calibration_dir": str(virtual.folder / "calibration"),
        "witness": str(virtual.folder / "control"),
        "cameras": {
            "devices": [
                {"kind": "zmq", "name": name, "port": it["port"], "noisy": False} for name, it in cameras.items()
            ]
        },
    }
    seen = [{"name": name, "native_height_px": 120, "native_width_px": 160, "crop": crop} for name in cameras]
    path = folder / "station.yaml"
    own = {
        "extends": "virtual",
        "preset_name": "station",
        "runs": str(folder),
        "arm": {"so101": so101, "safety": {"stale_frame_s": 5.0}},
        "contract": {"cameras": seen},
    }
    path.write_text(yaml.safe_dump(own))
    return path
