"""The button `evaluate`: a real `nudge eval` beside the dashboard, for a simulated arm; commands for a real one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from console.dashboard.evaluating import Evaluating
from console.dashboard.parts import Parts
from console.dashboard.run_state import RunWatch
from console.errors import ConsoleError
from console.evaluation.main import evaluate
from console.presets.load import load_preset
from console.report.data import Evaluation
from console.run_folder import POLICY_FILE
from console.settings import Settings
from console.stopping import FOLLOW_PARENT
from learner.checkpoint_folder import CHECKPOINTS, META, POLICY, checkpoint_name, list_checkpoints
from policy.encoder import load_encoder
from policy.network import PolicyNetwork, make_spec
from policy.snapshot import pack_snapshot, read_spec
from waiting import eventually

START_S = 120.0  # a process that loads torch and draws its first picture, on a busy machine


def settings(runs: Path, **changed: object) -> Settings:
    """Two trials of a few ticks."""
    grid = {"rows": 1, "columns": 2, "yaws": 1}
    fast = load_preset(Settings, "fast").model_dump()
    task = {**fast["task"], "max_episode_steps": 5}
    return Settings.model_validate(fast | {"runs": runs, "run": "lift", "evaluation": grid, "task": task} | changed)


@pytest.fixture
def run(tmp_path: Path) -> Settings:
    """With a policy that has learned nothing."""
    chosen = settings(tmp_path)
    spec = make_spec(chosen.contract, load_encoder(chosen.learner.encoder), None, chosen.learner.network)
    chosen.folder.mkdir()
    (chosen.folder / POLICY_FILE).write_bytes(pack_snapshot(PolicyNetwork(spec, chosen.contract), None, 40))
    return chosen


@pytest.fixture
def evaluating(run: Settings) -> Iterator[Evaluating]:
    made = Evaluating(lambda: run, lambda: None)
    yield made
    made.close()


def test_it_is_stopped_at_once_and_started_anew_and_its_result_is_that_of_the_run(
    run: Settings, evaluating: Evaluating
) -> None:
    torch.manual_seed(1)
    evaluating.start()
    with pytest.raises(ConsoleError, match="one is under way"):
        evaluating.start()
    assert evaluating.view().runs
    assert evaluating.stop() == "the evaluation was stopped"
    assert (evaluating.view().runs, evaluating.view().told) == (False, "")
    assert Evaluation.load(run.folder) is None

    evaluating.start()
    eventually(lambda: not evaluating.view().runs, "the evaluation", START_S)
    view = evaluating.view()
    assert not view.failed, view.told
    assert "of 2" in (run.folder / "evaluation.log").read_text().split("trial 1")[1]
    found = Evaluation.load(run.folder)
    assert found is not None
    assert (len(found.trials), found.policy_version) == (2, 40)
    assert "/2 = " in view.told
    assert "Evaluation by position" in Parts(None, evaluating).render(RunWatch(run).look())["maps"]


def test_an_evaluation_belongs_to_the_checkpoint_whose_policy_it_tried_though_a_newer_one_comes_meanwhile(
    run: Settings,
) -> None:
    path, spec = run.folder / POLICY_FILE, read_spec((run.folder / POLICY_FILE).read_bytes())
    newer = pack_snapshot(PolicyNetwork(spec, run.contract), None, 50)
    for updates, data in ((40, path.read_bytes()), (50, newer)):
        folder = run.folder / CHECKPOINTS / checkpoint_name(updates)
        folder.mkdir(parents=True)
        (folder / META).write_text("{}")
        (folder / POLICY).write_bytes(data)

    class Onlooker(Console):
        """A learner makes its next checkpoint while it is told of a trial."""

        def print(self, *objects: Any, **options: Any) -> None:
            path.write_bytes(newer)
            super().print(*objects, **options)

    found = evaluate(run, Onlooker(file=io.StringIO()), lines=True)
    assert path.read_bytes() == newer
    assert found.policy_version == 40
    evaluated = {each.name: Evaluation.load(each) for each in list_checkpoints(run.folder / CHECKPOINTS)}
    assert evaluated == {checkpoint_name(40): found, checkpoint_name(50): None}


def test_what_a_learner_has_learned_by_now_is_asked_for_first(run: Settings) -> None:
    newest, path = (run.folder / POLICY_FILE).read_bytes(), run.folder / POLICY_FILE
    path.unlink()

    def renew() -> None:
        path.write_bytes(newest)

    made = Evaluating(lambda: run, renew)
    made.start()
    assert path.is_file()
    made.close()

    def refuses() -> None:
        raise ConsoleError("checkpoint: the learner waits for demonstrations")

    path.unlink()
    with pytest.raises(ConsoleError, match="waits for demonstrations"):
        Evaluating(lambda: run, refuses).start()


def test_without_a_policy_or_while_it_cannot_be_read_that_is_said(run: Settings, evaluating: Evaluating) -> None:
    policy = run.folder / POLICY_FILE
    policy.write_bytes(b"no policy")
    evaluating.start()
    eventually(lambda: not evaluating.view().runs, "the end", START_S)
    assert evaluating.view().failed
    shown = Parts(None, evaluating).render(RunWatch(run).look())["evaluation"]
    assert 'class="bad"' in shown
    assert 'data-post="/evaluation/start"' in shown
    policy.unlink()
    with pytest.raises(ConsoleError, match="the learner writes it"):
        evaluating.start()


@pytest.mark.parametrize("changed", [{"arm": {"kind": "so101"}}, {"task": {"judge": "operator"}}])
def test_of_an_arm_that_stands_elsewhere_or_of_a_person_who_judges_the_commands_are_told(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    real = settings(tmp_path, **changed)
    evaluating = Evaluating(lambda: real, lambda: None)
    with pytest.raises(ConsoleError, match="not simulated here"):
        evaluating.start()
    real.folder.mkdir()
    shown = Parts(None, evaluating).render(RunWatch(real).look())["evaluation"]
    assert "nudge eval --preset PRESET_OF_THE_ACTOR --run lift" in shown
    assert f"{real.folder}/policy.safetensors" in shown
    assert "data-post" not in shown


def test_a_verb_that_follows_its_parent_is_interrupted_when_that_dies() -> None:
    script = (
        "import time; from console.stopping import interrupted_as_by_hand; interrupted_as_by_hand()\n"
        "try:\n    print('here', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n    print('parked')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, FOLLOW_PARENT: "1"},
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "here\n"
    child.stdin.close()  # as the kernel does for a parent that was killed
    assert child.stdout.read() == "parked\n"
    assert child.wait() == 0
