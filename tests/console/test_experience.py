"""Which experience is meant on a command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from console.errors import ConsoleError
from console.experience import find_experience
from demos.experience_file import new_experience
from policy.fakes import fake_contract, fake_episode

CONTRACT = fake_contract(cameras=1, proprioception=2, size_px=8)


def experience(path: Path) -> Path:
    with new_experience(path, CONTRACT) as new:
        new.append(fake_episode(CONTRACT, 2, np.random.default_rng(0)), CONTRACT)
    return path


def test_a_run_is_meant_by_its_name_or_its_folder_and_a_file_by_its_path(tmp_path: Path) -> None:
    store = experience(tmp_path / "runs/lift/experience.sqlite")
    for source in ("lift", str(store.parent), str(store)):
        assert find_experience(source, tmp_path / "runs") == store


def test_a_folder_with_a_recording_alone_is_meant_too(tmp_path: Path) -> None:
    spool = experience(tmp_path / "lift-cube/recording/spool.sqlite")
    assert find_experience(str(spool.parent), tmp_path) == spool


def test_what_is_none_of_these_is_refused_with_what_could_be_meant(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match=r"neither a file of experience, .* nor the name of a run in .*--runs"):
        find_experience("lift", tmp_path / "runs")


def test_of_several_demo_sets_of_a_name_one_must_be_named(tmp_path: Path) -> None:
    for digits in ("0a", "0b"):
        (tmp_path / "lift-cube" / digits).mkdir(parents=True)
        (tmp_path / "lift-cube" / digits / "demo_set.json").write_text("{}")
    with pytest.raises(ConsoleError, match=r"name one of .*lift-cube/0a, .*lift-cube/0b"):
        find_experience(str(tmp_path / "lift-cube"), tmp_path)
