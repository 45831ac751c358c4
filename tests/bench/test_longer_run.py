"""A run of the benchmark that is taught further: by real processes, in a copy, counted together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from bench.learning_conditions import CONDITIONS, PLAIN, Condition, find
from bench.learning_run import RunFailed, read_run, teach
from bench.longer_run import teach_further

# fmt: off
SMALL = (
    "--task.judge", "simulator", "--task.max-episode-steps", "40",
    "--loop.demo-episodes", "1", "--learner.trainer.demo-episodes", "1", "--learner.trainer.utd", "0.5",
)
# fmt: on
GRID = (1, 1, 1)


def steps(count: int) -> tuple[str, ...]:
    return ("--loop.max-env-steps", str(count))


@pytest.mark.parametrize("condition", [each for each in CONDITIONS if each.goes_on], ids=lambda each: each.name)
def test_what_is_taught_further_differs_in_its_steps_alone(condition: Condition) -> None:
    before = find(condition.goes_on)
    assert condition.options[:-1] == before.options[:-1]
    assert int(condition.options[-1]) > int(before.options[-1])


def test_it_goes_on_in_a_copy_and_counts_what_came_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(quiet=True)
    plain = dataclasses.replace(find(PLAIN), options=(*steps(60), *SMALL))
    longer = Condition("longer", plain.group, "on", steps(120), goes_on=PLAIN)
    before = teach(plain, "fast", 3, GRID, tmp_path, "abc")
    row_before = read_run(before, plain, console)

    monkeypatch.setattr("bench.learning_run.find", {PLAIN: plain}.get)
    row = read_run(teach_further(longer, 3, tmp_path, "def"), longer, console)
    assert (row.seed, row.code, row.demonstrations, row.exams[0].trials) == (3, "def", 1, 1)
    assert row.env_steps >= 120 > row_before.env_steps
    assert row.updates > row_before.updates
    assert row.wall_s > row_before.wall_s
    assert row_before.teaching_s < row.teaching_s < row.wall_s
    assert read_run(before, plain, console) == row_before  # what it went on with is left as it was


def test_it_asks_for_the_run_that_it_goes_on_with(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"18000/plain-0: it goes on with .*plain-0, which is not there"):
        teach_further(find("18000"), 0, tmp_path, "abc")
