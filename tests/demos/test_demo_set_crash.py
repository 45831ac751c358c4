"""SIGKILL while a demo set is made: it is whole, or it is not there, and it can be made again."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from demonstrations import contract, sound_set, write
from demos.demo_set import list_demo_sets, open_demo_set
from killed_maker import make

CONTRACT = contract(size_px=16)
DEADLINE_S = 120.0
MOST_OPERATIONS = 200  # a set takes some forty


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["killed_maker"])
    return forking


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    episodes = sound_set(CONTRACT)[:5]
    return write(tmp_path_factory.mktemp("source") / "experience.sqlite", CONTRACT, episodes)


def killed(context: ForkServerContext, *given: object) -> bool:
    process = context.Process(target=make, args=given)
    process.start()
    process.join(DEADLINE_S)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def whole_sets(demos: Path) -> int:
    """How many there are, each of which was looked at."""
    return len([open_demo_set(each.folder, CONTRACT) for each in list_demo_sets(demos)])


def test_killed_at_any_operation_it_leaves_a_whole_set_or_none(
    context: ForkServerContext, source: Path, tmp_path: Path
) -> None:
    died, states = 0, set()
    for die_at in range(1, MOST_OPERATIONS, 4):
        demos = tmp_path / str(die_at)
        demos.mkdir()
        if not killed(context, source, demos, die_at):
            break
        died += 1
        states.add((whole_sets(demos), (demos / "lift" / ".partial").exists()))
        assert not list((demos / "lift").glob("[!.]*")) or whole_sets(demos) == 1
    assert died > 5
    assert (0, True) in states  # killed in the middle of it
    assert whole_sets(demos) == 1


def test_killed_among_the_episodes_it_is_made_again_and_tidied(
    context: ForkServerContext, source: Path, tmp_path: Path
) -> None:
    assert killed(context, source, tmp_path, 0, 3)
    assert whole_sets(tmp_path) == 0
    assert (tmp_path / "lift" / ".partial" / "experience.sqlite").exists()
    make(source, tmp_path)
    assert whole_sets(tmp_path) == 1
    assert sorted(path.name for path in (tmp_path / "lift").glob(".*")) == [".lock"]
