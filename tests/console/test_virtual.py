"""`nudge virtual` as a process: how it starts and ends, and that LeRobot's own commands work against it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from queue import Empty, Queue

import pytest

import waiting
from console.stopping import Child
from console.virtual import main
from policy.errors import NudgeError
from robot.arm import JOINT_NAMES
from robot.virtual.commands import FollowPath, MoveHand, Plug, State
from robot.virtual.control import Remote
from robot.virtual.settings import VirtualSettings
from robot.virtual.station import CONTROL_SOCKET, Station

PATIENCE_S = 60.0
eventually = partial(waiting.eventually, within_s=PATIENCE_S)
BIN = Path(sys.executable).parent
QUIET = ("--cameras", "False")


def start(folder: Path, *options: str) -> Child:
    """A `nudge virtual` in a process of its own, once it answers."""
    child = Child("virtual arm", ["virtual", "--folder", str(folder), *options], folder.parent / "log")
    try:
        with Remote.when_ready(folder / CONTROL_SOCKET, PATIENCE_S):
            return child
    except NudgeError:
        raise AssertionError(child.last_lines()) from None


def introduction(child: Child) -> str:
    """All that it prints at the start, to the last line."""
    eventually(lambda: '"reset"' in child.last_lines())
    return child.last_lines(50)


def station(folder: Path) -> Station:
    return Station(VirtualSettings(folder=folder, cameras=False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "v"


def ends_without_a_trace(child: Child, folder: Path, number: signal.Signals) -> None:
    """It ends by this signal, and nothing remains but what the servos keep."""
    os.kill(child._process.pid, number)
    assert child._process.wait(PATIENCE_S) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["calibration", "servos.json"]


def test_what_it_prints_can_be_typed_until_ctrl_c(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with start(folder, *QUIET) as child:
        printed = introduction(child)
        commands = [shlex.split(line) for line in printed.splitlines() if line.startswith("  nudge virtual ")]
        assert len(commands) == 4
        for _, _, *argv in commands:
            assert main(argv) == 0
        assert '"duration_s": 0.25' in capsys.readouterr().out  # 0.5 rad at 2 rad/s
        scripts = [shlex.split(line)[0] for line in printed.splitlines() if line.startswith("  lerobot-")]
        assert scripts
        assert all((BIN / script).exists() for script in scripts)
        ends_without_a_trace(child, folder, signal.SIGINT)


def test_after_a_kill_the_next_one_takes_over_and_a_second_one_is_refused(folder: Path) -> None:
    with start(folder, *QUIET) as child:
        child._process.kill()
        child._process.wait()
    assert (folder / "follower").is_symlink()
    with start(folder, *QUIET) as child:
        assert (folder / "follower").is_char_device()
        with pytest.raises(NudgeError, match="another virtual arm runs in this folder"), station(folder):
            pass
        assert (folder / "follower").is_char_device()
        ends_without_a_trace(child, folder, signal.SIGTERM)


def test_it_takes_no_path_that_is_something_else(folder: Path) -> None:
    folder.mkdir()
    (folder / "leader").write_text("notes")
    with pytest.raises(NudgeError, match=r"leader: got a file or device, expected a free path"), station(folder):
        pass
    assert sorted(path.name for path in folder.iterdir()) == ["calibration", "leader", "servos.json"]


def test_telling_nobody_says_how_to_start_one(folder: Path) -> None:
    with pytest.raises(NudgeError, match=r"no virtual arm answers there .* start one with `nudge virtual`"):
        main(["--folder", str(folder), "--tell", '{"command": "state"}'])


# --- LeRobot's own commands -----------------------------------------------------------------------------------------


class Script:
    """One of LeRobot's console scripts, typed at and read from like a terminal."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"},
        )
        self._queue: Queue[bytes] = Queue()
        self.output = ""
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, text: str) -> None:
        """Read on until it has written something."""
        deadline_s = time.monotonic() + PATIENCE_S
        while text not in self.output:
            try:
                self.output += self._queue.get(timeout=0.1).decode()
            except Empty:
                assert time.monotonic() < deadline_s, self.output[-3000:]
                assert self._process.poll() is None, self.output[-3000:]

    def press_enter(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def end(self) -> str:
        """Wait for its end; all that it wrote."""
        assert self._process.wait(PATIENCE_S) == 0, self.output[-3000:]
        while not self._queue.empty():
            self.output += self._queue.get().decode()
        return self.output

    def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 4096):
            self._queue.put(chunk)


