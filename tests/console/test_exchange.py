"""`nudge export` and `nudge import`, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from console.main import main
from demos.sessions import shared_session
from exchange import A, B, as_bytes, episode, quiet_caches, read, write
from policy.experience import Source, Step

EPISODES = [
    episode(A, 0, Source.DEMO, terminated=True),
    episode(A, 1, Source.POLICY, terminated=False, steps=2),
    episode(B, 0, Source.DEMO, terminated=True),
]

_caches = pytest.fixture(scope="module", autouse=True)(quiet_caches)

Nudge = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nudge(capsys: pytest.CaptureFixture[str]) -> Nudge:
    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(list(map(str, arguments)))
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write(tmp_path / "runs/lift/experience.sqlite", EPISODES).parent


def shared(episodes: list[list[Step]]) -> list[bytes]:
    return as_bytes(episodes, shared_session)


@pytest.mark.slow
def test_the_demonstrations_of_a_run_go_out_and_come_back_bit_by_bit(nudge: Nudge, run: Path, tmp_path: Path) -> None:
    dataset, back = tmp_path / "dataset", tmp_path / "new/demos.sqlite"
    status, told, _ = nudge("export", "lift", dataset, "--runs", run.parent, "--select.demonstrations", "--json")
    assert status == 0
    exported = json.loads(told)
    assert (exported["episodes"], exported["steps"], exported["left_out"]["not a demonstration"]) == (2, 8, 1)

    status, told, _ = nudge("import", dataset, back)
    assert status == 0
    assert "2 episodes, 8 steps, contract" in told
    assert as_bytes(read(back)) == shared([EPISODES[0], EPISODES[2]])

    status, _, told = nudge("import", dataset, tmp_path / "other.sqlite", "--preset", "so101")
    assert status == 1
    assert "differs from that of this run" in told
    assert not (tmp_path / "other.sqlite").exists()

    status, _, told = nudge("export", "lift", dataset, "--runs", run.parent)
    assert status == 1
    assert "an export never overwrites" in told


def test_a_dataset_that_is_there_may_only_be_pushed(nudge: Nudge, run: Path, tmp_path: Path) -> None:
    status, _, told = nudge("export", run)
    assert status == 1
    assert f"expected `nudge export {run} FOLDER`" in told
    status, _, told = nudge("export", tmp_path, "--push", "somebody/dataset")
    assert status == 1
    assert "got no folder for the dataset" in told


def test_what_is_no_dataset_is_refused_in_a_sentence(nudge: Nudge, tmp_path: Path) -> None:
    status, _, told = nudge("import", tmp_path / "nothing", tmp_path / "out.sqlite")
    assert status == 1
    assert "no LeRobotDataset lies there, expected its file meta/info.json" in told


@pytest.mark.parametrize(("verb", "phrase"), [("export", "Write experience as"), ("import", "--joints.units")])
def test_help_explains(verb: str, phrase: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert phrase in capsys.readouterr().out
