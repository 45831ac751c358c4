"""Who may speak for an actor id, by a clock that the test turns."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from learner.lease import LeaseHeld, LeaseTable, NoLease, StreamLease, TooManyActors
from waiting import Clock

A, B, C = "a" * 32, "b" * 32, "c" * 32
LEASE_S = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> LeaseTable:
    return LeaseTable(LEASE_S, max_actors=2, clock=clock)


def opened(leases: LeaseTable, session: str) -> StreamLease:
    return leases.open_stream(session, lambda: None)


def test_a_lease_outlives_its_stream_by_its_length_and_says_how_long(leases: LeaseTable, clock: Clock) -> None:
    leases.hello("bench", A)
    stream = opened(leases, A)
    clock.now_s += 1000  # as long as it lives, however long
    with pytest.raises(LeaseHeld, match="aaaaaaaa is connected with it, and keeps it for 60 s after it leaves"):
        leases.hello("bench", B)
    leases.close_stream(stream)
    clock.now_s += 45
    with pytest.raises(LeaseHeld, match="it is free for another session in 15 s"):  # 60 - 45
        leases.hello("bench", B)
    clock.now_s += 15
    leases.hello("bench", B)
    with pytest.raises(NoLease):
        opened(leases, A)


def test_a_session_always_gets_its_own_lease_back_even_beside_a_stream_that_seems_alive(leases: LeaseTable) -> None:
    ended = []
    leases.hello("bench", A)
    half_open = leases.open_stream(A, lambda: ended.append("half-open"))
    leases.hello("bench", A)
    newer = opened(leases, A)
    assert (ended, half_open.replaced, newer.replaced) == (["half-open"], True, False)
    leases.close_stream(half_open)  # its end, noticed late, does not end the newer one's lease
    with pytest.raises(LeaseHeld, match="is connected"):
        leases.hello("bench", B)


def test_a_hello_without_a_stream_holds_the_lease_no_longer_than_a_lost_one(leases: LeaseTable, clock: Clock) -> None:
    leases.hello("bench", A)
    clock.now_s += LEASE_S - 1
    with pytest.raises(LeaseHeld):
        leases.hello("bench", B)
    clock.now_s += 1
    leases.hello("bench", B)


def test_one_session_cannot_speak_for_two_actors(leases: LeaseTable) -> None:
    leases.hello("bench", A)
    with pytest.raises(LeaseHeld, match="another actor id"):
        leases.hello("other", A)


def test_actors_beyond_the_limit_are_refused_until_one_has_left(leases: LeaseTable, clock: Clock) -> None:
    leases.hello("one", A)
    stays = opened(leases, A)
    leases.hello("two", B)
    with pytest.raises(TooManyActors, match="2 actors hold a lease"):
        leases.hello("three", C)
    clock.now_s += LEASE_S
    leases.hello("three", C)  # in the place of two, which has not been heard of
    with pytest.raises(LeaseHeld):
        leases.hello("one", B)
    assert not stays.replaced


def test_no_message_tells_a_whole_session(leases: LeaseTable) -> None:
    leases.hello("bench", A)
    said = []
    for attempt in (lambda: leases.hello("bench", B), lambda: leases.hello("other", A), lambda: opened(leases, C)):
        with pytest.raises((LeaseHeld, NoLease)) as caught:
            attempt()
        said.append(str(caught.value))
    assert not [text for text in said for session in (A, B, C) if session[:9] in text]


class LeaseMachine(RuleBasedStateMachine):
    """Any order of hellos, streams and time, against the rule in its plainest form."""

    sessions = st.sampled_from([A, B, C])
    actors = st.sampled_from(["one", "two"])

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.leases = LeaseTable(LEASE_S, max_actors=2, clock=self.clock)
        self.owner: dict[str, str] = {}
        self.seen_s: dict[str, float] = {}
        self.live: dict[str, StreamLease] = {}  # session -> its live stream

    @rule(actor=actors, session=sessions)
    def hello(self, actor: str, session: str) -> None:
        owner = self.owner.get(actor)
        elsewhere = any(held == session for name, held in self.owner.items() if name != actor)
        free = owner is None or (owner not in self.live and self.clock.now_s >= self.seen_s[actor] + LEASE_S)
        allowed = owner == session or (free and not elsewhere)
        try:
            self.leases.hello(actor, session)
        except LeaseHeld:
            assert not allowed
        else:
            assert allowed
            self.owner[actor], self.seen_s[actor] = session, self.clock.now_s

    @rule(session=sessions)
    def open(self, session: str) -> None:
        with suppress(NoLease):
            older = self.live.get(session)
            self.live[session] = opened(self.leases, session)
            assert session in self.owner.values()
            assert older is None or older.replaced
            return
        assert session not in self.owner.values()

    @rule(session=sessions)
    def lose(self, session: str) -> None:
        stream = self.live.pop(session, None)
        if stream is not None:
            self.leases.close_stream(stream)
            actor = next(name for name, held in self.owner.items() if held == session)
            self.seen_s[actor] = self.clock.now_s

    @rule(seconds=st.sampled_from([1.0, 30.0, 59.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def no_live_stream_was_replaced(self) -> None:
        assert not [stream for stream in self.live.values() if stream.replaced]


LeaseMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLeaseMachine = LeaseMachine.TestCase
