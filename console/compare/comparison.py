"""Two evaluated policies side by side: is one better, by how much, and how sure is that?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pydantic import Field

from console.checkpoints import choose_checkpoint
from console.compare.statistics import (
    Pairs,
    fisher_exact,
    mcnemar_exact,
    newcombe_difference,
    newcombe_paired,
)
from console.errors import ConsoleError
from console.evaluation.cycle_time import CycleTime, evaluated_cycle
from console.report.data import EpisodeSummary, Evaluation, Trial
from console.run_folder import STORE_FILE
from learner.checkpoint_folder import CHECKPOINTS, updates_of
from learner.store_reader import StoreReader
from policy.contract import Frozen

SIGNIFICANT = 0.05  # p below which a difference is called one


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. name: as it was asked for; episodes: of its run, empty where there is no store."""

    name: str
    evaluation: Evaluation
    episodes: tuple[EpisodeSummary, ...]


class SideFigures(Frozen):
    """How one of the two did."""

    name: str
    policy_version: int
    successes: int
    trials: int
    rate: float = Field(description="successes / trials [1]")
    low: float = Field(description="lower end of the 95 % Wilson interval [1]")
    high: float
    cycle: CycleTime | None


class Comparison(Frozen):
    """What the trials say of the two. Differences are the second less the first."""

    first: SideFigures
    second: SideFigures
    paired: bool = Field(description="the same trials, one by one")
    both: int | None = Field(default=None, description="trials in which both succeeded; None where they are not paired")
    first_only: int | None = None
    second_only: int | None = None
    neither: int | None = None
    difference: float = Field(description="of the success rates [1]")
    difference_low: float = Field(description="lower end of its 95 % interval, Newcombe's [1]")
    difference_high: float
    test: str
    p: float = Field(ge=0, le=1, description="two-sided")
    cycle_difference_s: float | None = Field(
        default=None, description="median over the trials in which both succeeded [s]; None where they are not paired"
    )

    @property
    def verdict(self) -> str:
        """In words."""
        if self.p < SIGNIFICANT:
            better, worse = (self.second, self.first) if self.difference > 0 else (self.first, self.second)
            return f"{better.name} succeeds more often than {worse.name}"
        return "no difference in success that these trials can show"


def load_side(name: str, runs: Path) -> Side:
    """What `run`, `run@updates`, `run@best` or `run@newest` means. Raises `ConsoleError` where it was not evaluated."""
    run, _, which = name.partition("@")
    folder = runs / run
    if not run or not folder.is_dir():
        raise ConsoleError(
            f"{name!r}: there is no folder {folder}, expected a run, or a checkpoint of one as run@updates or run@best"
        )
    at = choose_checkpoint(folder / CHECKPOINTS, which) if which else folder
    evaluation = Evaluation.load(at)
    if evaluation is None:
        option = f" --evaluation.checkpoint {updates_of(at)}" if which else ""
        raise ConsoleError(f"{name!r}: {at} was not evaluated; `nudge eval --run {run}{option}` evaluates it")
    return Side(name, evaluation, _episodes(folder / STORE_FILE))


def require_same_conditions(first: Side, second: Side) -> None:
    """Raise `ConsoleError` with each condition in which the two evaluations differ."""
    one, other = first.evaluation, second.evaluation
    names = dict.fromkeys((*one.conditions, *other.conditions))
    lines = [
        f"  {name}: {one.conditions.get(name, 'not said')} against {other.conditions.get(name, 'not said')}"
        for name in names
        if one.conditions.get(name) != other.conditions.get(name)
    ]
    if not lines and one.grid != other.grid:
        lines = [f"  grid: {one.grid} against {other.grid}"]
    if lines:
        raise ConsoleError(
            f"{first.name} and {second.name} were evaluated under different conditions, and do not compare; evaluate "
            "one "
            f"of them anew with the settings of the other:\n" + "\n".join(lines)
        )


def compare(first: Side, second: Side) -> Comparison:
    """The comparison, paired where both made the same trials. Raises `ConsoleError` for different conditions."""
    require_same_conditions(first, second)
    figures = {"first": _figures(first), "second": _figures(second)}
    pairs = paired_trials(first.evaluation, second.evaluation)
    if pairs is None:
        return Comparison(**figures, **_unpaired(first.evaluation, second.evaluation))
    counted = Counter((one.success, other.success) for one, other in pairs)
    both, first_only = counted[True, True], counted[True, False]
    second_only, neither = counted[False, True], counted[False, False]
    change = newcombe_paired(Pairs(both, second_only, first_only, neither))
    faster = [other.robot_time_s - one.robot_time_s for one, other in pairs if one.success and other.success]
    return Comparison(
        **figures,
        paired=True,
        both=both,
        first_only=first_only,
        second_only=second_only,
        neither=neither,
        difference=change.value,
        difference_low=change.low,
        difference_high=change.high,
        test="McNemar's exact test",
        p=mcnemar_exact(first_only, second_only),
        cycle_difference_s=median(faster) if faster else None,
    )


def paired_trials(one: Evaluation, other: Evaluation) -> list[tuple[Trial, Trial]] | None:
    """The trials of both by place and yaw of the cube; None unless they are the same, each once."""
    first, second = ({_place(trial): trial for trial in each.trials} for each in (one, other))
    alike = first.keys() == second.keys() and len(first) == len(one.trials) and len(second) == len(other.trials)
    return [(trial, second[place]) for place, trial in first.items()] if alike else None


def _place(trial: Trial) -> tuple[int, int, float, float, float]:
    return trial.row, trial.column, trial.cube_x_m, trial.cube_y_m, trial.cube_yaw_rad


def _unpaired(one: Evaluation, other: Evaluation) -> dict[str, object]:
    counts = other.successes, len(other.trials), one.successes, len(one.trials)
    change = newcombe_difference(*counts)
    return {
        "paired": False,
        "difference": change.value,
        "difference_low": change.low,
        "difference_high": change.high,
        "test": "Fisher's exact test",
        "p": fisher_exact(*counts),
    }


def _figures(side: Side) -> SideFigures:
    low, high = side.evaluation.wilson()
    return SideFigures(
        name=side.name,
        policy_version=side.evaluation.policy_version,
        successes=side.evaluation.successes,
        trials=len(side.evaluation.trials),
        rate=side.evaluation.success_rate(),
        low=low,
        high=high,
        cycle=evaluated_cycle(side.evaluation),
    )


def _episodes(store: Path) -> tuple[EpisodeSummary, ...]:
    if not store.is_file():
        return ()
    with StoreReader(store) as reader:
        return tuple(EpisodeSummary.model_validate(record) for record in reader.episodes())
