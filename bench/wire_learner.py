"""The learner's side of the wire benchmark: its real service and store in a process of their own, with a clock in it.

Every step carries the actor's monotonic clock, which is one clock for all processes of a machine. So the time from
taking a step to its being durable, and to its being drawable from replay, is read where it ends.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.piped import Piped
from bench.recorded import Recording
from console.settings import Settings
from nudge.v1 import learner_pb2 as pb


@dataclass(frozen=True)
class Arrivals:
    """Since the last question: ages of steps [ms] as they became durable and drawable, and how many the store holds."""

    durable_ms: Sequence[float]
    drawable_ms: Sequence[float]
    stored: int


@dataclass
class _Clock:
    """Ages of steps, noted by the threads of the learner."""

    durable_ms: list[float] = field(default_factory=list)
    drawable_ms: list[float] = field(default_factory=list)
    taken_ns: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def durable(self, messages: Sequence[pb.Step]) -> None:
        """The steps of these messages are on disk now."""
        now_ns = time.monotonic_ns()
        self.durable_ms += [(now_ns - message.monotonic_ns) / 1e6 for message in messages]
        self.taken_ns |= {(m.id.session, m.id.episode, m.id.step): m.monotonic_ns for m in messages}

    def drawable(self, place: tuple[str, int, int]) -> None:
        """The step at this place is in replay now."""
        self.drawable_ms.append((time.monotonic_ns() - self.taken_ns.pop(place)) / 1e6)


class WireLearner(Piped):
    """The parent's end of a learner that stores, publishes what it is given, and encodes if there is a recording.

    fit_on: demonstrations on which the feature reduction is fitted; None: the learner only stores
    """

    def __init__(self, settings: Settings, folder: Path, fit_on: Recording | None) -> None:
        super().__init__("learner", _serve, settings, folder, fit_on)
        self.port = int(self.ready)

    def arrivals(self) -> Arrivals:
        """What has arrived since the last question."""
        self.send("arrivals")
        answer = self.receive()
        assert isinstance(answer, Arrivals)
        return answer

    def publish(self, snapshot: bytes) -> None:
        """Make this the newest policy."""
        self.send(snapshot)
        self.receive()


def _serve(settings: Settings, folder: Path, fit_on: Recording | None, pipe: Connection) -> None:
    from learner.publisher import PolicyPublisher
    from learner.service import LearnerServer
    from learner.store import ExperienceStore

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group: the parent decides
    clock, publisher, stop = _Clock(), PolicyPublisher(), threading.Event()

    class TimedStore(ExperienceStore):
        """Notes when a group is durable."""

        def append(self, messages: Sequence[pb.Step]) -> None:
            super().append(messages)
            clock.durable(messages)

    with TimedStore(folder / "experience.sqlite", settings.contract) as store:
        service = settings.service.model_copy(update={"port": 0})
        server = LearnerServer(
            service, settings.contract, "wire", store, publisher, "{}", lambda: pb.StatusReply(run_id="wire")
        )
        threads = []
        if fit_on is not None:
            threads = _encoding_threads(settings, folder, store, fit_on, clock, stop)
        port = server.start()
        try:
            pipe.send(port)
            while (question := pipe.recv()) is not None:
                if isinstance(question, bytes):
                    pipe.send(publisher.publish(question))
                else:
                    pipe.send(Arrivals(tuple(clock.durable_ms), tuple(clock.drawable_ms), store.counts().env_steps))
                    clock.durable_ms, clock.drawable_ms = [], []
        finally:
            server.stop()
            stop.set()
            for thread in threads:
                thread.join()


def _encoding_threads(
    settings: Settings, folder: Path, store: Any, fit_on: Recording, clock: _Clock, stop: threading.Event
) -> list[threading.Thread]:
    """The trainer's way from the store into replay, by its own parts: a thread that encodes, one that adds."""
    import torch

    from learner.ingest import Ingest, fit_on_demos
    from learner.replay import LaterViews, Replay
    from learner.replay_layout import make_layout
    from learner.step_encoder import StepEncoder
    from policy.encoder import load_encoder
    from policy.features import Featurizer

    torch.set_num_threads(1)
    features, contract = settings.learner.features, settings.contract
    encoder = load_encoder(settings.learner.encoder)
    featurizer = Featurizer(encoder, fit_on_demos(fit_on, encoder, contract, features, settings.seed), contract)
    layout = make_layout(featurizer, features, contract)
    replay = Replay(folder / "replay", layout, {"reduction": featurizer.reduction_hash})
    step_encoder = StepEncoder(featurizer, features, contract, settings.seed)
    ingest = Ingest(store, step_encoder, replay.cursor, replay.views_cursor)

    def add() -> None:
        while not stop.is_set():
            try:
                encoded = ingest.encoded.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(encoded, LaterViews):
                replay.add_views(encoded)
                continue
            replay.add(encoded)
            clock.drawable((encoded.id.session, encoded.id.episode, encoded.id.step))

    threads = [threading.Thread(target=ingest.run, args=(stop,)), threading.Thread(target=add)]
    for thread in threads:
        thread.start()
    return threads
