"""A recording that grows: each demonstration is judged once, and only sound ones count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demonstrations import SESSION, Hand, changed, contract, demonstration, sound_set
from demos.errors import DemoSetError
from demos.recording import Recording
from demos.settings import CheckSettings
from learner.store import ExperienceStore
from policy.contract import Contract
from policy.errors import ContractMismatch
from policy.experience import Step
from policy.wire import pack_step
from robot.settings import TaskSettings

CONTRACT = contract(size_px=16)
FAILED = f"{SESSION[:8]}/1"


def recording(path: Path, *allowed: str, within: Contract = CONTRACT) -> Recording:
    return Recording(path, within, CheckSettings(), TaskSettings(), allowed=allowed)


def failed(index: int) -> list[Step]:
    steps = demonstration(CONTRACT, index, Hand())
    return changed(steps, len(steps) - 1, reward=0.0)


def rejected(index: int) -> list[Step]:
    steps = demonstration(CONTRACT, index, Hand())
    return changed(steps, len(steps) - 1, rejected=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExperienceStore]:
    """Stands for the process that records."""
    with ExperienceStore(tmp_path / "spool.sqlite", CONTRACT) as made:
        yield made


def add(store: ExperienceStore, steps: list[Step]) -> None:
    store.append([pack_step(step) for step in steps])


def test_each_is_judged_once_as_soon_as_it_is_over(store: ExperienceStore) -> None:
    sound, found = sound_set(CONTRACT), recording(store.path)
    assert (found.judge_new(), found.coverage()) == ([], None)
    add(store, sound[0])
    add(store, failed(1))
    add(store, sound[2][:-1])
    first, second = found.judge_new()
    assert (first.sound, first.found, first.steps) == (True, (), len(sound[0]))
    assert (second.sound, str(second.name)) == (False, FAILED)
    assert [finding.check for finding in second.found] == ["success"]
    add(store, sound[2][-1:])
    add(store, rejected(3))
    (third,) = found.judge_new()
    assert third.sound
    assert (found.sound, found.unsound) == (2, [FAILED])


def test_coverage_is_of_the_sound_ones(store: ExperienceStore) -> None:
    found = recording(store.path)
    for steps in (*sound_set(CONTRACT)[:1], failed(1)):
        add(store, steps)
    found.judge_new()
    covered = found.coverage()
    assert covered is not None
    assert sum(map(sum, covered.counts)) == 1


def test_an_allowed_finding_lets_it_count(store: ExperienceStore) -> None:
    for steps in (*sound_set(CONTRACT)[:1], failed(1)):
        add(store, steps)
    found = recording(store.path, f"success:{FAILED}")
    found.judge_new()
    assert (found.sound, found.unsound) == (2, [])


def test_the_set_is_of_the_sound_ones_while_the_recording_goes_on(store: ExperienceStore, tmp_path: Path) -> None:
    found = recording(store.path)
    for steps in (*sound_set(CONTRACT)[:1], failed(1), *sound_set(CONTRACT)[2:4]):
        add(store, steps)
    found.judge_new()
    made = found.make_set(tmp_path / "sets", "lift", found.unsound)
    assert made.facts.episodes == 3
    add(store, sound_set(CONTRACT)[4])
    found.judge_new()
    assert found.make_set(tmp_path / "sets", "lift", found.unsound).facts.episodes == 4


def test_what_is_left_out_must_be_there_and_something_must_stay(store: ExperienceStore, tmp_path: Path) -> None:
    add(store, sound_set(CONTRACT)[0])
    with pytest.raises(DemoSetError, match=r"leave out: got abababab/7, expected some of abababab/0"):
        recording(store.path).make_set(tmp_path, "lift", ["abababab/7"])
    with pytest.raises(DemoSetError, match="all 1 are left out"):
        recording(store.path).make_set(tmp_path, "lift", ["abababab/0"])


def test_one_of_another_contract_is_refused_with_the_difference(store: ExperienceStore) -> None:
    other = CONTRACT.model_copy(update={"control_hz": 20.0})
    with pytest.raises(ContractMismatch, match=r"control_hz: 20.0 \(this run\) != 10.0"):
        recording(store.path, within=other).judge_new()
