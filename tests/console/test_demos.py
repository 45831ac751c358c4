"""`nudge demos`: sets listed and shown, demonstrations checked, and a set made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.main import main
from console.record import recording_path
from demonstrations import Hand, changed, contract, demonstration, sound_set, write
from demos.demo_set import list_demo_sets

CONTRACT = contract(size_px=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a recording `lift` of four sound demonstrations and one that failed."""
    folder = tmp_path_factory.mktemp("sets")
    path = recording_path(folder, "lift")
    path.parent.mkdir(parents=True)
    failed = demonstration(CONTRACT, 10, Hand())
    write(path, CONTRACT, [*sound_set(CONTRACT)[::3], changed(failed, len(failed) - 1, reward=0.0)])
    return folder


def nudge(*arguments: object) -> int:
    return main(["demos", *map(str, arguments)])


def test_check_names_what_is_wrong_and_where(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nudge("check", folder / "lift" / "recording") == 1
    told = capsys.readouterr().out
    assert "refuse: success: episode abababab/10, step 25: got an end by failure" in told
    assert "5 demonstrations checked, 2 findings, 1 of them forbid to learn from it" in told
    assert "by place of the cube" in told


def test_check_of_some_episodes_of_a_file_for_a_program(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = ("--session", "abab", "--episodes", *range(0, 12, 3))
    assert nudge("check", recording_path(folder, "lift"), *some, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], [each["check"] for each in found["findings"]]) == (4, ["coverage"])
    assert found["coverage"]["counts"] == [[1, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]]


def test_make_refuses_or_leaves_out_or_allows(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = (recording_path(folder, "lift"), "--folder", tmp_path)
    assert nudge("make", *source) == 1
    assert "success: episode abababab/10" in capsys.readouterr().err
    assert list_demo_sets(tmp_path) == []
    assert nudge("make", *source, "--sound", "--json") == 0
    said = capsys.readouterr()
    assert "left out: success: episode abababab/10" in said.err
    made = json.loads(said.out)
    assert (made["name"], made["episodes"]) == ("lift", 4)
    assert nudge("make", *source, "--leave-out", "abababab/10", "--json") == 0
    assert json.loads(capsys.readouterr().out)["hash"] == made["hash"]
    assert nudge("make", *source, "--allow", "success:abababab/10", "--json") == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 5


def test_sets_are_listed_and_one_is_shown(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration = tmp_path / "follower.json"
    calibration.write_text("{}")
    made = ("make", folder / "lift" / "recording", "--folder", folder, "--sound", "--calibrations", calibration)
    assert nudge(*made) == 0
    (found,) = list_demo_sets(folder)
    assert [path.name for path in found.calibrations] == ["follower.json"]
    capsys.readouterr()
    assert nudge("list", "--folder", folder) == 0
    assert str(found.folder) in capsys.readouterr().out
    assert nudge("list", "--folder", folder, "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["hash"], listed["episodes"]) == (found.facts.hash, 4)
    assert nudge("show", found.folder) == 0
    told = capsys.readouterr().out
    assert f"hash {found.facts.hash}" in told
    assert "mind: coverage: the set: got 8 of 12 cells" in told
    assert "joint.gripper [rad]" in told
    assert "camera camera0: on average red " in told
    assert nudge("show", found.folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == found.facts.steps


def test_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nudge("list", "--folder", tmp_path) == 0
    assert "no demo sets" in capsys.readouterr().out
    assert nudge("check", tmp_path / "none.sqlite") == 1
    assert "got neither a file of experience" in capsys.readouterr().err
