"""The benchmark of learning: its conditions are settings that exist, and its page is what the data say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import results_page
from bench.baselines import parse
from bench.learning import Options
from bench.learning_conditions import CONDITIONS, PLAIN, Condition, find
from bench.learning_row import DATA, Exam, Row, keep_rows, read_rows
from bench.results_figures import curves, successes
from bench.results_lines import lines
from console.presets.load import load_settings
from console.settings import Settings
from robot.sim import require_simulated


def a_row(
    condition: str = "6000",
    seed: int = 0,
    cells: dict[str, tuple[int, int]] | None = None,
    options: tuple[str, ...] | None = None,
) -> Row:
    return Row(
        condition=condition,
        preset="demo",
        seed=seed,
        options=find(condition).options if options is None else options,
        exams=(Exam(look="as in training", cells=cells or {"0,0": (7, 8), "0,1": (8, 8)}, cycle_s=1.5),),
        env_steps=6000,
        robot_time_s=600.0,
        teaching_s=300.0,
        wall_s=480.0,
        updates=24_000,
        demonstrations=20,
        intervention_share_last_50=0.02,
        training_success_last_50=0.9,
        demo_cycle_s=1.8,
        curve=((600, 0.2, 0.3),),
        judge="",
        machine="a laptop",
        code="abc",
    )


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_each_condition_has_settings_that_exist(condition: Condition) -> None:
    chosen = find(condition.name)
    if chosen.imitates:
        assert parse(["plain", *chosen.options]).source == "plain"
        return
    if chosen.by_lerobot:
        assert chosen.options == ()  # its settings are those of `--lerobot`
        return
    changed = load_settings(Settings, list(chosen.options), chosen.preset or "demo", "test")
    assert str(changed.loop.max_env_steps) in chosen.options
    require_simulated(changed.contract)
    for _, options in chosen.looks:
        assert load_settings(Settings, [*chosen.options, *options], chosen.preset or "demo", "test") != changed


def test_another_world_contract_or_encoder_needs_a_classifier_of_its_own() -> None:
    alone = {each.name for each in CONDITIONS if each.pays_itself}
    assert alone == {"randomised", "random-encoder", "maps-6x6", "strides-1cm", "strides-3cm"}


def test_a_condition_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(SystemExit, match=r"'slow': there is none, expected one of plain, "):
        find("slow")


def test_all_are_chosen_by_one_word_the_plain_run_first_which_others_build_on() -> None:
    assert Options(conditions=("all",)).chosen == CONDITIONS
    assert CONDITIONS[0].name == PLAIN
    assert Options(conditions=("never", "one-step")).chosen == (find("never"), find("one-step"))
    assert (find("never").yaws, find("one-step").yaws) == (8, 4)


def test_a_run_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    keep_rows(tmp_path / "results.json", [a_row(seed=0), a_row(seed=1)])
    again = a_row(seed=1, cells={"0,0": (0, 8)})
    assert keep_rows(tmp_path / "results.json", [again]) == (a_row(seed=0), again)
    assert read_rows(tmp_path / "results.json") == (a_row(seed=0), again)


def test_results_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('[{"condition": "plain"}]')
    with pytest.raises(SystemExit, match=r"results.json: not results of this version"):
        read_rows(tmp_path / "results.json")


def test_seeds_count_together_and_the_worst_cell_is_told() -> None:
    page = results_page.page([a_row(seed=0), a_row(seed=1, cells={"0,0": (4, 8), "0,1": (8, 8)})])
    told = "| **84.4 %** of 32, 68.2 to 93.1 % | 93.8 %, 75 % | 50 % | 2.0 %, 2.0 % | 1.5 s, 1.8 s | 6,000 |"
    assert f"{told} 8 min, 8 min |" in page


def test_runs_under_older_presets_stand_in_a_line_of_their_own_with_what_differs(tmp_path: Path) -> None:
    options = find(PLAIN).options
    older = a_row(PLAIN, options=("--learner.sac.target-entropy", "-2", *options))
    rows = keep_rows(tmp_path / "results.json", [older, a_row(PLAIN)])
    assert [line.title for line in lines(rows)] == [
        "as it comes, 9,000 steps",
        "as it comes, 9,000 steps; target-entropy -2",
    ]


def test_figures_show_conditions_as_they_are_now_and_curves_without_parts() -> None:
    older = a_row(PLAIN, options=("--learner.sac.target-entropy", "-2", *find(PLAIN).options))
    rows = [a_row(name, options=find(name).options) for name in (PLAIN, "never", "one-step")]
    shown, drawn = successes([older, *rows]), curves([older, *rows])
    titles = [find(name).title for name in (PLAIN, "never", "one-step")]
    assert all(title in shown for title in titles)
    assert [title in drawn for title in titles] == [True, True, False]
    assert drawn.count('class="alone"') == 2
    assert "target-entropy" not in shown + drawn


def test_the_page_and_its_figures_are_what_the_data_say(tmp_path: Path) -> None:
    rows = read_rows(DATA)
    (tmp_path / "images").mkdir()
    results_page.write(rows, tmp_path)
    for name in (results_page.PAGE, *results_page.FIGURES):
        assert (DATA.parent / name).read_text() == (tmp_path / name).read_text(), name
