"""LeRobot's learner in our world: it learns from a plain run's demonstrations beside our loop, and is examined."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.learning_conditions import find
from bench.lerobot_settings import PeerSettings
from console.presets.load import dump_settings, load_preset
from console.report.main import report_run
from console.run_folder import SETTINGS_FILE, STORE_FILE
from console.settings import Settings
from learner.store import ExperienceStore
from policy.experience import Source
from policy.fakes import fake_episode
from policy.wire import pack_step

needs_lerobot_rl = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None,
    reason="LeRobot's rl modules need the extra lerobot[dataset]; `make` installs it",
)
LEROBOT = find("lerobot")
SMALL = PeerSettings(budget_s=4.0, batch=4, utd=2, steps_before_learning=4, push_s=0)
DEMO_STEPS = 5
EPISODE_STEPS = 6


def a_plain_run(runs: Path) -> Settings:
    """Two demonstrations of noise in the simulated arm's contract, paid by the simulator; help comes at once."""
    fast = load_preset(Settings, "fast")
    settings = fast.model_copy(
        update={
            "runs": runs,
            "run": "plain-0",
            "task": fast.task.model_copy(update={"max_episode_steps": EPISODE_STEPS}),
            "operator": fast.operator.model_copy(update={"explore_steps": (2, 2), "patience_steps": 1}),
        }
    )
    settings.folder.mkdir()
    dump_settings(settings, settings.folder / SETTINGS_FILE)
    rng = np.random.default_rng(0)
    with ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store:
        for index in range(2):
            steps = fake_episode(settings.contract, DEMO_STEPS, rng, episode=index, source=Source.DEMO)
            store.append([pack_step(step) for step in steps])
    report_run(settings)
    return settings


@needs_lerobot_rl
def test_it_learns_beside_the_loop_for_so_long_and_is_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.lerobot_condition import taught_by_lerobot

    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")  # compiling their augmentation takes longer than this test
    a_plain_run(tmp_path)
    row = taught_by_lerobot(LEROBOT, SMALL, 0, (1, 2, 1), tmp_path, "abc", Console(quiet=True))
    noted = [json.loads(line) for line in (tmp_path / "lerobot-0" / "updates.jsonl").read_text().splitlines()]
    assert [each["steps"] for each in noted] == list(range(1, len(noted) + 1))
    assert row.updates == 2 * len(noted) > 0
    assert row.demonstrations == 2
    assert row.env_steps > 2 * DEMO_STEPS + EPISODE_STEPS
    assert 4.0 <= row.teaching_s < row.wall_s
    assert row.exams[0].trials == 2
    # Of 6 steps the first two are the policy's; the operator has had some of the others.
    assert row.intervention_share_last_50 is not None
    assert 0 < row.intervention_share_last_50 < 0.8
    assert row.options == SMALL.options()
    (tmp_path / "plain-0" / STORE_FILE).unlink()  # one that is finished is read, not run again
    assert taught_by_lerobot(LEROBOT, SMALL, 0, (1, 2, 1), tmp_path, "abc", Console(quiet=True)) == row


@needs_lerobot_rl
def test_an_episode_becomes_what_lerobots_actor_sends() -> None:
    from bench.lerobot_sac import transitions

    contract = load_preset(Settings, "fast").contract
    gripper = [-1.0, -0.4, 0.6]
    made = [
        replace(step, source=source, action=np.array([0.1, 0.2, 0.3, command], np.float32))
        for step, source, command in zip(
            fake_episode(contract, 3, np.random.default_rng(0)),
            (Source.POLICY, Source.HUMAN, Source.DEMO),
            gripper,
            strict=True,
        )
    ]
    sent = transitions(made)
    # close, stay, open are 0, 1, 2: round(-1) + 1, round(-0.4) + 1, round(0.6) + 1
    assert [each["action"][-1].item() for each in sent] == [0, 1, 2]
    assert [each["complementary_info"]["is_intervention"] for each in sent] == [False, True, True]
    assert [each["done"] for each in sent] == [False, False, True]
    assert sent[0]["next_state"] is sent[1]["state"]
    assert made[-1].final is not None
    np.testing.assert_array_equal(sent[2]["next_state"]["observation.state"][0], made[-1].final.proprioception)
    assert made[0].action[-1] == -1  # nothing of ours has changed


@needs_lerobot_rl
def test_without_a_plain_run_it_says_which_is_missing(tmp_path: Path) -> None:
    from bench.learning_run import RunFailed
    from bench.lerobot_condition import taught_by_lerobot

    with pytest.raises(RunFailed, match=r"lerobot-0: it learns from the demonstrations of .*plain-0, which is not"):
        taught_by_lerobot(LEROBOT, SMALL, 0, (1, 1, 1), tmp_path, "abc", Console(quiet=True))


def test_what_differs_from_lerobots_example_is_told_as_options() -> None:
    assert PeerSettings().options() == ()
    assert PeerSettings(budget_s=3.0, utd=1).options() == ("--lerobot.budget-s", "3.0", "--lerobot.utd", "1")
