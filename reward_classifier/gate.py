"""What the arm's own joints must say before a frame may count: a jaw that is closed on something, high enough.

A picture of a jaw that has closed beside the cube looks much like one that holds it. The jaw's angle does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract, Frozen, Unit
from reward_classifier.errors import TrainingRefused
from reward_classifier.settings import GateSettings


class Limits(Frozen):
    """Of one dimension of proprioception, in its own unit; None: no limit on that side."""

    dimension: str
    unit: Unit
    low: float | None
    high: float | None

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        if self.low is not None and self.high is not None:
            return f"{self.low:.3f}..{self.high:.3f}{unit}"
        if self.low is not None:
            return f"at least {self.low:.3f}{unit}"
        return "anything" if self.high is None else f"at most {self.high:.3f}{unit}"


class Gate(Frozen):
    """All of them must hold."""

    limits: tuple[Limits, ...] = ()


class BoundGate:
    """A gate over the proprioception of a contract."""

    def __init__(self, gate: Gate, contract: Contract) -> None:
        self._gate = gate
        self._columns = [_column(contract, each.dimension, "gate") for each in gate.limits]
        self._low = np.array([-np.inf if each.low is None else each.low for each in gate.limits])
        self._high = np.array([np.inf if each.high is None else each.high for each in gate.limits])

    def passes(self, proprioception: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Of each frame: (N, P), not normalised -> (N,)."""
        values = proprioception[:, self._columns]
        return np.asarray(((values >= self._low) & (values <= self._high)).all(axis=1))

    def refusal(self, proprioception: NDArray[np.float32]) -> str:
        """Why this frame (P,) may not count, for a person; empty when it may."""
        values = proprioception[self._columns]
        for limits, value, low, high in zip(self._gate.limits, values, self._low, self._high, strict=True):
            if not low <= value <= high:
                return f"{limits.dimension} {value:.3f}, expected {limits}"
        return ""


def learn_gate(contract: Contract, positives: NDArray[np.float32], settings: GateSettings) -> Gate:
    """Limits that nearly all positive frames keep. positives: (N, P), not normalised."""
    limits = []
    tails = (settings.quantile, 1 - settings.quantile)
    if settings.jaw:
        column = _column(contract, settings.jaw, "gate.jaw")
        low, high = np.quantile(positives[:, column], tails)
        margin = settings.jaw_margin
        limits.append(_limits(contract, column, float(low) - margin, float(high) + margin))
    if settings.height:
        column = _column(contract, settings.height, "gate.height")
        low = float(np.quantile(positives[:, column], settings.quantile)) - settings.height_margin
        limits.append(_limits(contract, column, low, None))
    return Gate(limits=tuple(limits))


def _limits(contract: Contract, column: int, low: float | None, high: float | None) -> Limits:
    dimension = contract.proprioception[column]
    return Limits(dimension=dimension.name, unit=dimension.unit, low=low, high=high)


def _column(contract: Contract, name: str, setting: str) -> int:
    names = [dimension.name for dimension in contract.proprioception]
    if name not in names:
        raise TrainingRefused(
            f"{setting}: got {name!r}, the contract's proprioception has {', '.join(names)}; name one of them, or none "
            f"('') for a task that does without"
        )
    return names.index(name)
