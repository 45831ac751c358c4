"""Episodes of another file in a store: once each, as they were, and the learner says how many it has from demo sets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learner.store import ExperienceStore, StoreCounts, StoreError, StoreReader
from policy.errors import ContractMismatch
from policy.experience import Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=2, proprioception=3, size_px=8)
SHARED = uuid.uuid5(uuid.NAMESPACE_DNS, "a set").hex
OWN = uuid.uuid4().hex


def episode(session: str, number: int, source: Source = Source.DEMO, *, success: bool = True) -> list[Step]:
    rng = np.random.default_rng(number)
    return fake_episode(CONTRACT, 4, rng, session=session, episode=number, source=source, terminated=success)


def write(path: Path, *episodes: list[Step]) -> Path:
    with ExperienceStore(path, CONTRACT) as store:
        for steps in episodes:
            store.append([pack_step(step) for step in steps])
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Three demonstrations, the last of which failed, and one without an end."""
    failed, open_one = episode(SHARED, 2, success=False), episode(SHARED, 3)[:2]
    return write(tmp_path / "set.sqlite", episode(SHARED, 0), episode(SHARED, 1), failed, open_one)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExperienceStore]:
    """One with a demonstration and an episode of its own."""
    path = write(tmp_path / "run" / "experience.sqlite", episode(OWN, 0), episode(OWN, 1, Source.POLICY))
    with ExperienceStore(path, CONTRACT) as opened:
        yield opened


def messages(store: StoreReader, session: str) -> list[bytes]:
    steps = (step for _, step in store.read_after(0, 1000) if step.id.session == session)
    return [pack_step(step).SerializeToString(deterministic=True) for step in steps]


def test_whole_episodes_are_taken_byte_for_byte_and_once(store: ExperienceStore, made: Path) -> None:
    assert store.lacks(made)
    assert store.adopt(made) == 3
    assert not store.lacks(made)
    with StoreReader(made) as theirs:
        assert messages(store, SHARED) == messages(theirs, SHARED)[:12]  # without the one that has no end
    assert store.counts() == StoreCounts(
        env_steps=4 * 5, episodes=5, unfinished_episodes=0, demo_episodes=4, successes=4
    )
    assert store.adopt(made) == 0
    assert store.counts().env_steps == 20
    with StoreReader(store.path) as again:
        assert again.counts() == store.counts()


def test_the_run_goes_on_beside_them(store: ExperienceStore, made: Path) -> None:
    store.adopt(made)
    store.append([pack_step(step) for step in episode(OWN, 2, Source.HUMAN)])
    assert [step.id.session for _, step in store.read_after(0, 1000)] == [OWN] * 8 + [SHARED] * 12 + [OWN] * 4


def test_what_a_killed_process_has_left_out_is_taken_later(store: ExperienceStore, made: Path, tmp_path: Path) -> None:
    store.adopt(write(tmp_path / "part.sqlite", episode(SHARED, 0)))
    assert store.adopt(made) == 2
    assert store.counts().episodes == 5


def test_only_successful_ones_of_demo_sets_are_what_is_not_asked_for_again(store: ExperienceStore, made: Path) -> None:
    assert store.shared_demonstrations() == 0  # those of an actor are not shared
    store.adopt(made)
    assert store.shared_demonstrations() == 2


def test_another_contract_is_refused_with_the_difference(store: ExperienceStore, tmp_path: Path) -> None:
    other = CONTRACT.model_copy(update={"control_hz": 20.0})
    path = tmp_path / "other.sqlite"
    ExperienceStore(path, other).close()
    with pytest.raises(ContractMismatch, match=r"control_hz: 10.0 \(this run\) != 20.0"):
        store.adopt(path)


def test_the_same_episode_with_other_steps_is_refused(store: ExperienceStore, made: Path, tmp_path: Path) -> None:
    store.adopt(made)
    shorter = episode(SHARED, 1)
    other = write(tmp_path / "changed.sqlite", [*shorter[:2], replace(shorter[3], id=replace(shorter[3].id, step=2))])
    with pytest.raises(StoreError, match=r"episode 1 of session \w{8}: it is here already, but with another steps"):
        store.adopt(other)
    assert store.counts().env_steps == 20
