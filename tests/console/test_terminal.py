"""`nudge learner` and `nudge actor` in real terminals, then quietly; and the logs that both leave."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.run_folder import LOGS_FOLDER
from links import free_port
from terminals import Window
from waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "terminal.md"
START_S = 120.0
STEPS = 40
# Demonstrations only: no policy is waited for. At the arm's own pace: somebody is to read the terminal meanwhile.
SMALL = (
    *("--loop.demo-episodes", "1000", "--loop.max-env-steps", str(STEPS), "--learner.encoder.source", "random:0"),
    *("--loop.pace", "realtime", "--loop.niceness", "0", "--dashboard.with-learner", "False"),
)


def start(verb: str, runs: Path, window: Window | None, *options: str) -> subprocess.Popen[str]:
    """In a terminal, or with its output in a pipe."""
    command = [sys.executable, "-m", "console.main", verb, "--runs", str(runs), "--run", "small", *SMALL, *options]
    output = subprocess.PIPE if window is None else window.fd
    size = {"COLUMNS", "LINES"}
    env = {name: value for name, value in os.environ.items() if name not in size} | {"TERM": "xterm-256color"}
    return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, text=True, env=env)


def text_of(window: Window) -> str:
    return "\n".join(window.lines)


def logged(run: Path, process: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (run / LOGS_FOLDER / f"{process}.jsonl").read_text().splitlines()]


def documented(verb: str) -> list[str]:
    """The options of a verb in the page."""
    (line,) = re.findall(rf"^    nudge {verb} (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return shlex.split(line)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_both_terminals_show_the_run_while_it_goes_on(runs: Path) -> None:
    port = str(free_port())
    with Window(columns=60) as narrow, Window(columns=140) as wide:
        learner = start("learner", runs, narrow, "--service.port", port)
        actor = start("actor", runs, wide, "--link.address", f"127.0.0.1:{port}")
        try:
            # Redraws come four times a second, steps ten times: not each is seen.
            stepping = re.compile("demonstration +0 +step [1-9]")
            eventually(lambda: stepping.search(text_of(wide)) is not None, "the actor's steps", START_S)
            assert wide.lines[-1] == " the operator drives"
            assert "learner         connected for " in text_of(wide)
            (numbers,) = [line for line in wide.lines if line.startswith("demonstration ")]
            assert "  spool  " in numbers  # the second column
            eventually(lambda: "you, demonstrating" in text_of(narrow), "who is in control", START_S)
            assert "actors          1         actor, last step" in text_of(narrow)
            assert max(map(len, narrow.lines)) <= 60
            assert actor.wait(timeout=60) == 0
            assert "late ticks" in text_of(wide)
            assert not any("the operator drives" in line for line in wide.lines)  # nobody does any longer
        finally:
            actor.kill()
            learner.send_signal(signal.SIGINT)
            learner.wait(timeout=60)
        eventually(lambda: narrow.lines[-1] == "", "the last line")
        assert "stopped; in control: " in text_of(narrow)
        assert "waiting for demonstrations" not in text_of(narrow)


def test_both_leave_a_log_with_what_was_told_and_more(runs: Path) -> None:
    learner, actor = logged(runs / "small", "learner"), logged(runs / "small", "actor")
    assert any(line["message"].startswith("listening on 127.0.0.1:") for line in learner)
    assert any(line["logger"] == "learner.servicer" and "says hello" in line["message"] for line in learner)
    assert any("demonstration 0: " in line["message"] for line in actor)
    assert any(line["message"] == "control: human" for line in actor)
    for process, lines in (("learner", learner), ("actor", actor)):
        assert {line["process"] for line in lines} == {process}
        assert [line["level"] for line in (lines[0], lines[-1])] == ["info", "info"]
        assert lines[-1]["message"] == f"{process} ends in order"


def test_the_page_says_how_to_find_warnings(runs: Path) -> None:
    (command,) = re.findall(r"^    (grep .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    log = runs / "small" / LOGS_FOLDER / "learner.jsonl"
    before = log.read_text()
    log.write_text('{"time": "now", "level": "warning", "message": "mind this"}\n' + before)
    here = command.replace("runs/demo", str(runs / "small"))
    found = subprocess.run(here, shell=True, check=True, capture_output=True, text=True)
    log.write_text(before)
    assert "mind this" in found.stdout.splitlines()[0]
    assert '"level": "info"' not in found.stdout


def test_quiet_leaves_what_it_came_to(runs: Path) -> None:
    port = str(free_port())
    learner = start("learner", runs, None, "--service.port", port, *documented("learner"))
    actor = start("actor", runs, None, "--link.address", f"127.0.0.1:{port}", *documented("actor"))
    said, _ = actor.communicate(timeout=60)
    assert (actor.returncode, len(said.splitlines())) == (0, 1), said
    assert said.startswith("policy – none has come yet; learner connected for ")
    learner.send_signal(signal.SIGINT)
    said, _ = learner.communicate(timeout=60)
    assert (learner.returncode, len(said.splitlines())) == (0, 1), said
    assert said.startswith("stopped; in control: no steps, the last one came ")
