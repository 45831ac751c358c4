"""The takeover interface: what any operator is to the control loop, scripted or of flesh and blood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policy.experience import Source


@dataclass(frozen=True, slots=True)
class OperatorView:
    """What an operator sees at a tick. A person sees the desk; a scripted one needs the simulator's truth.

    proprioception: float32 (P,) in the contract's order and units
    sim_only: float32 (S,), empty on a real arm
    """

    proprioception: NDArray[np.float32]
    sim_only: NDArray[np.float32]


class Operator(Protocol):
    """Someone who may take the arm over for a while."""

    def begin_episode(self, *, demonstrating: bool) -> None:
        """A new episode starts; when demonstrating, the operator drives all of it."""
        ...

    def poll(self, view: OperatorView) -> NDArray[np.float32] | None:
        """The operator's action (A,) of -1..1 for this tick, or None while the hands are off. Never waits."""
        ...


def source_of(action: NDArray[np.float32] | None, *, demonstrating: bool) -> Source:
    """Who is in control at this tick: the operator's action always wins over the policy's."""
    if demonstrating:
        return Source.DEMO
    return Source.POLICY if action is None else Source.HUMAN
