"""Two evaluated policies side by side: figures by hand, refusals, and the page that a person sees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from console.compare.comparison import compare, load_side
from console.errors import ConsoleError
from console.main import main
from console.report.data import Evaluation, Grid, Trial
from learner.checkpoint_folder import checkpoint_name
from learner.store import ExperienceStore
from policy.experience import Source
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

GRID = Grid(rows=4, columns=5, x_low_m=0.20, x_high_m=0.30, y_low_m=-0.08, y_high_m=0.08)
CONTRACT = fake_contract(cameras=1, proprioception=2, size_px=8)


def evaluation(failing: set[int], steps: int = 30, seed: str = "3", yaw_rad: float = 0.0) -> Evaluation:
    """One trial in each of 20 cells; those fail whose number is given."""
    trials = []
    for number, (row, column) in enumerate((row, column) for row in range(4) for column in range(5)):
        x_m, y_m = GRID.centre_m(row, column)
        taken = 80 if number in failing else steps + number % 3
        trials.append(
            Trial(
                row=row,
                column=column,
                cube_x_m=x_m,
                cube_y_m=y_m,
                cube_yaw_rad=yaw_rad,
                success=number not in failing,
                steps=taken,
                robot_time_s=taken / 10,
            )
        )
    return Evaluation(
        trials=tuple(trials),
        grid=GRID,
        policy_version=7,
        deterministic=True,
        label="simulator",
        conditions={} if yaw_rad else {"grid": "4 x 5", "seed": seed},
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Run `old` fails in 8 cells, and its checkpoint of 20 updates in 3; run `new` fails in one, 5 steps faster."""
    for name, failing, steps in (("old", set(range(8)), 30), ("new", {19}, 25)):
        folder = tmp_path / name
        folder.mkdir()
        evaluation(failing, steps).save(folder)
        with ExperienceStore(folder / "experience.sqlite", CONTRACT) as store:
            for index in range(5):
                source = Source.DEMO if index < 2 else Source.POLICY
                steps_made = fake_episode(CONTRACT, 6, np.random.default_rng(index), episode=index, source=source)
                store.append([pack_step(step) for step in steps_made])
    for updates in (20, 30):
        folder = tmp_path / "old" / "checkpoints" / checkpoint_name(updates)
        folder.mkdir(parents=True)
        (folder / "checkpoint.json").write_text("{}")
    evaluation({0, 1, 2}).save(tmp_path / "old" / "checkpoints" / checkpoint_name(20))
    return tmp_path


def test_paired_by_trial(runs: Path) -> None:
    found = compare(load_side("old", runs), load_side("new", runs))
    assert (found.paired, found.both, found.first_only, found.second_only, found.neither) == (True, 11, 1, 8, 0)
    assert found.difference == pytest.approx(0.35)  # 19/20 less 12/20
    assert 0 < found.difference_low < 0.35 < found.difference_high
    assert found.p == 0.0390625  # 1 of 9, see test_comparison_statistics
    assert found.verdict == "new succeeds more often than old"
    assert found.cycle_difference_s == pytest.approx(-0.5)
    assert found.first.cycle is not None
    # Of 12 successful trials, numbers 8..19: steps 32, 30, 31, 32, 30, ... four of each.
    assert (found.first.cycle.low_s, found.first.cycle.median_s, found.first.cycle.high_s) == pytest.approx(
        (3.0, 3.1, 3.2)
    )


def test_checkpoints_by_updates_and_the_best(runs: Path) -> None:
    found = compare(load_side("old@20", runs), load_side("old@best", runs))
    assert (found.difference, found.p, found.both, found.neither) == (0, 1, 17, 3)
    assert found.verdict == "no difference in success that these trials can show"


def test_other_trials_cannot_be_paired(runs: Path) -> None:
    for name, yaw_rad, failing in (("old", 0.1, set(range(8))), ("new", 0.2, {19})):
        evaluation(failing, yaw_rad=yaw_rad).save(runs / name)
    found = compare(load_side("old", runs), load_side("new", runs))
    assert (found.paired, found.both, found.test) == (False, None, "Fisher's exact test")
    assert found.cycle_difference_s is None
    # Of 31 successes in 40 trials the first has 12 or 11, or as rarely the second: 2 (125970 · 20 + 167960) / 273438880
    assert found.p == pytest.approx(0.019656, abs=1e-6)


def test_different_conditions_are_refused_with_the_difference(runs: Path) -> None:
    evaluation(set(), seed="4").save(runs / "new")
    with pytest.raises(ConsoleError, match=r"(?s)different conditions.*seed: 3 against 4"):
        compare(load_side("old", runs), load_side("new", runs))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lost", "expected a run, or a checkpoint of one as run@updates or run@best"),
        ("old@30", "was not evaluated; `nudge eval --run old --evaluation.checkpoint 30` evaluates it"),
        ("old@25", "got checkpoint '25', expected best, newest, or updates that are there: 20, 30"),
        ("@20", "expected a run"),
    ],
)
def test_what_is_not_there_is_named(runs: Path, name: str, said: str) -> None:
    with pytest.raises(ConsoleError) as error:
        load_side(name, runs)
    assert said in str(error.value)


def test_as_a_person_asks_for_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "old", "new", "--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "12/20 = 60%" in said
    assert "difference (new less old): +35.0 points, 95 % interval" in said
    assert "8 only in new" in said
    page = (runs / "compare-old-new.html").read_text()
    assert "new succeeds more often than old." in page
    assert page.count('class="map"') == 2
    assert page.count("first-line") >= 3  # its colour, and a line in each of the two plots
    assert "http://" not in page
    assert "https://" not in page


def test_as_a_program_asks_for_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "old", "new@newest", "--runs", str(runs), "--json"]) == 1  # a run without checkpoints
    capsys.readouterr()
    assert main(["compare", "old", "old@20", "--runs", str(runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"]["name"], found["second"]["successes"], found["paired"]) == ("old", 17, True)
    assert not list(runs.glob("*.html"))
