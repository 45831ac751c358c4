"""`nudge store`: what it says of a store, what it finds, what it copies and removes, and what it leaves alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from console.main import main
from learner.store import ExperienceStore, StoreReader
from policy.errors import ContractMismatch
from policy.experience import Source, StepId
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=16)
A, B = "a" * 32, "b" * 32


def add(store: ExperienceStore, session: str, episode: int, steps: int, source: Source, *, whole: bool = True) -> None:
    made = fake_episode(CONTRACT, 9, np.random.default_rng(episode), session=session, episode=episode, source=source)
    last = [made[-1]] if whole else []
    numbered = [*made[: steps - len(last)], *last]
    store.append([pack_step(replace(step, id=StepId(session, episode, n))) for n, step in enumerate(numbered)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A: a demonstration of 4 steps, an episode of 3, an unfinished one of 2; B: an unfinished one of 1."""
    path = tmp_path / "runs" / "demo" / "experience.sqlite"
    with ExperienceStore(path, CONTRACT) as store:
        add(store, A, 0, 4, Source.DEMO)
        add(store, A, 1, 2, Source.POLICY, whole=False)
        add(store, A, 2, 3, Source.HUMAN)
        add(store, B, 0, 1, Source.POLICY, whole=False)
    return path


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


def nudge(*arguments: object) -> int:
    return main(["store", *map(str, arguments)])


