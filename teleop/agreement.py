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
COMMANDED = 1.5  # action units: 3 cm of the tool, 0.6 rad of the jaw
AGAINST = 0.5  # action units: 1 cm, 0.2 rad


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


def goes_against(commanded: Array, lead: Array, moved: Array) -> NDArray[np.bool_]:
    """Whether motion over a window went against its actions; all in action units and of the same shape.

    commanded: the sum of the actions; lead: at the beginning of the window; moved: from its beginning to its end
    """
    sign = np.sign(commanded)
    pulled = np.minimum(sign * commanded, sign * (commanded + lead))  # the tool owes an older action that much less
    return np.asarray((pulled > COMMANDED) & (sign * moved < -AGAINST))


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
    axes = MeasuredAxes(contract)
    if not axes.measured:
        return ""
    position, lead = axes.position(proprioception), axes.lead(proprioception)
    steps = min(WINDOW_STEPS, len(actions))
    total = np.concatenate([np.zeros((1, len(axes.names))), np.cumsum(actions, axis=0)])  # (N + 1, A)
    commanded = total[steps:] - total[:-steps] if steps else total[:0]  # (N + 1 - steps, A)
    moved = position[steps:] - position[: len(commanded)]
    against = goes_against(commanded, lead[: len(commanded)], moved)
    if not against.any():
        return ""
    first, axis = (int(index) for index in np.argwhere(against)[0])
    scale, unit = axes.scale[axis], contract.action[axis].unit
    asked, went = commanded[first, axis] * scale, moved[first, axis] * scale
    return (
        f"steps {first} to {first + steps - 1}: the actions moved {axes.names[axis]} by {asked:+.3f} {unit}, but it "
        f"went {went:+.3f} {unit}"
    )


def _correlation(a: Array, b: Array) -> float:
    if a.size < 2 or np.ptp(a) < 1e-6 or np.ptp(b) < 1e-6:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
