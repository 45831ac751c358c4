"""The key of a scripted operator who watches: pressed some steps after the cube hangs in the air, if it still does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot.settings import TaskSettings
from robot.task import CUBE_STATE

REACTION_STEPS = (4, 7)  # of an operator who sees the cube held up, until the key is down
_Z, _HELD = CUBE_STATE.index("cube.z"), CUBE_STATE.index("cube.held")


class SuccessKey:
    """Of one episode. rest_z_m: where the cube lies at first"""

    def __init__(self, rest_z_m: float, task: TaskSettings, rng: np.random.Generator) -> None:
        self._height_m = rest_z_m + task.lift_m
        self._reaction = int(rng.integers(REACTION_STEPS[0], REACTION_STEPS[1] + 1))
        self._seen = 0

    def pressed(self, sim_only: NDArray[np.float32]) -> bool:
        """Whether it is, at this frame. Call it once a step."""
        hangs = sim_only[_Z] >= self._height_m and sim_only[_HELD] > 0.5
        self._seen = self._seen + 1 if hangs else 0
        return self._seen > self._reaction
