"""Views that come after their step: what can be drawn meanwhile, that it ends as if all had come at once, restarts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoded import LAYOUT, episode, histories, split
from learner.columns import ReplayError
from learner.device_rows import DeviceMemory
from learner.replay import Batch, EncodedStep, LaterViews, Replay
from policy.experience import Source

GAMMA = 0.9
SLOTS = 4
NAMES = ("maps", "next_maps", "proprioception", "next_proprioception", "action", "reward", "discount")


def sampled(replay: Replay, size: int = 64) -> Batch:
    return replay.sample(size, 0.5, 2, GAMMA, np.random.default_rng(1))


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in NAMES)


def interleaved(steps: Sequence[EncodedStep], waiting: Sequence[int]) -> list[EncodedStep | LaterViews]:
    """First views and later ones in an order that may come about: before each step as many later ones as said."""
    order: list[EncodedStep | LaterViews] = []
    behind: list[LaterViews] = []
    for step, ready in zip(steps, waiting, strict=False):
        order += behind[:ready]
        del behind[:ready]
        first, later = split(step)
        order.append(first)
        behind.append(later)
    return order + behind


def add(replay: Replay, arrivals: Sequence[EncodedStep | LaterViews]) -> None:
    for each in arrivals:
        if isinstance(each, EncodedStep):
            replay.add(each)
        else:
            replay.add_views(each)


def views_of(maps: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Which view was drawn, 0..2. maps: (cameras, B, 1, 2, 2); numbers: (B,); returns (cameras, B)"""
    offsets = maps.float().flatten(2) - numbers[:, None] - torch.arange(2)[:, None, None] / 8
    assert (offsets == offsets[..., :1]).all()
    return offsets[..., 0] * 4


class TestWhatIsDrawn:
    @given(steps=histories(), waiting=st.lists(st.integers(0, 3), min_size=54, max_size=54))
    @settings(max_examples=40, deadline=None)
    def test_once_all_views_are_there_each_draw_is_what_it_would_be_if_they_had_come_at_once(
        self, steps: list[EncodedStep], waiting: list[int]
    ) -> None:
        with TemporaryDirectory() as first, TemporaryDirectory() as second:
            at_once = Replay(Path(first), LAYOUT, {}, SLOTS)
            add(at_once, steps)
            later = Replay(Path(second), LAYOUT, {}, SLOTS, DeviceMemory(torch.device("cpu"), 1e-5))
            add(later, interleaved(steps, waiting))
            assert (at_once.views_missing, later.views_missing) == (0, 0)
            assert at_once.views_cursor == later.views_cursor == later.cursor == steps[-1].cursor
            if len(at_once):
                assert same(sampled(at_once), sampled(later))

    @given(steps=histories(), waiting=st.lists(st.integers(0, 2), min_size=54, max_size=54), until=st.integers(1, 60))
    @settings(max_examples=40, deadline=None)
    def test_until_then_a_view_that_is_not_there_is_never_drawn_and_each_that_is_there_may_be(
        self, steps: list[EncodedStep], waiting: list[int], until: int
    ) -> None:
        arrivals = interleaved(steps, waiting)[:until]
        with TemporaryDirectory() as folder:
            replay = Replay(Path(folder), LAYOUT, {}, SLOTS)
            add(replay, arrivals)
            if not len(replay):
                return
            whole = {each.cursor for each in arrivals if isinstance(each, LaterViews)}
            complete = {
                float(seen.proprioception[0]): step.cursor in whole
                for step in steps
                for seen in (step.observation, *(() if step.final is None else (step.final,)))
            }
            batch = sampled(replay, 512)
            for maps, body in ((batch.maps, batch.proprioception), (batch.next_maps, batch.next_proprioception)):
                drawn = views_of(maps, body[:, 0])
                there = torch.tensor([complete[number] for number in body[:, 0].tolist()])
                assert (drawn[:, ~there] == 0).all()
                if there.sum() > 100:
                    assert set(drawn[:, there].unique().tolist()) == {0.0, 1.0, 2.0}

    def test_the_share_of_observations_that_have_all_views_is_told(self, tmp_path: Path) -> None:
        replay = Replay(tmp_path, LAYOUT, {}, SLOTS)
        assert (replay.views_missing, replay.views_ready) == (0, 1.0)
        steps = [split(step) for step in episode(3, Source.DEMO)]
        add(replay, [first for first, _ in steps])
        assert (replay.views_missing, replay.views_ready) == (4, 0.0)  # three steps and a final observation
        add(replay, [later for _, later in steps[:2]])
        assert (replay.views_missing, replay.views_ready, replay.views_cursor) == (2, 0.5, 2)
        replay.add_views(steps[2][1])
        assert (replay.views_missing, replay.views_ready, replay.views_cursor) == (0, 1.0, 3)

    @pytest.mark.parametrize("wrong", [1, 2], ids=["the step after", "a step that is not there"])
    def test_views_of_another_step_than_the_next_are_refused(self, tmp_path: Path, wrong: int) -> None:
        replay = Replay(tmp_path, LAYOUT, {}, SLOTS)
        steps = [split(step) for step in episode(3, Source.DEMO)]
        add(replay, [first for first, _ in steps[:2]])
        with pytest.raises(ReplayError, match="expected those of the next step"):
            replay.add_views(steps[wrong][1])
        assert replay.views_missing == 2


class TestRestart:
    @given(
        steps=histories(),
        waiting=st.lists(st.integers(0, 2), min_size=54, max_size=54),
        saved=st.integers(0, 40),
        unsaved=st.integers(0, 20),
    )
    @settings(max_examples=40, deadline=None)
    def test_it_goes_on_from_what_was_saved_whatever_came_before_the_process_died(
        self, steps: list[EncodedStep], waiting: list[int], saved: int, unsaved: int
    ) -> None:
        arrivals = interleaved(steps, waiting)
        with TemporaryDirectory() as first, TemporaryDirectory() as second:
            whole = Replay(Path(first), LAYOUT, {}, SLOTS)
            add(whole, steps)
            before = Replay(Path(second), LAYOUT, {}, SLOTS)
            add(before, arrivals[:saved])
            before.save()
            kept = before.cursor, before.views_cursor, before.views_missing
            add(before, arrivals[saved : saved + unsaved])
            again = Replay(Path(second), LAYOUT, {}, SLOTS)
            assert (again.cursor, again.views_cursor, again.views_missing) == kept
            add(again, arrivals[saved:])
            assert again.views_missing == 0
            if len(whole):
                assert same(sampled(whole), sampled(again))

    def test_views_count_only_once_they_are_on_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        replay = Replay(tmp_path, LAYOUT, {}, SLOTS)
        first, later = split(episode(1, Source.DEMO)[0])
        replay.add(first)
        replay.save()
        replay.add_views(later)
        told = []
        monkeypatch.setattr(np.memmap, "flush", lambda _: told.append(Replay(tmp_path, LAYOUT, {}).views_missing))
        replay.save()
        assert told
        assert set(told) == {2}  # who was killed while they were written would find none of them counted
        assert Replay(tmp_path, LAYOUT, {}).views_missing == 0
