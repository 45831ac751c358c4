"""The whole system as a person starts it: two real processes over gRPC, and a report at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reward_classifier.artefact import read_facts
from waiting import eventually

# Small, but nothing is left out: demonstrations, training, takeovers, evaluation, report.
SMALL = [
    *("--loop.demo-episodes", "6", "--learner.trainer.demo-episodes", "6"),
    *("--loop.max-env-steps", "700", "--learner.trainer.utd", "1.5", "--learner.sac.batch-size", "64"),
    *("--evaluation.rows", "2", "--evaluation.columns", "3", "--evaluation.yaws", "3"),
    *("--dashboard.with-learner", "False"),
]
START_S = 120.0
REPORT_KEYS = {
    "autonomous_success",
    "trials",
    "wilson_low",
    "success_by_cell",
    "env_steps",
    "wall_s",
    "robot_time_s",
    "intervention_rate_last_50",
    "updates",
    "effective_utd",
    "contract_hash",
    "seed",
}


BESIDE = ("--dashboard.with-learner", "True", "--dashboard.port", "0")


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "console.main", "demo", "--runs", str(folder), "--run", "small", *SMALL, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
    )


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended while we looked
            continue
        if str(folder) in line:
            found.append(line)
    return found


def text_of(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


BY_TRUTH = ("--task.judge", "simulator")  # without the phase in which a classifier is trained
EPISODES = ("--demo.successes", "9", "--demo.failures", "7", "--demo.most-updates", "60")
PHASES: dict[str, Callable[[Path], bool]] = {
    "demonstrating": lambda run: "demonstration 0" in text_of(run / "actor.log"),
    "preparing features": lambda run: "demonstration 1: success" in text_of(run / "actor.log"),
    "training": lambda run: "episode 2" in text_of(run / "actor.log"),
    "stopping": lambda run: (run / "policy.safetensors").is_file(),  # the learner's last act
    "evaluating": lambda run: (run / "policy.safetensors").is_file() and len(processes_of(run.parent)) == 1,
}
# Apart from the learner's phase these two are as `training`.
SELDOM = ("demonstrating", "preparing features")
SHORT = (
    *BY_TRUTH,
    *("--loop.demo-episodes", "2", "--learner.trainer.demo-episodes", "2"),
    *("--loop.max-env-steps", "140", "--learner.trainer.utd", "0.1"),
)


def test_the_demo_learns_a_little_and_reports_it(tmp_path: Path) -> None:
    demo = start(tmp_path, *EPISODES, *BESIDE)
    output, _ = demo.communicate(timeout=400)
    assert demo.returncode == 0, output
    run = tmp_path / "small"
    report = json.loads((run / "report.json").read_text())
    assert report.keys() >= REPORT_KEYS
    assert (report["trials"], report["env_steps"], report["demo_episodes"]) == (18, 700, 6)
    assert report["missing"] == []
    # The classifier alone has paid, and is told with its figures; the simulator's truth has judged the trials.
    facts = read_facts(run / "classifier")
    assert report["judge"] == facts.name
    assert facts.rule.n >= 5  # as long as the task asks for the cube to be held
    assert f"of {facts.figures.episodes.episodes} episodes that it had not seen it paid" in report["rewards"]
    assert report["rewards"] in (run / "report.html").read_text()
    assert "by the classifier, p " in text_of(run / "actor.log")
    assert json.loads((run / "evaluation.json").read_text())["label"] == "simulator"
    assert (run / "classifier" / "report.html").is_file()
    # 1.5 updates a step, and the first to begin with were the demonstrations'.
    assert 1.0 <= report["effective_utd"] <= 1.6
    # From 6 demonstrations and a minute of practice; a policy that has learned nothing lifts no cube at all. One that
    # lifts every fourth would lift none of 18 once in 200 times.
    assert report["autonomous_success"] > 0
    metrics = [json.loads(line)["metrics"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["bc_loss"] < 0.7 * metrics[0]["bc_loss"]
    assert (run / "report.html").stat().st_size > 20_000
    assert "autonomous success" in output
    assert re.search(r"dashboard +http://127\.0\.0\.1:\d+", output)
    assert re.search(r"^evaluating the policy alone", output, re.MULTILINE)  # not at the end of the table's last line
    assert processes_of(tmp_path) == []


def test_a_budget_that_demonstrations_have_spent_alone_is_told_as_such_and_reported(tmp_path: Path) -> None:
    demo = start(tmp_path, *SHORT, "--loop.max-env-steps", "15")
    output, _ = demo.communicate(timeout=400)
    assert demo.returncode == 1, output
    said = " ".join(output.split())
    assert "loop.max_env_steps: got 15, and the 2 demonstrations that were asked for left none of them" in said
    assert json.loads((tmp_path / "small" / "report.json").read_text())["env_steps"] == 15
    assert processes_of(tmp_path) == []


PAPER = (
    *("--loop.max-env-steps", "180", "--evaluation.columns", "1", "--evaluation.yaws", "1"),
    *("--learner.features.views", "2", "--learner.sac.batch-size", "32"),
    *("--learner.trainer.online-steps-before-training", "20"),
)


def test_the_papers_preset_runs_from_end_to_end_too(tmp_path: Path) -> None:
    demo = start(tmp_path, "--preset", "paper", *SHORT, *PAPER)
    output, _ = demo.communicate(timeout=400)
    assert demo.returncode == 0, output
    report = json.loads((tmp_path / "small" / "report.json").read_text())
    assert (report["preset"], report["env_steps"], report["missing"]) == ("paper", 180, [])


@pytest.mark.parametrize("phase", [pytest.param(p, marks=pytest.mark.slow if p in SELDOM else ()) for p in PHASES])
def test_ctrl_c_leaves_no_process_and_a_usable_run_folder(tmp_path: Path, phase: str) -> None:
    demo = start(tmp_path, *SHORT)
    run = tmp_path / "small"
    eventually(lambda: PHASES[phase](run), phase, START_S)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert processes_of(tmp_path) == []
    report = json.loads((run / "report.json").read_text())
    assert report["env_steps"] > 0
    assert any("No evaluation" in line for line in report["missing"])
    assert not list(run.glob("*.partial"))


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_killing_the_demo_outright_ends_learner_and_actor_too(tmp_path: Path) -> None:
    # Nobody says which of the two ends first: an actor whose learner is gone waits this long for acknowledgements.
    demo = start(tmp_path, *BY_TRUTH, "--loop.flush-s", "3")
    run = tmp_path / "small"
    eventually(lambda: PHASES["demonstrating"](run), "demonstrating", START_S)
    demo.kill()
    demo.communicate()
    eventually(lambda: processes_of(tmp_path) == [], "children gone", 30)


def test_an_earlier_run_of_the_name_is_moved_aside_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "precious").write_text("hours of demonstrations")
    demo = start(tmp_path)
    eventually((tmp_path / "small" / "settings.yaml").is_file, "settings", START_S)
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60)
    assert (tmp_path / "small.1" / "precious").read_text() == "hours of demonstrations"


def test_a_learner_that_cannot_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    demo = start(tmp_path, *BY_TRUTH, "--learner.encoder.source", str(tmp_path / "nowhere"))
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert "learner: it did not start" in output
    assert "nowhere" in output
    assert processes_of(tmp_path) == []
