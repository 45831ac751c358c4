"""An evaluation that a person judges, at a terminal, on the simulated arm in real time; and the sheet for the table."""

from __future__ import annotations

import _thread
import io
import re
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from console.errors import ConsoleError
from console.evaluation.grid import conditions, make_grid, placements
from console.evaluation.judge import UNFINISHED_FILE, unfinished_trials
from console.evaluation.main import evaluate_checkpoint, main
from console.evaluation.placement_guide import drawn, told
from console.presets.load import load_preset
from console.report.data import Evaluation, Trial
from console.settings import Settings
from policy.encoder import load_encoder
from policy.network import PolicyNetwork, make_spec
from policy.snapshot import pack_snapshot
from robot.sim import sim_contract
from robot.task import CubePose
from teleop.keyboard.held import REPEAT_S
from terminals import Window
from waiting import SOON_S

ENTER, BACKSPACE, RERECORD = b"\r", b"\x7f", b"r"
BEGIN, ACTS, TIME_IS_UP = "begins it", "the policy acts", "time is up"  # what the terminal says
FAST = load_preset(Settings, "fast")


def settings(tmp_path: Path, max_episode_steps: int = 40) -> Settings:
    """Three cells beside each other, a judge of flesh and blood, ticks of 40 ms."""
    return Settings.model_validate(
        FAST.model_dump()
        | {
            "contract": sim_contract(control_hz=25).model_dump(),
            "runs": tmp_path,
            "run": "judged",
            "evaluation": {"rows": 1, "columns": 3, "yaws": 1},
            "task": {"judge": "operator", "max_episode_steps": max_episode_steps},
            "loop": {"pace": "realtime", "niceness": 0, "realtime_priority": 0},
            "teleop": {"keyboard": {"source": "terminal"}},
        }
    )


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The folder of one that has learned nothing."""
    chosen = settings(tmp_path)
    folder = tmp_path / "judged" / "checkpoint"
    folder.mkdir(parents=True)
    spec = make_spec(chosen.contract, load_encoder(chosen.learner.encoder), None, chosen.learner.network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = PolicyNetwork(spec, chosen.contract)
    (folder / "policy.safetensors").write_bytes(pack_snapshot(network, None, 40))
    return folder


class Person(threading.Thread):
    """Reads what the terminal says, and answers each question with the next of its keys.

    answers: what to wait for, for the how-manieth time, and what to press then
    """

    def __init__(self, window: Window, output: io.StringIO, answers: list[tuple[str, int, bytes]]) -> None:
        super().__init__(daemon=True)
        self._window, self._output, self.left = window, output, answers

    def run(self) -> None:
        deadline_s, pressed_s = time.monotonic() + SOON_S, dict[bytes, float]()
        while self.left:
            if time.monotonic() > deadline_s:
                _thread.interrupt_main()  # nobody asks any more: the evaluation would wait for ever
                return
            text, times, key = self.left[0]
            if self._output.getvalue().count(text) >= times:
                # Sooner after the same key it would be one that is held down.
                time.sleep(max(0.0, pressed_s.get(key, 0.0) + REPEAT_S + 0.05 - time.monotonic()))
                self._window.type(key)
                pressed_s[key] = time.monotonic()
                self.left.pop(0)
            time.sleep(0.005)


def test_the_operators_keys_begin_and_judge_the_trials(
    tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        *((BEGIN, 1, ENTER), (ACTS, 1, BACKSPACE)),
        *((BEGIN, 2, ENTER), (ACTS, 2, RERECORD)),
        *((BEGIN, 3, ENTER), (ACTS, 3, ENTER)),  # the second once more
        *((BEGIN, 4, ENTER), (ACTS, 4, BACKSPACE)),
    ]
    output = io.StringIO()
    console = Console(file=output, width=200)
    with Window() as window, window.as_file() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        person = Person(window, output, answers)
        person.start()
        found = evaluate_checkpoint(policy, settings(tmp_path), console)
        person.join(timeout=10)
    said = output.getvalue()
    assert [trial.success for trial in found.trials] == [False, True, False], said
    assert all(trial.steps < 40 for trial in found.trials)
    assert (found.label, found.conditions["judge"], found.policy_version) == ("operator", "operator", 40)
    assert found.late is not None
    assert found.late.ticks >= sum(trial.steps for trial in found.trials)
    assert Evaluation.load(policy) == found
    # Cell centres of three columns over -8..8 cm: -5.3, 0, 5.3; the right one is seen on the right.
    assert "trial 1 of 3: cube at x 25.0 cm, y −5.3 cm (to the arm's right), turned by 0°; `enter` begins it" in said
    assert "x  25.0 cm   ·  · [■]" in said
    assert said.count("trial 2 of 3") == 2
    assert "steps; 1 of 3 so far" in said


def test_a_world_that_does_not_wait_is_asked_for(
    tmp_path: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = settings(tmp_path)
    hurried = chosen.model_copy(update={"loop": chosen.loop.model_copy(update={"pace": "learner"})})
    with pytest.raises(ConsoleError, match=r"a person judges .* set loop\.pace to realtime"):
        evaluate_checkpoint(policy, hurried, Console(file=io.StringIO()))


def test_who_judges_is_a_condition_of_an_evaluation(tmp_path: Path) -> None:
    assert conditions(FAST)["judge"] == "simulator"
    assert conditions(settings(tmp_path))["judge"] == "operator"


def test_real_arms_are_evaluated_in_twenty_trials_and_virtual_ones_in_a_hundred() -> None:
    assert len(list(placements(load_preset(Settings, "so101")))) == 20
    assert len(list(placements(load_preset(Settings, "virtual")))) == 100


class TestTheGuide:
    def test_it_says_where_in_centimetres_and_degrees(self) -> None:
        assert told(7, 20, CubePose(0.2125, 0.064, 0.3927)) == (
            "trial 7 of 20: cube at x 21.2 cm, y +6.4 cm (to the arm's left), turned by 22.5°"
        )
        assert "y +0.0 cm, turned" in told(1, 20, CubePose(0.2, 0.0, 0.0))

    def test_far_is_up_and_the_arms_left_is_left(self) -> None:
        first = next(iter(placements(FAST)))  # row 0: near the arm; column 0: on its right
        grid = drawn(make_grid(FAST), first)
        assert "[■]" in grid[4]
        assert grid[4].rstrip().endswith("[■]")
        assert grid[0].startswith("  x  29.0 cm")
        assert grid[5].split() == ["y", "+6.4", "−6.4", "cm"]

    def test_the_sheet_is_in_real_size(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--guide", "--runs", str(tmp_path), "--run", "table", "--evaluation.yaws", "2"]) == 0
        path = tmp_path / "table" / "placement.html"
        assert str(path) in capsys.readouterr().out
        page = path.read_text()
        assert "width: 210.0mm; height: 297.0mm" in page
        assert 'viewBox="0 0 210.0 297.0"' in page
        # 25 cells of 160 / 5 x 100 / 5 mm, in a field in the middle of the sheet: 25 mm from its left edge.
        assert page.count('class="cell"') == 25
        cells = re.findall(r'class="cell" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', page)
        assert {(width, height) for _, _, width, height in cells} == {("32.00", "20.00")}
        assert min(float(x) for x, *_ in cells) == 25.0
        assert "x 29.0, y +6.4 cm" in page
        assert "This edge lies 20.0 cm from the origin" in page
        assert "0°, 45°" in page

    def test_a_field_that_no_sheet_holds_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConsoleError, match=r"got a field of 100 x 240 mm, but an A4 sheet has room for 237 x 180"):
            main(["--guide", "--runs", str(tmp_path), "--task.field-y-m", "-0.12", "0.12"])


def test_an_evaluation_that_was_left_goes_on_where_it_was(
    tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, output = settings(tmp_path, max_episode_steps=4), io.StringIO()
    kept = policy / UNFINISHED_FILE
    evaluation(chosen, judged=2).save(policy)
    (policy / "evaluation.json").rename(kept)
    assert len(unfinished_trials(policy, conditions(chosen), 40)) == 2
    assert unfinished_trials(policy, conditions(chosen), 41) == []  # of another policy
    with Window() as window, window.as_file() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        answers = [(BEGIN, 1, ENTER), (TIME_IS_UP, 1, RERECORD), (BEGIN, 2, ENTER), (TIME_IS_UP, 2, BACKSPACE)]
        Person(window, output, answers).start()
        found = evaluate_checkpoint(policy, chosen, Console(file=output, width=200))
    assert [(trial.success, trial.steps) for trial in found.trials[1:]] == [(True, 5), (False, 4)]
    assert "going on after 2 trials" in output.getvalue()
    assert output.getvalue().count("trial 3 of 3") == 2
    assert not kept.exists()


def evaluation(chosen: Settings, judged: int) -> Evaluation:
    """What somebody has judged so far: all successes."""
    trials = [
        Trial(
            row=each.row,
            column=each.column,
            cube_x_m=each.start.cube.x_m,
            cube_y_m=each.start.cube.y_m,
            cube_yaw_rad=each.start.cube.yaw_rad,
            success=True,
            steps=5,
            robot_time_s=0.2,
        )
        for each in placements(chosen)
    ][:judged]
    return Evaluation(
        trials=tuple(trials),
        grid=make_grid(chosen),
        policy_version=40,
        deterministic=True,
        label="operator",
        conditions=conditions(chosen),
    )
