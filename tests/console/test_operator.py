"""The operator that the settings name, and a person at a real terminal who teaches through `nudge actor`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from console.actor import drive
from console.errors import ConsoleError
from console.operator import opened_operator
from console.presets.load import load_preset
from console.run_folder import READY_FILE, STORE_FILE
from console.settings import Settings
from console.stopping import Child
from learner.store import StoreReader
from policy.experience import Source
from robot.safety.emergency import EmergencyStop
from teleop.attended import AttendedProgram
from teleop.errors import TeleopError
from teleop.takeover import OperatorView
from terminals import Window
from waiting import eventually

START_S = 120.0
UP, SPACE, ENTER, RERECORD = b"w", b" ", b"\r", b"r"


def opened(preset: str, **teleop: object) -> object:
    settings = load_preset(Settings, preset)
    settings = Settings.model_validate(settings.model_dump() | {"teleop": teleop})
    with opened_operator(settings, 0, EmergencyStop(), Console(file=io.StringIO())) as operator:
        return operator


def test_nobody_but_the_program_is_there_unless_a_device_is_named() -> None:
    assert isinstance(opened("fast"), AttendedProgram)


@pytest.mark.parametrize(("trained", "leads"), [(0, True), (1_000, False)])
def test_a_program_that_comes_back_to_a_run_leads_no_more_episodes_than_are_left(trained: int, leads: bool) -> None:
    settings = load_preset(Settings, "fast")
    console = Console(file=io.StringIO())
    seen = OperatorView(
        np.zeros(len(settings.contract.proprioception), np.float32), np.array([0.25, 0, 0.01, 0, 0], np.float32)
    )
    with opened_operator(settings, 0, EmergencyStop(), console, trained_episodes=trained) as operator:
        operator.begin_episode(demonstrating=False)
        hands_on = [operator.poll(seen).action is not None for _ in range(settings.operator.explore_steps[0])]
    assert any(hands_on) is leads


def test_the_program_that_sees_the_truth_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConsoleError, match="choose leader, gamepad or keyboard"):
        opened("so101", device="scripted")


def test_a_keyboard_without_a_terminal_is_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(TeleopError, match=r"start Nudge from the terminal .* teleop\.keys false"):
            opened("fast", device="gamepad")


def test_a_person_in_a_world_that_runs_as_fast_as_it_can_is_refused(tmp_path: Path) -> None:
    settings = load_preset(Settings, "fast")
    with pytest.raises(ConsoleError, match=r"loop\.pace: got learner, .* set loop\.pace to realtime"):
        drive(
            Settings.model_validate(settings.model_dump() | {"runs": tmp_path, "teleop": {"device": "keyboard"}}),
            Console(file=io.StringIO()),
        )
    assert list(tmp_path.iterdir()) == []


@contextmanager
def acting(folder: Path, window: Window) -> Iterator[subprocess.Popen[bytes]]:
    """`nudge learner`, and `nudge actor` at a terminal with a keyboard; the simulated arm, in real time."""
    small = ["--runs", str(folder), "--run", "small", "--learner.encoder.source", "random:0"]
    small += ["--dashboard.with-learner", "False"]
    run = folder / "small"
    with Child("learner", ["learner", *small, "--service.port", "0"], folder / "log"):
        eventually((run / READY_FILE).is_file, "the learner", START_S)
        actor = subprocess.Popen(
            [
                *(sys.executable, "-m", "console.main", "actor", *small),
                *("--link.address", json.loads((run / READY_FILE).read_text())["address"]),
                *("--loop.pace", "realtime", "--teleop.device", "keyboard", "--teleop.rehearsal", "False"),
                *("--teleop.keyboard.source", "terminal", "--task.judge", "operator"),
            ],
            stdin=window.fd,
            stdout=window.fd,
            stderr=window.fd,
            start_new_session=True,
        )
        try:
            yield actor
        finally:
            actor.terminate()
            actor.wait(60)


def test_a_person_demonstrates_at_the_terminal_and_throws_one_away(tmp_path: Path) -> None:
    with Window() as window, acting(tmp_path, window) as actor:
        eventually(lambda: b"waiting for you" in window.shown or actor.poll() is not None, "the actor", START_S)
        assert actor.poll() is None, window.shown.decode(errors="replace")
        lifting = threading.Event()

        def lift() -> None:
            while not lifting.wait(0.05):
                window.type(UP)

        for word in (RERECORD, ENTER):
            time.sleep(1.0)  # the same key within 0.7 s is a repeat
            window.type(SPACE)
            eventually(lambda: b"you drive" in window.shown, "the takeover")
            lifting.clear()
            hand = threading.Thread(target=lift)
            hand.start()
            time.sleep(1.0)
            lifting.set()
            hand.join()
            window.type(word)
            said = {RERECORD: b"to be recorded again", ENTER: b"success in"}[word]
            eventually(lambda said=said: said in window.shown, said.decode())  # type: ignore[misc]
        with StoreReader(tmp_path / "small" / STORE_FILE) as store:
            eventually(lambda: store.counts().demo_episodes == 1, "one demonstration")
            first, second = store.episodes()[:2]
            assert (first.rejected, first.success, second.rejected, second.success) == (True, False, False, True)
            steps = [step for _, step in store.read_after(0, 1000) if step.id.episode == 1]
        assert {step.source for step in steps} == {Source.DEMO}
        assert sum(float(step.action[2]) for step in steps) > 1.0  # it went up
        assert steps[-1].reward == 1.0
