"""How checkpoints did on the fixed evaluation: the little of `evaluation.json` that decides which of them is the best.

`nudge eval` (the room `console`) writes the file; here it is only read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

EVALUATION_FILE = "evaluation.json"

log = logging.getLogger(__name__)


class _Outcome(BaseModel):
    """One trial."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    success: bool


class CheckpointEvaluation(BaseModel):
    """The trials of a checkpoint's policy, and what another evaluation must share to be compared with it.

    conditions: by name, e.g. {"grid": "5 x 5 cells ...", "seed": "1000003", "contract": "3f0a..."}
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    trials: tuple[_Outcome, ...] = Field(min_length=1)
    conditions: dict[str, str] = {}

    @property
    def successes(self) -> int:
        """Number of successful trials."""
        return sum(trial.success for trial in self.trials)

    @property
    def success_rate(self) -> float:
        """Successes per trial [1]."""
        return self.successes / len(self.trials)

    def difference(self, other: CheckpointEvaluation) -> list[str]:
        """The conditions in which two evaluations differ, by name; empty when they compare."""
        names = dict.fromkeys((*self.conditions, *other.conditions))
        return [name for name in names if self.conditions.get(name) != other.conditions.get(name)]


def read_evaluation(folder: Path) -> CheckpointEvaluation | None:
    """The evaluation of a checkpoint; None when there is none. One that cannot be read is named and counts as none."""
    path = folder / EVALUATION_FILE
    if not path.is_file():
        return None
    try:
        return CheckpointEvaluation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        log.warning("%s: cannot be read, the checkpoint counts as not evaluated; evaluate it again (%s)", path, error)
        return None


def read_evaluations(checkpoints: Iterable[Path]) -> dict[Path, CheckpointEvaluation]:
    """The evaluations of those checkpoints that have one, in their order."""
    found = {folder: read_evaluation(folder) for folder in checkpoints}
    return {folder: evaluation for folder, evaluation in found.items() if evaluation is not None}


def best_checkpoint(evaluated: Mapping[Path, CheckpointEvaluation]) -> Path | None:
    """The one with the highest success rate, the newer of equals; None when none was evaluated.

    evaluated: oldest checkpoint first. Rates compare under the same conditions only: those of the newest evaluated one.
    """
    if not evaluated:
        return None
    newest = list(evaluated.values())[-1]
    comparable = {folder: each for folder, each in evaluated.items() if not each.difference(newest)}
    return max(comparable, key=lambda folder: (comparable[folder].success_rate, folder.name))


def best_of_each(checkpoints: Sequence[Path]) -> set[Path]:
    """The best checkpoint under each set of conditions: a change of the grid makes none worthless."""
    evaluated, best = read_evaluations(checkpoints), set[Path]()
    while (found := best_checkpoint(evaluated)) is not None:
        best.add(found)
        evaluated = {folder: each for folder, each in evaluated.items() if each.difference(evaluated[found])}
    return best
