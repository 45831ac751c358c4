"""`nudge checkpoint`: what there is, how it did, and the way back; and `nudge eval` on checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from console.checkpoints import checkpoint_table, choose_checkpoint, figures
from console.errors import ConsoleError
from console.main import main
from console.presets.load import load_preset
from console.report.data import Evaluation
from console.settings import Settings
from learner.checkpoint_folder import checkpoint_name, list_checkpoints, updates_of
from learner.store import ExperienceStore
from policy.encoder import load_encoder
from policy.fakes import fake_contract, fake_episode
from policy.network import PolicyNetwork, make_spec
from policy.snapshot import pack_snapshot
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=16)
FAST = load_preset(Settings, "fast")


def evaluation(successes: int, trials: int = 20, seed: str = "3") -> str:
    outcomes = [{"success": index < successes} for index in range(trials)]
    return json.dumps({"trials": outcomes, "conditions": {"grid": "5 x 5", "seed": seed}})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 6 steps with five checkpoints: 10 evaluated otherwise, 20 at 19/20, 30 at 12/20, 40 and 50 not."""
    folder = tmp_path / "trial"
    for updates in (10, 20, 30, 40, 50):
        checkpoint = folder / "checkpoints" / checkpoint_name(updates)
        checkpoint.mkdir(parents=True)
        (checkpoint / "checkpoint.json").write_text(json.dumps({"policy_version": updates}))
        (checkpoint / "policy.safetensors").write_bytes(b"policy of %d" % updates)
    for updates, text in ((10, evaluation(20, seed="4")), (20, evaluation(19)), (30, evaluation(12))):
        (folder / "checkpoints" / checkpoint_name(updates) / "evaluation.json").write_text(text)
    for name in ("policy.safetensors", "evaluation.json", "policy.mp4"):
        (folder / name).write_text(f"{name} of 50")
    with ExperienceStore(folder / "experience.sqlite", CONTRACT) as store:
        store.append([pack_step(step) for step in fake_episode(CONTRACT, 6, np.random.default_rng(0))])
    return folder


def nudge(run: Path, *arguments: object) -> int:
    return main(
        ["checkpoint", str(arguments[0]), "--runs", str(run.parent), "--run", run.name, *map(str, arguments[1:])]
    )


def there(folder: Path) -> list[int]:
    return [updates_of(path) for path in list_checkpoints(folder)]


