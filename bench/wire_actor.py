"""The actor's side of the wire benchmark: the real link, fed with recorded steps, in a process of its own."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from bench.piped import ANSWER_S, Piped
from bench.recorded import Recording
from bench.turns import BenchError
from console.settings import Settings


@dataclass(frozen=True)
class Load:
    """What an actor is to send.

    rate_hz: steps a second; None: as fast as they go, with at most `window` not acknowledged
    """

    steps: int
    rate_hz: float | None = None
    window: int = 16


class WireActor(Piped):
    """The parent's end of an actor, which is connected when this is constructed."""

    def __init__(self, settings: Settings, folder: Path, address: str, actor_id: str, recording: Recording) -> None:
        link = settings.link.model_copy(update={"address": address, "actor_id": actor_id})
        super().__init__("actor", _serve, settings.model_copy(update={"link": link}), folder, recording)

    def begin(self, load: Load) -> None:
        """Send steps; `finish` waits for them."""
        self.send(load)

    def finish(self) -> float:
        """Wait until all steps of the load are durable; how long that took [s]."""
        return float(self.receive())


def _serve(settings: Settings, folder: Path, recording: Recording, pipe: Connection) -> None:
    from actor.link import LearnerLink, Spool

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group: the parent decides
    with (
        Spool(folder / "spool.sqlite", settings.contract, settings.link) as spool,
        LearnerLink(settings.link, settings.contract, spool) as link,
    ):
        link.open()
        steps = recording.endless(link.session)
        pipe.send("connected")
        while (load := pipe.recv()) is not None:
            begin_s = time.monotonic()
            for index in range(load.steps):
                if load.rate_hz is not None:
                    time.sleep(max(0.0, begin_s + index / load.rate_hz - time.monotonic()))
                while link.pause is not None or (load.rate_hz is None and link.unacknowledged >= load.window):
                    time.sleep(0.001)
                link.send(next(steps))
            if not link.flush(ANSWER_S):
                raise BenchError(f"{link.unacknowledged} of {load.steps} steps were not acknowledged in time")
            pipe.send(time.monotonic() - begin_s)
