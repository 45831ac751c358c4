"""The update-to-data ratio: how many updates are owed for the steps that came."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpdateRatio:
    """`utd` updates for each environment step beyond the place from which it counts.

    That place is the beginning of the run, or the last rollback: updates that a rollback has undone are not owed
    again, else the policy that it brought back would be trained away before it had taken a step.
    """

    utd: float
    from_updates: int = 0
    from_env_steps: int = 0

    def owed(self, env_steps: int, updates: int) -> float:
        """Updates that are due; negative where more were done."""
        return (env_steps - self.from_env_steps) * self.utd - (updates - self.from_updates)

    def steps_behind(self, env_steps: int, updates: int) -> int:
        """Environment steps whose updates are still owed."""
        return math.ceil(max(0.0, self.owed(env_steps, updates)) / self.utd)

    def effective(self, env_steps: int, updates: int) -> float:
        """Updates per environment step since it counts; 0 before the first."""
        steps = env_steps - self.from_env_steps
        return (updates - self.from_updates) / steps if steps > 0 else 0.0
