"""A scripted expert for grasp-and-lift: it sees the simulator's truth and acts as a practised hand would."""

from __future__ import annotations

from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from teleop.takeover import OperatorView

HOVER_M = 0.045  # above the cube while travelling, so that no finger brushes it
GRASP_M = 0.013  # height of the tool when closing: the fingertips nearly touch the table
ALIGNED_M = 0.007
OPEN_RAD = 0.75
CLOSING_STEPS = 5
LIFTED_M = 0.11  # well above what counts as lifted: who learns from a lift that ends there hovers just below it


class Stage(Enum):
    """What the expert is about to do."""

    REACH = auto()
    CLOSE = auto()
    LIFT = auto()


class Expert:
    """Reaches above the cube, descends, closes, lifts; starts over when the cube slips away.

    lifted_m: how high the tool goes with it [m]
    """

    def __init__(self, contract: Contract, lifted_m: float = LIFTED_M) -> None:
        self._lifted_m = lifted_m
        names = [dimension.name for dimension in contract.proprioception]
        self._tool = [names.index(f"tool.{axis}") for axis in "xyz"]
        self._jaw = names.index("joint.gripper")
        sim_names = [dimension.name for dimension in contract.sim_only]
        self._cube = [sim_names.index(f"cube.{axis}") for axis in "xyz"]
        self._held = sim_names.index("cube.held")
        self._scale = contract.action_scale
        self.begin()

    def begin(self) -> None:
        """Forget what was under way: look at the scene afresh."""
        self._stage = Stage.REACH
        self._closing_steps = 0

    def action(self, view: OperatorView) -> NDArray[np.float32]:
        """The next action (4,), -1..1."""
        tool_m, cube_m = view.proprioception[self._tool], view.sim_only[self._cube]
        offset_m = cube_m - tool_m
        held = view.sim_only[self._held] > 0.5
        apart_m = float(np.linalg.norm(offset_m[:2]))
        self._advance(apart_m, float(tool_m[2]), held)
        if self._stage is Stage.LIFT:
            return self._towards(np.array([0, 0, self._lifted_m - tool_m[2]]), close=True, view=view)
        if self._stage is Stage.CLOSE:
            self._closing_steps += 1
            return self._towards(np.zeros(3), close=True, view=view)
        descending = apart_m < 2 * ALIGNED_M
        height_m = GRASP_M if descending else cube_m[2] + HOVER_M
        if not descending and tool_m[2] < cube_m[2] + HOVER_M / 2:
            offset_m = offset_m * 0.3  # rise first, travel then
        return self._towards(np.array([*offset_m[:2], height_m - tool_m[2]]), close=False, view=view)

    def _advance(self, apart_m: float, height_m: float, held: bool) -> None:
        if held:
            self._stage = Stage.LIFT
        elif self._stage is Stage.LIFT or self._closing_steps > CLOSING_STEPS:
            self.begin()  # it slipped, or there was nothing between the jaws
        elif apart_m < ALIGNED_M and height_m < GRASP_M + 0.006:
            self._stage = Stage.CLOSE

    def _towards(self, move_m: NDArray[np.floating], *, close: bool, view: OperatorView) -> NDArray[np.float32]:
        jaw = -1.0 if close else (OPEN_RAD - view.proprioception[self._jaw]) / self._scale[3]
        action = np.append(move_m / self._scale[:3], jaw)
        return np.clip(action, -1.0, 1.0).astype(np.float32)
