"""Spool, acknowledgements and store together: real SQLite on both sides, against a list of what was promised."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actor.ledger import Ledger
from actor.link_settings import LinkSettings
from actor.link_state import Welcome
from actor.spool import Spool
from actor.spool_writer import SpoolWriter
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policy.experience import Observation, Source, Step, StepId
from policy.fakes import fake_contract
from policy.wire import pack_step_id

CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)
SETTINGS = LinkSettings(queue_steps=6, spool_max_bytes=1 << 20)
SEEN = Observation({"camera0": np.zeros((8, 8, 3), np.uint8)}, np.zeros(1, np.float32), np.zeros(0, np.float32))


def step(place: StepId, last: bool, value: float) -> Step:
    return Step(
        id=place,
        observation=SEEN,
        action=np.full(4, value, np.float32),
        source=Source.POLICY,
        reward=value,
        terminated=last,
        truncated=False,
        policy_version=0,
        monotonic_ns=0,
        wall_ns=0,
        final=SEEN if last else None,
    )


class SpoolToStore(RuleBasedStateMachine):
    """Whatever crashes and whatever is lost: what was on disk arrives once, in order, and nothing else does."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-to-store-"))
        self.store = ExperienceStore(self.folder / "store.sqlite", CONTRACT)
        self.promised: list[tuple[int, int, float]] = []  # on the actor's disk, ever
        self.in_memory: list[tuple[int, int, float]] = []
        self.made = 0
        self.start_actor()

    def start_actor(self) -> None:
        self.spool = Spool(self.folder / "spool.sqlite", CONTRACT, SETTINGS)
        self.ledger = Ledger(SETTINGS, self.spool)
        self.writer = SpoolWriter(self.spool, self.ledger)
        self.acknowledged = self.spool.acknowledged.seq  # at most as many as this actor's former self knew of
        self.episode, self.step, self.open_episode = self.spool.progress.next_episode, 0, False
        self.stream: Iterator[pb.Step] | None = None
        self.sent: list[pb.Step] = []  # of this connection

    @property
    def stored(self) -> list[tuple[int, int, float]]:
        return [(each.id.episode, each.id.step, each.reward) for _, each in self.store.read_after(0, 10_000)]

    @precondition(lambda self: len(self.in_memory) < SETTINGS.queue_steps)
    @rule(last=st.booleans(), abandon=st.integers(0, 9))
    def take(self, last: bool, abandon: int) -> None:
        if self.open_episode and abandon == 0:
            self.episode, self.step = self.episode + 1, 0
        self.made += 1
        value = self.made / 1024  # exact in float32, and within -1..1
        self.ledger.take(step(StepId(self.spool.session, self.episode, self.step), last, value))
        self.in_memory.append((self.episode, self.step, value))
        self.episode, self.step = (self.episode + 1, 0) if last else (self.episode, self.step + 1)
        self.open_episode = not last

    @rule()
    def write(self) -> None:
        assert self.writer.write()
        self.promised += self.in_memory
        self.in_memory = []

    @rule()
    def crash_of_the_actor(self) -> None:
        self.spool.close()  # what is in memory is gone; what is on disk stays
        self.in_memory = []
        self.start_actor()

    @rule()
    def crash_of_the_learner(self) -> None:
        self.store.close()
        self.store = ExperienceStore(self.folder / "store.sqlite", CONTRACT)
        self.stream = None

    @rule()
    def connect(self) -> None:
        self.ledger.greeted(Welcome("trial", 0, "{}", self.store.last_durable(self.spool.session)))
        self.stream, self.sent = self.ledger.outgoing(threading.Event()), []
        self.acknowledged = len(self.stored)

    @precondition(lambda self: self.stream is not None)
    @rule(limit=st.integers(1, 8), stored=st.booleans())
    def deliver(self, limit: int, stored: bool) -> None:
        """Some steps leave; they may be lost before they are stored: the connection breaks then."""
        assert self.stream is not None
        behind = len(self.promised) - len(self.stored) - (0 if not self.sent else self.in_flight())
        batch = [next(self.stream) for _ in range(min(limit, behind))]
        for message in batch:
            assert (message.id.episode, message.id.step, message.reward) in self.promised  # never before it is durable
        self.sent += batch
        if stored:
            self.store.append(self.sent)
        else:
            self.stream = None

    def in_flight(self) -> int:
        held = {place[:2] for place in self.stored}
        return sum((message.id.episode, message.id.step) not in held for message in self.sent)

    @precondition(lambda self: self.stream is not None)
    @rule()
    def acknowledge(self) -> None:
        durable = self.store.last_durable(self.spool.session)
        self.ledger.acknowledged(pb.Ack(last_durable=None if durable is None else pack_step_id(durable)))
        self.acknowledged = len(self.stored)

    @precondition(lambda self: bool(self.sent))
    @rule(at=st.integers(0, 100))
    def arrive_again(self, at: int) -> None:
        """A batch of a connection that has ended comes late."""
        held = {place[:2] for place in self.stored}
        again = [message for message in self.sent if (message.id.episode, message.id.step) in held]
        self.store.append(again[at % len(again) :] if again else [])

    @invariant()
    def what_is_stored_was_promised_in_this_order(self) -> None:
        assert self.stored == self.promised[: len(self.stored)]

    @invariant()
    def counts_agree(self) -> None:
        assert self.spool.progress.env_steps == len(self.promised)
        waiting = len(self.promised) + len(self.in_memory) - self.acknowledged
        assert self.ledger.state().waiting_steps == waiting
        assert self.acknowledged <= len(self.stored)

    def teardown(self) -> None:
        self.ledger.close()
        self.connect()
        while len(self.stored) < len(self.promised):
            assert self.stream is not None
            self.store.append([next(self.stream)])
        assert self.stored == self.promised
        self.spool.close()
        self.store.close()
        shutil.rmtree(self.folder)


TestSpoolToStore = SpoolToStore.TestCase
TestSpoolToStore.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
