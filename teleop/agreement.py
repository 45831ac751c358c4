"""Whether the arm went where the actions say: of an episode, or of the last second. Pure.

All is reckoned in action units, so that one rule fits metres of the tool and radians of the jaw. The tool lags behind
its target (target = tool + lead), so that a tool which still follows an older action is no contradiction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract

Array = NDArray[np.floating]

WINDOW_STEPS = 10  # over which motion is compared: a second at 10 Hz

# In action units: 4 cm of the tool or 0.6 rad of the jaw one way, 2 cm or 0.4 rad the other. A simulated arm that
# presses and rubs on table and cube was sent so far in 29,000 windows of 10 steps, and came back in none; over any
# other 2 to 20 steps it came back by 0.45 units at most. Sent by 3 cm only, it does come back by 1.4 cm where it rubs.
COMMANDED = {"m": 2.0, "rad": 1.5, "1": 2.0}
AGAINST = 1.0
# And in one step: by construction a target goes as the executed action says, so that a quarter (5 mm) is no rounding.
ASTRAY = 0.25


@dataclass(frozen=True, slots=True)
class AxisAgreement:
    """How well one axis did as it was told, over an episode.

    correlation: of where the target stood beyond the tool, after each action, with how far the tool then moved; -1..1,
        not a number for an axis that was never moved
    rms: of what was commanded less how far the target moved, per step, in the unit of the action [m or rad]
    """

    name: str
    correlation: float
    rms: float


class MeasuredAxes:
    """Reads out of proprioception what each dimension of the action moves, in action units.

    measured: whether proprioception tells where all of them are and how far their targets lead, as that of an arm does
    """

    def __init__(self, contract: Contract) -> None:
        self.names = [dimension.name.removeprefix("delta.") for dimension in contract.action]
        self.scale = contract.action_scale.astype(np.float64)  # (A,)
        self._enough = np.array([COMMANDED[dimension.unit] for dimension in contract.action])  # (A,)
        names = [dimension.name for dimension in contract.proprioception]
        position = [f"tool.{axis}" if f"tool.{axis}" in names else f"joint.{axis}" for axis in self.names]
        lead = [f"lead.{axis}" for axis in self.names]
        self.measured = set(position + lead) <= set(names)
        self._position = [names.index(name) for name in position] if self.measured else []
        self._lead = [names.index(name) for name in lead] if self.measured else []

    def position(self, proprioception: Array) -> Array:
        """Where tool and jaw are: (..., P) to (..., A)."""
        return np.asarray(proprioception[..., self._position] / self.scale)

    def lead(self, proprioception: Array) -> Array:
        """How far their targets lead: (..., P) to (..., A)."""
        return np.asarray(proprioception[..., self._lead] / self.scale)

    def goes_against(self, commanded: Array, lead: Array, moved: Array) -> NDArray[np.bool_]:
        """Whether motion over a window went against its actions; all in action units, (..., A).

        commanded: the sum of the actions; lead: at the beginning; moved: from the beginning to the end
        """
        sign = np.sign(commanded)
        return np.asarray((pulled(sign, commanded, lead) > self._enough) & (sign * moved < -AGAINST))


def pulled(sign: Array | int, commanded: Array, lead: Array) -> Array:
    """How far the arm was sent one way, less what it still owed an older action the other way; in action units."""
    return np.minimum(sign * commanded, sign * (commanded + lead))


def agreement(contract: Contract, actions: Array, proprioception: Array) -> list[AxisAgreement]:
    """For each axis; actions as executed (N, A), proprioception (N + 1, P), the last one after the last action."""
    axes = MeasuredAxes(contract)
    position, lead = axes.position(proprioception), axes.lead(proprioception)
    pull, moved = actions + lead[:-1], np.diff(position, axis=0)  # (N, A)
    rms = np.sqrt(np.mean((actions - np.diff(position + lead, axis=0)) ** 2, axis=0)) * axes.scale
    return [
        AxisAgreement(name, _correlation(pull[:, index], moved[:, index]), float(rms[index]))
        for index, name in enumerate(axes.names)
    ]


def contradiction(contract: Contract, actions: Array, proprioception: Array) -> str:
    """Where the motion first goes against the actions, for a person; empty when nowhere, or when nobody can tell.

    Shapes as in `agreement`.
    """
    found = first_contradiction(contract, actions, proprioception)
    return "" if found is None else found[1]


def first_contradiction(contract: Contract, actions: Array, proprioception: Array) -> tuple[int, str] | None:
    """The same with the step at which it begins; None when nowhere."""
    axes = MeasuredAxes(contract)
    if not axes.measured:
        return None
    position, lead = axes.position(proprioception), axes.lead(proprioception)
    taken = np.diff(position + lead, axis=0)  # how far the targets went (N, A)
    astray = np.argwhere(np.abs(actions - taken) > ASTRAY)
    if len(astray):
        step, axis = (int(index) for index in astray[0])
        told = _told(contract, axis, float(actions[step, axis]), float(taken[step, axis]), "its target")
        return step, f"step {step}: {told}"
    steps = min(WINDOW_STEPS, len(actions))
    total = np.concatenate([np.zeros((1, len(axes.names))), np.cumsum(actions, axis=0)])  # (N + 1, A)
    commanded = total[steps:] - total[:-steps] if steps else total[:0]  # (N + 1 - steps, A)
    moved = position[steps:] - position[: len(commanded)]
    against = axes.goes_against(commanded, lead[: len(commanded)], moved)
    if not against.any():
        return None
    first, axis = (int(index) for index in np.argwhere(against)[0])
    told = _told(contract, axis, float(commanded[first, axis]), float(moved[first, axis]), "it")
    return first, f"steps {first} to {first + steps - 1}: {told}"


def _told(contract: Contract, axis: int, asked: float, went: float, what: str) -> str:
    """For a person. asked, went: in action units; what: went there"""
    dimension = contract.action[axis]
    name, scale, unit = dimension.name.removeprefix("delta."), dimension.scale, dimension.unit
    return f"the actions moved {name} by {asked * scale:+.3f} {unit}, but {what} went {went * scale:+.3f} {unit}"


def _correlation(a: Array, b: Array) -> float:
    if a.size < 2 or np.ptp(a) < 1e-6 or np.ptp(b) < 1e-6:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