def arm_options(option: str, folder: Path, calibration: Path) -> list[str]:
    name, kind = ("follower", "so101_follower") if option == "robot" else ("leader", "so101_leader")
    return [
        f"--{option}.type={kind}",
        f"--{option}.port={folder / name}",
        f"--{option}.id={name}",
        f"--{option}.calibration_dir={calibration}",
    ]


@pytest.mark.slow
def test_lerobot_calibrate_runs_to_its_end(folder: Path, tmp_path: Path) -> None:
    joints = {name: 0.0 for name in JOINT_NAMES if name != "wrist_roll"}
    path = [(at_s, dict.fromkeys(joints, angle)) for at_s, angle in ((0.5, -9), (1, -9), (1.5, 9), (2, 9))]
    with start(folder, *QUIET, "--calibrated", "False"), Remote(folder / CONTROL_SOCKET) as remote:
        script = Script("lerobot-calibrate", *arm_options("teleop", folder, tmp_path))
        script.wait_for("to the middle of its range of motion and press ENTER")
        middle = {**joints, "gripper": 0.7854, "wrist_roll": 0.0}
        time.sleep(remote.tell_json(MoveHand(joint_rad=middle).model_dump_json())["duration_s"] + 0.5)
        script.press_enter()
        script.wait_for("POS")
        remote.tell(FollowPath(points=tuple(path)))
        time.sleep(path[-1][0] + 0.5)
        script.press_enter()
        script.wait_for("Calibration saved")
        script.end()
    found = json.loads((tmp_path / "leader.json").read_text())
    # 2047 +- 1.91986 rad * 4096 / 2 pi = 2047 +- 1252; the gripper's span is 1.91986 rad, half on each side.
    assert found["shoulder_pan"]["range_min"] == pytest.approx(2047 - 1252, abs=3)
    assert found["shoulder_pan"]["range_max"] == pytest.approx(2047 + 1252, abs=3)
    assert found["gripper"]["range_max"] - found["gripper"]["range_min"] == pytest.approx(1252, abs=3)


@pytest.mark.slow
def test_lerobot_teleoperate_leads_the_follower_with_cameras_on(folder: Path) -> None:
    with start(folder, "--camera-port", "0") as child, Remote(folder / CONTROL_SOCKET) as remote:
        line = next(it for it in introduction(child).splitlines() if it.startswith("  lerobot-teleoperate"))
        script = Script(*shlex.split(line), "--teleop_time_s=6", "--fps=30")
        script.wait_for("Teleop loop time")
        remote.tell(MoveHand(joint_rad={"shoulder_pan": 0.6, "gripper": 1.0}))
        eventually(lambda: abs(joint(remote, "follower", "shoulder_pan") - 0.6) < 0.02)
        eventually(lambda: abs(joint(remote, "follower", "gripper") - 1.0) < 0.03)
        script.end()
        assert not any(remote.tell(State())["arms"]["follower"]["has_torque"].values())


@pytest.mark.slow
def test_lerobot_find_port_finds_the_port_that_was_unplugged(folder: Path) -> None:
    port = Path(f"/dev/ttyNUDGE{os.getpid()}")
    if not os.access("/dev", os.W_OK):
        pytest.skip("a port in /dev needs the rights of an administrator")
    with start(folder, *QUIET, "--follower-port", str(port)), Remote(folder / CONTROL_SOCKET) as remote:
        script = Script("lerobot-find-port")
        script.wait_for("press Enter when done")
        remote.tell(Plug(plugged_in=False))
        script.press_enter()
        script.wait_for(f"The port of this MotorsBus is '{port}'")
        script.end()


@pytest.mark.slow
def test_lerobot_record_writes_an_episode(folder: Path, tmp_path: Path) -> None:
    with start(folder, "--camera-port", "0") as child:
        line = next(it for it in introduction(child).splitlines() if it.startswith("  lerobot-teleoperate"))
        options = shlex.split(line)[1:]
        script = Script(
            "lerobot-record",
            *options,
            "--dataset.repo_id=nudge/virtual",
            f"--dataset.root={tmp_path / 'dataset'}",
            "--dataset.single_task=nothing",
            "--dataset.num_episodes=1",
            "--dataset.episode_time_s=2",
            "--dataset.reset_time_s=0",
            "--dataset.fps=10",
            "--dataset.push_to_hub=false",
            "--play_sounds=false",
        )
        script.end()
    info = json.loads((tmp_path / "dataset" / "meta" / "info.json").read_text())
    assert info["total_episodes"] == 1
    assert info["total_frames"] >= 10
    assert info["features"]["observation.images.wrist"]["shape"] == [240, 320, 3]


def joint(remote: Remote, arm: str, name: str) -> float:
    return float(remote.tell(State())["arms"][arm]["joint_rad"][name])
