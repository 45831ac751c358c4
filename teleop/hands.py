"""Hands that do nearly what they should: what a reward must not pay for, and what it must. They see the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from robot.task import CUBE_STATE
from teleop.expert import GRASP_M, LIFTED_M, OPEN_RAD, Expert
from teleop.takeover import OperatorView

NOISE = 0.15  # of a hand that is not exact, in action units
ARRIVED_M = 0.006
SQUEEZE_RAD = -0.1  # the jaw's target when it is to close on whatever is there
CUBE = [CUBE_STATE.index(f"cube.{axis}") for axis in "xyz"]


@dataclass(frozen=True, slots=True)
class Move:
    """Bring the tool over a place beside where the cube lay at first, and the jaw to an angle.

    steps: for so many at least, and until the tool has arrived or has tried for twice as long and five more
    """

    beside_m: tuple[float, float]
    height_m: float
    jaw_rad: float
    steps: int = 0


class Hand:
    """Executes moves, one after the other; rests in the last one."""

    def __init__(self, contract: Contract, moves: list[Move], rng: np.random.Generator) -> None:
        names = [dimension.name for dimension in contract.proprioception]
        self._tool = [names.index(f"tool.{axis}") for axis in "xyz"]
        self._jaw = names.index("joint.gripper")
        self._scale = contract.action_scale
        self._moves, self._rng = list(moves), rng
        self._cube_m: NDArray[np.float32] | None = None
        self._taken = 0

    def action(self, view: OperatorView) -> NDArray[np.float32]:
        """The next action (4,), -1..1."""
        if self._cube_m is None:
            self._cube_m = view.sim_only[CUBE]
        move = self._moves[0]
        goal_m = np.array([*(self._cube_m[:2] + move.beside_m), move.height_m])
        away_m = goal_m - view.proprioception[self._tool]
        self._taken += 1
        arrived = float(np.abs(away_m).max()) < ARRIVED_M or self._taken > 2 * move.steps + 5
        if len(self._moves) > 1 and self._taken > move.steps and arrived:
            self._moves.pop(0)
            self._taken = 0
        jaw_rad = move.jaw_rad - view.proprioception[self._jaw]
        action = np.append(away_m / self._scale[:3], -1.0 if move.jaw_rad <= SQUEEZE_RAD else jaw_rad / self._scale[3])
        action += self._rng.normal(0, NOISE, 4) * (1, 1, 1, 0.3)
        return np.clip(action, -1, 1).astype(np.float32)


PRACTISED_LIFTS_M = (0.075, 0.16)  # a policy goes on rising until it is paid


class Practised:
    """Does it right, with a hand that is not exact, and lifts now lower, now higher: all of that is success."""

    def __init__(self, contract: Contract, rng: np.random.Generator) -> None:
        self._expert, self._rng = Expert(contract, rng.uniform(*PRACTISED_LIFTS_M)), rng

    def action(self, view: OperatorView) -> NDArray[np.float32]:
        """The next action (4,), -1..1."""
        return np.clip(self._expert.action(view) + self._rng.normal(0, NOISE, 4), -1, 1).astype(np.float32)


def hover(rng: np.random.Generator) -> list[Move]:
    """Over the cube as high as a success, the jaw at any angle: also at that of a jaw that holds it."""
    return [Move(_about(rng, 0.015), rng.uniform(0.05, 0.12), rng.uniform(-0.09, 0.8), 10)]


def push(rng: np.random.Generator) -> list[Move]:
    """Down beside it with a closed jaw, and through it."""
    angle = rng.uniform(-np.pi, np.pi)
    way = 0.045 * np.array([np.cos(angle), np.sin(angle)])
    there, beyond = (float(way[0]), float(way[1])), (-float(way[0]), -float(way[1]))
    return [Move(there, 0.06, 0.0), Move(there, 0.016, 0.0, 3), Move(beyond, 0.016, 0.0, 6), Move(beyond, 0.1, 0.0)]


def close_on_air(rng: np.random.Generator) -> list[Move]:
    """Closes above it, and lifts nothing."""
    place, height = _about(rng, 0.01), rng.uniform(0.05, 0.07)
    return [Move(place, height, OPEN_RAD, 3), Move(place, height, SQUEEZE_RAD, 6), Move(place, LIFTED_M, SQUEEZE_RAD)]


def grasp_beside(rng: np.random.Generator) -> list[Move]:
    """All as it should be, but 4 cm beside it."""
    angle = rng.uniform(-np.pi, np.pi)
    place = (0.042 * float(np.cos(angle)), 0.042 * float(np.sin(angle)))
    return [*_grasp(place), Move(place, LIFTED_M, SQUEEZE_RAD)]


def lift_and_drop(rng: np.random.Generator) -> list[Move]:
    """Lets go of it at 2 to 4 cm, and goes on as if it held it."""
    height = GRASP_M + rng.uniform(0.02, 0.04)
    return [*_grasp(), Move((0, 0), height, SQUEEZE_RAD, 4), Move((0, 0), height, OPEN_RAD, 3),
            Move((0, 0), LIFTED_M, rng.choice([SQUEEZE_RAD, 0.3]))]  # fmt: skip


def lift_too_low(rng: np.random.Generator) -> list[Move]:
    """Holds it 1 to 3.5 cm above the table."""
    return [*_grasp(), Move((0, 0), GRASP_M + rng.uniform(0.01, 0.035), SQUEEZE_RAD)]


def hold_on_the_table(_: np.random.Generator) -> list[Move]:
    """Grasps it, and leaves it there."""
    return [*_grasp(), Move((0, 0), GRASP_M, SQUEEZE_RAD)]


def slip(rng: np.random.Generator) -> list[Move]:
    """Grasps it by its edge, where it may slip out or hold: the simulator knows."""
    angle = rng.uniform(-np.pi, np.pi)
    place = (0.018 * float(np.cos(angle)), 0.018 * float(np.sin(angle)))
    return [*_grasp(place), Move(place, LIFTED_M, SQUEEZE_RAD)]


ADVERSARIES: dict[str, Callable[[np.random.Generator], list[Move]]] = {
    each.__name__: each
    for each in (hover, push, close_on_air, grasp_beside, lift_and_drop, lift_too_low, hold_on_the_table, slip)
}


def _grasp(place: tuple[float, float] = (0.0, 0.0)) -> list[Move]:
    return [Move(place, 0.06, OPEN_RAD), Move(place, GRASP_M, OPEN_RAD, 3), Move(place, GRASP_M, SQUEEZE_RAD, 6)]


def _about(rng: np.random.Generator, spread_m: float) -> tuple[float, float]:
    x, y = rng.uniform(-spread_m, spread_m, 2)
    return float(x), float(y)
