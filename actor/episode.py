"""What an episode and a step of it came to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy.experience import Observation
from robot.errors import ArmFault


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """What one episode came to.

    cut: why it was ended from outside, by a pause, a gap, a fault, the budget or a stop; empty when it was not
    fault: of the arm, if one ended it
    """

    episode: int
    demonstration: bool
    success: bool
    steps: int
    human_steps: int
    env_steps: int  # of the whole session so far
    cut: str = ""
    fault: ArmFault | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one step."""

    after: Observation
    executed: NDArray[np.float32]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool = False
    cut: str = ""
    fault: ArmFault | None = None
