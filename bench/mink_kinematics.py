"""The peer of `bench/kinematics.py`: the same task put to mink, a quadratic program at each iteration.

As its documentation has it: a `FrameTask` for the position, an `AxisAlignTask` for the approach, the joints' limits as
inequalities, roll and gripper frozen by an equality. Weights, step bound and tolerances are those of
`robot.kinematics`, and as there a last descent is on the position alone. Mink has no loop of its own.
"""

from __future__ import annotations

import mink
import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.kinematics import LARGEST_ITERATION_STEP_RAD, SMALLEST_STEP_RAD, TOLERANCE_M, TOOL_SITE, skeleton
from robot.settings import ControllerSettings

Vector = NDArray[np.float64]

SOLVER = "daqp"  # mink's own choice for small problems; it brings it along


class MinkKinematics:
    """Inverse kinematics with mink."""

    def __init__(self, settings: ControllerSettings) -> None:
        model = skeleton()
        self._iterations = settings.iterations
        self._configuration = mink.Configuration(model)
        self._position = mink.FrameTask(TOOL_SITE, "site", position_cost=1.0, orientation_cost=0.0, lm_damping=1.0)
        self._approach = mink.AxisAlignTask(TOOL_SITE, "site", axis=(0, 0, 1), cost=settings.pitch_weight)
        self._approach.set_target((0, 0, -1))
        self._limits = [mink.ConfigurationLimit(model, gain=1.0)]
        self._frozen = [mink.DofFreezingTask(model, [model.joint(name).dofadr[0] for name in JOINT_NAMES[4:]])]

    def solve(self, position_m: Vector, from_joint_rad: Vector) -> Vector:
        """Joint angles (6,) [rad] whose tool is at `position_m` (3,), pointing down as far as possible."""
        self._configuration.update(from_joint_rad.copy())
        self._position.set_target(mink.SE3.from_translation(position_m))
        self._descend([self._position, self._approach])
        self._descend([self._position])
        return np.array(self._configuration.q)

    def _descend(self, tasks: list[mink.Task]) -> None:
        for _ in range(self._iterations):
            if len(tasks) == 1 and np.linalg.norm(self._position.compute_error(self._configuration)) < TOLERANCE_M:
                break
            step = mink.solve_ik(
                self._configuration, tasks, 1.0, SOLVER, damping=1e-6, limits=self._limits, constraints=self._frozen
            )
            step *= min(1.0, LARGEST_ITERATION_STEP_RAD / (np.abs(step).max() + 1e-12))
            self._configuration.integrate_inplace(step, 1.0)
            if np.abs(step).max() < SMALLEST_STEP_RAD:
                break
