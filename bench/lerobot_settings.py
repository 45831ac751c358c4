"""Settings of the condition `lerobot` of `learning.py`, apart from LeRobot, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class PeerSettings:
    """LeRobot's learner, and for how long. The defaults are its example's; others are for tests."""

    budget_s: float | None = None
    """Time to learn in [s]; none: as long as the plain run of the seed was taught."""
    batch: int = 256
    """Transitions of a batch, half of them demonstrations and interventions."""
    utd: int = 2
    """Critic updates for each update of the actor."""
    steps_before_learning: int = 100
    """Online steps in its buffer before the first update."""
    push_s: int = 4
    """Between two pushes of weights [s]."""

    def options(self) -> tuple[str, ...]:
        """What differs from the defaults, as the command line takes it."""
        changed = [each for each in fields(self) if getattr(self, each.name) != each.default]
        return tuple(
            word
            for each in changed
            for word in (f"--lerobot.{each.name.replace('_', '-')}", str(getattr(self, each.name)))
        )
