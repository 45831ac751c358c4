"""The spool against a plain list, and what it refuses."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actor.spool import Spool, SpoolFull
from nudge.v1 import learner_pb2 as pb
from policy.errors import InvalidExperience
from policy.experience import StepId

SESSION = "a" * 32
CAPACITY = 6


def message(episode: int, step: int) -> pb.Step:
    return pb.Step(id=pb.StepId(session=SESSION, episode=episode, step=step))


def places(messages: list[pb.Step]) -> list[tuple[int, int]]:
    return [(each.id.episode, each.id.step) for each in messages]


class SpoolAgainstList(RuleBasedStateMachine):
    """Any order of appending, trimming and reading leaves what a list of (episode, step) would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.spool = Spool(CAPACITY)
        self.model: list[tuple[int, int]] = []
        self.episode, self.step = 0, -1

    @rule(new_episode=st.booleans())
    def append(self, new_episode: bool) -> None:
        episode, step = (self.episode + 1, 0) if new_episode else (self.episode, self.step + 1)
        if len(self.model) == CAPACITY:
            with pytest.raises(SpoolFull):
                self.spool.append(message(episode, step))
            return
        self.spool.append(message(episode, step))
        self.model.append((episode, step))
        self.episode, self.step = episode, step

    @rule(episode=st.integers(0, 8), step=st.integers(0, 8))
    def trim(self, episode: int, step: int) -> None:
        kept = [place for place in self.model if place > (episode, step)]
        assert self.spool.trim(StepId(SESSION, episode, step)) == len(self.model) - len(kept)
        self.model = kept

    @rule(episode=st.integers(0, 8), step=st.integers(0, 8), limit=st.integers(1, 9))
    def read_behind_any_place(self, episode: int, step: int, limit: int) -> None:
        expected = [place for place in self.model if place > (episode, step)][:limit]
        assert places(self.spool.after(StepId(SESSION, episode, step), limit, 0)) == expected

    @precondition(lambda self: self.step >= 0)
    @rule()
    def refuse_what_came_before(self) -> None:
        with pytest.raises(InvalidExperience):
            self.spool.append(message(self.episode, self.step))

    @invariant()
    def holds_the_same(self) -> None:
        assert places(self.spool.after(None, 100, 0)) == self.model
        assert len(self.spool) == len(self.model)


TestSpoolAgainstList = SpoolAgainstList.TestCase
TestSpoolAgainstList.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_reader_waits_for_the_next_step() -> None:
    spool = Spool(CAPACITY)
    threading.Timer(0.05, spool.append, (message(0, 0),)).start()
    assert places(spool.after(None, 4, 10.0)) == [(0, 0)]


def test_a_reader_gives_up_after_its_time() -> None:
    begun_s = time.monotonic()
    assert Spool(CAPACITY).after(None, 4, 0.05) == []
    assert 0.04 < time.monotonic() - begun_s < 5


def test_a_full_spool_says_how_full() -> None:
    spool = Spool(1)
    spool.append(message(0, 0))
    with pytest.raises(SpoolFull, match="1 steps wait for the learner"):
        spool.append(message(0, 1))
