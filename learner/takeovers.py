"""When the operator took over, for how long, and where: what a coach looks at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from learner.store_reader import StoreReader
from policy.experience import Source

_HELPED = (
    "SELECT e.id, e.session, e.episode, s.step, s.source, s.proprioception FROM steps s "
    "JOIN episodes e ON e.id = s.episode_id WHERE e.human_steps > 0 ORDER BY e.id, s.step"
)


@dataclass(frozen=True, slots=True)
class Takeover:
    """One takeover in training: steps in a row that the operator chose.

    begun: proprioception (P,) at its first step, in the contract's order and units: where the arm was
    """

    session: str
    episode: int
    first_step: int
    steps: int
    begun: NDArray[np.float32]


def takeovers(store: StoreReader) -> list[Takeover]:
    """All takeovers, in the order in which their episodes began. Reads no frames."""
    with store.snapshot() as connection:
        rows = connection.execute(_HELPED).fetchall()
    found = []
    for (_, human), run in groupby(rows, key=lambda row: (row["id"], row["source"] == Source.HUMAN)):
        if human:
            first, *others = run
            begun = np.frombuffer(first["proprioception"], "<f4").astype(np.float32)
            found.append(Takeover(first["session"], first["episode"], first["step"], 1 + len(others), begun))
    return found