class TestList:
    def test_for_programs(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert nudge(run, "list", "--json") == 0
        found = json.loads(capsys.readouterr().out)["checkpoints"]
        assert [each["updates"] for each in found] == [10, 20, 30, 40, 50]
        assert [each["best"] for each in found] == [False, True, False, False, False]
        assert [each["newest"] for each in found] == [False, False, False, False, True]
        assert found[0]["differs_in"] == ["seed"]
        assert (found[1]["successes"], found[1]["trials"], found[1]["success_rate"]) == (19, 20, 0.95)
        # Wilson at 19/20, z² = 3.841459: (.95 + .0960365 ± 1.959964·sqrt(.95·.05/20 + 3.841459/1600)) / 1.192073
        assert (found[1]["wilson_low"], found[1]["wilson_high"]) == pytest.approx((0.763869, 0.991123), abs=1e-5)
        assert found[4]["success_rate"] is None
        files = (run / "checkpoints" / checkpoint_name(50)).iterdir()
        assert found[4]["bytes"] == sum(path.stat().st_size for path in files)
        assert 0 <= found[4]["age_s"] < 600

    def test_for_people(self, run: Path) -> None:
        console = Console(width=140, record=True, file=None, force_terminal=False)
        with console.capture() as captured:
            console.print(checkpoint_table(run / "checkpoints"))
        lines = captured.get().splitlines()
        assert len(lines) == 6
        assert "20/20 = 100%" in lines[1]
        assert "does not compare: another seed" in lines[1]
        assert "19/20 = 95%" in lines[2]
        assert "76.4% to 99.1%" in lines[2]
        assert lines[2].rstrip().endswith("best")
        assert lines[5].rstrip().endswith("newest")

    def test_a_run_without_checkpoints_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert nudge(tmp_path / "nothing", "list") == 1
        assert "nothing/checkpoints: there is no checkpoint" in capsys.readouterr().err


class TestChoosing:
    def test_by_updates_best_and_newest(self, run: Path) -> None:
        root = run / "checkpoints"
        chosen = {name: updates_of(choose_checkpoint(root, name)) for name in ("40", "best", "newest")}
        assert chosen == {"40": 40, "best": 20, "newest": 50}

    @pytest.mark.parametrize("name", ["45", "oldest", "-10"])
    def test_what_is_not_there_is_refused_with_what_is(self, run: Path, name: str) -> None:
        with pytest.raises(ConsoleError, match=rf"got checkpoint '{name}', expected .* 10, 20, 30, 40, 50"):
            choose_checkpoint(run / "checkpoints", name)

    def test_without_evaluations_none_is_the_best(self, run: Path) -> None:
        for path in run.rglob("checkpoints/*/evaluation.json"):
            path.unlink()
        with pytest.raises(ConsoleError, match=r"nudge eval --evaluation\.checkpoint all"):
            choose_checkpoint(run / "checkpoints", "best")


class TestRollback:
    def test_to_the_best(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        store = (run / "experience.sqlite").read_bytes()
        assert nudge(run, "rollback", "--to", "best") == 0
        said = capsys.readouterr().out
        assert "back at update 20; the checkpoints of 30, 40, 50 are now in" in said
        assert "all 6 steps" in said
        aside = run / "checkpoints" / "rolled-back-1"
        assert (there(run / "checkpoints"), there(aside)) == ([10, 20], [30, 40, 50])
        # The run shows the policy that it went back to; what it showed before is not gone.
        assert (run / "policy.safetensors").read_bytes() == b"policy of 20"
        assert json.loads((run / "evaluation.json").read_text()) == json.loads(evaluation(19))
        assert not (run / "policy.mp4").exists()
        for name in ("policy.safetensors", "evaluation.json", "policy.mp4"):
            assert (aside / name).read_text() == f"{name} of 50"
        assert (run / "experience.sqlite").read_bytes() == store
        assert json.loads((run / "checkpoints" / "rollback.json").read_text())["env_steps"] == 6

    def test_a_running_learner_is_in_the_way(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with ExperienceStore(run / "experience.sqlite", CONTRACT):
            assert nudge(run, "rollback", "--to", 20) == 1
        assert "another process writes into this experience store, a learner for one" in capsys.readouterr().err
        assert there(run / "checkpoints") == [10, 20, 30, 40, 50]

    def test_from_the_newest_there_is_nothing_to_go_back_from(
        self, run: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge(run, "rollback", "--to", 50) == 1
        assert "is the newest checkpoint already" in capsys.readouterr().err
        assert (run / "policy.mp4").exists()


def test_an_unknown_verb_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "rolback"]) == 2
    assert "Did you mean `nudge checkpoint rollback`?" in capsys.readouterr().err
    assert main(["checkpoint", "--help"]) == 0
    assert "rollback" in capsys.readouterr().out


class TestEvaluatingCheckpoints:
    """Real trials in the simulation: one cell, policies that have learned nothing."""

    @pytest.fixture
    def trained(self, tmp_path: Path) -> Path:
        encoder, settings = load_encoder(FAST.learner.encoder), FAST.learner
        spec = make_spec(FAST.contract, encoder, None, settings.network)
        for updates in (10, 20):
            folder = tmp_path / "trial" / "checkpoints" / checkpoint_name(updates)
            folder.mkdir(parents=True)
            (folder / "checkpoint.json").write_text("{}")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(updates)
                policy = PolicyNetwork(spec, FAST.contract)
            (folder / "policy.safetensors").write_bytes(pack_snapshot(policy, None, updates))
        (tmp_path / "trial" / "policy.safetensors").write_bytes((folder / "policy.safetensors").read_bytes())
        return tmp_path / "trial"

    def evaluate(self, run: Path, *options: str) -> int:
        small = ["--evaluation.rows", "1", "--evaluation.columns", "1", "--evaluation.yaws", "1"]
        run_named = ["--runs", str(run.parent), "--run", run.name]
        return main(["eval", *run_named, *small, "--task.max-episode-steps", "3", *options])

    def test_each_gets_its_own_and_what_was_done_is_not_done_again(
        self, trained: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        older, newer = list_checkpoints(trained / "checkpoints")
        # The newest policy of the run, as ever; a checkpoint has the same one.
        assert self.evaluate(trained) == 0
        found = Evaluation.load(trained)
        assert found is not None
        assert found.policy_version == 20
        assert Evaluation.load(newer) == found
        assert (trained / "policy.mp4").is_file()
        assert Evaluation.load(older) is None

        before = (newer / "evaluation.json").stat().st_mtime_ns
        assert self.evaluate(trained, "--evaluation.checkpoint", "all") == 0
        assert "checkpoint update-000000010" in capsys.readouterr().out
        assert (newer / "evaluation.json").stat().st_mtime_ns == before
        first = Evaluation.load(older)
        assert first is not None
        assert (first.policy_version, first.conditions) == (10, found.conditions)
        assert Evaluation.load(trained) == found  # the run still shows its newest

        assert self.evaluate(trained, "--evaluation.checkpoint", "10", "--evaluation.seed", "5") == 0
        shown = {each.updates: each for each in figures(trained / "checkpoints")}
        assert shown[10].differs_in == ("seed",)
        assert shown[20].best
        assert Evaluation.load(older) != first

    def test_one_that_is_not_there_is_named(self, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.evaluate(trained, "--evaluation.checkpoint", "15") == 1
        assert (
            "got checkpoint '15', expected best, newest, or updates that are there: 10, 20" in capsys.readouterr().err
        )
