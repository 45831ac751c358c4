"""A store that is looked at again and again while it grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learner.acceptance import Rejudged
from learner.clipping import ClipShares
from learner.judged import read_judged
from learner.store import ExperienceStore, StoreReader
from learner.store_prune import prune_store
from learner.store_selection import choose_episodes
from learner.store_watch import StoreWatch
from policy.experience import Judgement, Reason, Source
from policy.fakes import fake_contract, fake_episode
from policy.wire import encode_png, pack_step

CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)
EPISODES = [
    fake_episode(CONTRACT, 3, np.random.default_rng(index), episode=index, source=Source.POLICY) for index in range(3)
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExperienceStore]:
    with ExperienceStore(tmp_path / "experience.sqlite", CONTRACT) as store:
        yield store


@pytest.fixture
def watch(store: ExperienceStore) -> Iterator[StoreWatch]:
    with StoreReader(store.path) as reader:
        yield StoreWatch(reader)


class TestAStoreThatGrows:
    def test_shows_nothing_before_the_first_step(self, watch: StoreWatch) -> None:
        watch.look()
        assert (watch.newest, watch.episodes, watch.finished) == (None, {}, 0)

    def test_a_running_episode_is_there_and_grows_until_it_ends(
        self, store: ExperienceStore, watch: StoreWatch
    ) -> None:
        first = EPISODES[0]
        store.append([pack_step(first[0])])
        watch.look()
        assert watch.newest is not None
        assert (watch.newest.step, watch.newest.source, watch.newest.probability) == (0, Source.POLICY, None)
        assert ([each.steps for each in watch.episodes.values()], watch.finished) == ([1], 0)
        assert watch.clipped == ClipShares(tool=1.0, joints=1.0)
        store.append([pack_step(step) for step in first[1:]])
        watch.look()
        (record,) = watch.episodes.values()
        assert (record.steps, record.success, watch.finished, watch.newest.step) == (3, True, 1, 2)

    def test_it_says_what_the_reader_says(self, store: ExperienceStore, watch: StoreWatch) -> None:
        for steps in EPISODES:
            store.append([pack_step(step) for step in steps])
            watch.look()
        assert list(watch.episodes.values()) == store.episodes()
        assert watch.cursors(2) == [4, 5, 6]

    def test_frames_come_as_they_were_stored(self, store: ExperienceStore, watch: StoreWatch) -> None:
        store.append([pack_step(step) for step in EPISODES[0]])
        last = EPISODES[0][2]
        assert last.final is not None
        assert watch.frame(3, "camera0") == encode_png(last.observation.frames["camera0"])
        assert watch.frame(3, "camera0", final=True) == encode_png(last.final.frames["camera0"])
        assert watch.frame(4, "camera0") is None
        assert watch.frame(3, "none") is None


def test_after_another_classifier_was_accepted_episodes_end_as_that_one_has_them(tmp_path: Path) -> None:
    paid = [replace(step, judgement=Judgement(0.9, Reason.UNLIKELY)) for step in EPISODES[0]]
    paid[-1] = replace(paid[-1], judgement=Judgement(0.9, Reason.SUCCESS))
    doubts = [Judgement(0.1, Reason.UNLIKELY)] * len(paid)
    with ExperienceStore(tmp_path / "experience.sqlite", CONTRACT) as store, StoreReader(store.path) as reader:
        store.keep_to_judge("a" * 64)
        store.append([pack_step(step) for step in paid])
        watch = StoreWatch(reader)
        watch.look()
        finished = watch.finished
        assert [record.success for record in watch.episodes.values()] == [True]
        store.accept_judge("b" * 64, [Rejudged(each, doubts) for each in read_judged(store)])
        watch.look()
        assert [record.success for record in watch.episodes.values()] == [False]
        assert watch.finished > finished


def test_a_store_that_was_pruned_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "experience.sqlite"
    with ExperienceStore(path, CONTRACT) as store:
        store.append([pack_step(step) for steps in EPISODES for step in steps])
    with StoreReader(path) as reader:
        watch = StoreWatch(reader)
        watch.look()
        finished = watch.finished
        prune_store(path, choose_episodes(reader, "0", 1))
        watch.look()
    assert [record.index for record in watch.episodes.values()] == [0, 2]
    assert watch.finished > finished