class TestInfo:
    def test_it_tells_what_is_there(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert nudge("info", "--file", path, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found["contract_hash"] == CONTRACT.hash
        assert found["bytes"] == path.stat().st_size
        assert found["bytes_per_step"] == pytest.approx(path.stat().st_size / 10)  # 4 + 2 + 3 + 1 steps
        total = found["total"]
        assert (total["episodes"], total["complete"], total["unfinished"]) == (4, 2, 2)
        assert (total["demo"], total["online"], total["successes"]) == (1, 3, 2)
        assert (total["steps"], total["human_steps"]) == (10, 3)
        assert total["first"] == "1970-01-01T00:00:00+00:00"  # the fakes begin there
        assert list(found["sessions"]) == ["aaaaaaaa", "bbbbbbbb"]
        assert found["sessions"]["bbbbbbbb"]["steps"] == 1

    def test_the_table_names_the_run_and_keeps_the_secret(
        self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parents[2])
        assert nudge("info", "--run", "demo") == 0
        text = capsys.readouterr().out
        assert "4: 2 complete, 2 unfinished" in text
        assert "aaaaaaaa" in text
        assert "a" * 9 not in text

    def test_it_works_beside_a_learner_and_leaves_no_file(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = sorted(each.name for each in path.parent.iterdir())
        with ExperienceStore(path, CONTRACT) as store:
            add(store, B, 1, 2, Source.POLICY)
            assert nudge("info", "--file", path, "--json") == 0
            assert json.loads(capsys.readouterr().out)["total"]["steps"] == 12
            add(store, B, 2, 2, Source.POLICY)
        assert nudge("info", "--file", path) == nudge("verify", "--file", path) == 0
        assert sorted(each.name for each in path.parent.iterdir()) == before


def make_text(path: Path) -> None:
    path.write_text("no database, but long enough to look like one " * 20)


def make_foreign(path: Path) -> None:
    change(path, "CREATE TABLE cats (name)")


def make_newer(path: Path) -> None:
    ExperienceStore(path, CONTRACT).close()
    change(path, "PRAGMA user_version = 99")


def make_empty(path: Path) -> None:
    path.touch()


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("make", "sentence"),
        [
            (lambda _: None, "there is no such file"),
            (make_text, "file is not a database"),
            (make_foreign, "the database of another application (id 0x0, layout 0)"),
            (make_newer, "got layout 99 of an experience store, this Nudge reads 4; use a newer Nudge"),
            (make_empty, "an empty database"),
        ],
    )
    @pytest.mark.parametrize("verb", ["info", "verify", "prune", "export"])
    def test_each_is_told_apart_and_left_alone(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        make: Callable[[Path], None],
        sentence: str,
        verb: str,
    ) -> None:
        path = tmp_path / "x.sqlite"
        make(path)
        before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
        more = {"prune": ["--unfinished", "--yes"], "export": ["--to", str(tmp_path / "copy")]}.get(verb, [])
        assert nudge(verb, "--file", path, *more) == 1
        said = capsys.readouterr().err
        assert said.startswith("nudge: ")
        assert sentence in said
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before

    def test_another_contract_is_refused_with_the_difference(self, path: Path) -> None:
        other = CONTRACT.model_copy(update={"control_hz": 20.0})
        with pytest.raises(ContractMismatch, match=r"control_hz: 20.0 \(this run\) != 10.0 \(the store"):
            StoreReader(path, other)


class TestVerify:
    @pytest.mark.parametrize(
        ("sql", "finding"),
        [
            ("UPDATE episodes SET reward = 5 WHERE id = 1", "episode 0: its row says reward 5.0, its steps say 1.0"),
            ("UPDATE episodes SET steps = 9 WHERE id = 1", "episode 0: its row says steps 9, its steps say 4"),
            ("UPDATE episodes SET human_steps = 1 WHERE id = 3", "its row says human_steps 1, its steps say 3"),
            ("UPDATE episodes SET terminated = 0 WHERE id = 1", "its row says terminated 0, its steps say 1"),
            ("UPDATE steps SET step = 7 WHERE seq = 3", "episode 0, step 3: got this step where 2 is due"),
            ("UPDATE steps SET action = x'00' WHERE seq = 2", "step 1: action: got 1 bytes, the contract has 4"),
            ("UPDATE steps SET terminated = 1 WHERE seq = 2", "step 1: "),
            ("UPDATE steps SET final_proprioception = NULL WHERE seq = 4", "row 4 of steps has final frames, but no"),
            ("UPDATE steps SET source = 77 WHERE seq = 2", "step 1: source of"),
            ("UPDATE steps SET reward = 'much' WHERE seq = 2", "row 1 of episodes, or one of its steps, cannot"),
            ("UPDATE frames SET png = x'89504e470d0a1a0a' WHERE seq = 2", "session aaaaaaaa, episode 0, step 1: cam"),
            ("DELETE FROM frames WHERE seq = 2", "session aaaaaaaa, episode 0, step 1: observation: got frames of []"),
            ("DELETE FROM episodes WHERE id = 1", "file: row 1 of steps belongs to no row of episodes"),
            ("DELETE FROM steps WHERE seq = 10", "session bbbbbbbb, episode 0: it has no steps"),
        ],
    )  # fmt: skip
    def test_each_finding_is_named_with_its_place(
        self, path: Path, capsys: pytest.CaptureFixture[str], sql: str, finding: str
    ) -> None:
        assert nudge("verify", "--file", path) == 0
        assert "4 episodes checked, no findings" in capsys.readouterr().out
        change(path, sql)
        assert nudge("verify", "--file", path) == 1
        said = capsys.readouterr().out
        assert finding in said
        assert A not in said
        assert nudge("verify", "--file", path, "--json") == 1
        assert json.loads(capsys.readouterr().out)["findings"]


class TestExportAndPrune:
    def test_one_session_is_copied(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "new" / "copy.sqlite"
        assert nudge("export", "--file", path, "--to", target, "--session", "aa") == 0
        assert "3 episodes, 9 steps; none left out" in capsys.readouterr().out
        with StoreReader(target, CONTRACT) as copy:
            assert [record.index for record in copy.episodes()] == [0, 1, 2]
        assert nudge("export", "--file", path, "--to", target) == 1
        assert "never overwrites" in capsys.readouterr().err

    def test_nothing_goes_without_yes_nor_without_a_choice(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = path.read_bytes()
        assert nudge("prune", "--file", path, "--yes") == 1
        assert "nothing is chosen" in capsys.readouterr().err
        assert nudge("prune", "--file", path, "--session", "a") == 0
        said = capsys.readouterr().out
        assert "3 episodes, 9 steps are chosen" in said
        assert "the newest of session aaaaaaaa: an actor that goes on" in said
        assert "add --yes" in said
        assert path.read_bytes() == before

    def test_the_unfinished_go_but_the_newest_of_a_session(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge("prune", "--file", path, "--unfinished", "--yes") == 0
        said = capsys.readouterr().out
        assert "session aaaaaaaa, episode 1: 2 steps, unfinished" in said
        assert "1 episodes, 2 steps are chosen" in said
        assert "MB smaller" in said
        with ExperienceStore(path, CONTRACT) as store:
            assert [(record.session, record.index) for record in store.episodes()] == [(A, 0), (A, 2), (B, 0)]
        assert nudge("verify", "--file", path) == 0

    def test_a_running_learner_is_in_the_way(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with ExperienceStore(path, CONTRACT) as store:
            assert nudge("prune", "--file", path, "--session", "b", "--yes") == 1
            assert "a learner for one; stop it first" in capsys.readouterr().err
            assert store.counts().env_steps == 10
        assert nudge("prune", "--file", path, "--session", "b", "--episode", 0, "--yes") == 0
        with StoreReader(path) as reader:
            assert reader.counts().env_steps == 9


def test_an_unknown_verb_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert nudge("prone") == 2
    assert "Did you mean `nudge store prune`?" in capsys.readouterr().err
    assert nudge("--help") == 0
    assert "verify" in capsys.readouterr().out
