"""What a report is made of (trials, episodes, metrics) and what it claims (the figures of `report.json`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from console.statistics import Interval, wilson_interval
from learner.disk import write_atomically
from learner.evaluations import EVALUATION_FILE
from policy.contract import Frozen
from policy.errors import NudgeError


class ReportError(NudgeError):
    """Files of a run that cannot be read, or contradict each other."""


class Trial(Frozen):
    """One evaluation episode: the policy alone, from one cell of the grid."""

    row: int = Field(ge=0, description="row of the grid, counted from the arm's base outwards (x)")
    column: int = Field(ge=0, description="column of the grid, counted along y from its lower end (the arm's right)")
    cube_x_m: float = Field(description="cube at the start, in the arm's base frame [m]")
    cube_y_m: float = Field(description="cube at the start, in the arm's base frame [m]")
    cube_yaw_rad: float = Field(description="cube at the start, about the vertical [rad]")
    success: bool
    steps: int = Field(gt=0, description="control steps until success or the end of the episode")
    robot_time_s: float = Field(ge=0, description="the same at the control rate [s]")


class Grid(Frozen):
    """The field of cube positions, cut into cells; x points away from the arm's base, y to its left."""

    rows: int = Field(gt=0, description="cells along x")
    columns: int = Field(gt=0, description="cells along y")
    x_low_m: float
    x_high_m: float
    y_low_m: float
    y_high_m: float

    def centre_m(self, row: int, column: int) -> tuple[float, float]:
        """Centre of a cell in the arm's base frame: x, y [m]."""
        x_m = self.x_low_m + (row + 0.5) * (self.x_high_m - self.x_low_m) / self.rows
        return x_m, self.y_low_m + (column + 0.5) * (self.y_high_m - self.y_low_m) / self.columns


class CellResult(Frozen):
    """How one cell of the grid went."""

    successes: int = Field(ge=0)
    n: int = Field(gt=0, description="trials in this cell")
    rate: float = Field(ge=0, le=1, description="successes / n [1]")


class LateTicks(Frozen):
    """How well an evaluation in real time kept its rate: on a busy machine the arm goes on while nobody steers."""

    ticks: int = Field(ge=0, description="ticks of all trials")
    count: int = Field(ge=0, description="of them began after their deadline, as the one before was still at work")
    worst_ms: float = Field(ge=0, description="how long after its deadline the latest began [ms]")


class Evaluation(Frozen):
    """A fixed set of trials without an operator; `evaluation.json` in the run folder, or in that of a checkpoint."""

    trials: tuple[Trial, ...] = Field(min_length=1)
    grid: Grid
    policy_version: int = Field(ge=0)
    checkpoint: str = Field(default="", description="checkpoint file in the run folder; empty: the policy in memory")
    deterministic: bool = Field(description="the mean action, not a sample")
    label: Literal["simulator", "operator"] = Field(description="who judged success; never the reward classifier")
    conditions: dict[str, str] = Field(
        default={}, description="what another evaluation must share to be compared with this one, by name"
    )
    late: LateTicks | None = Field(default=None, description="None where the simulated world waits for each tick")

    @model_validator(mode="after")
    def _trials_lie_on_the_grid(self) -> Evaluation:
        for trial in self.trials:
            if trial.row >= self.grid.rows or trial.column >= self.grid.columns:
                raise ValueError(
                    f"trial in cell ({trial.row}, {trial.column}): the grid has {self.grid.rows} rows and "
                    f"{self.grid.columns} columns, counted from 0"
                )
        return self

    @property
    def successes(self) -> int:
        """Number of successful trials."""
        return sum(trial.success for trial in self.trials)

    def success_rate(self) -> float:
        """Successes per trial [1]."""
        return self.successes / len(self.trials)

    def wilson(self) -> Interval:
        """95 % interval of the success rate [1], taking trials as independent."""
        return wilson_interval(self.successes, len(self.trials))

    def by_cell(self) -> dict[tuple[int, int], CellResult]:
        """Result of each cell that was tried, by (row, column)."""
        outcomes: dict[tuple[int, int], list[bool]] = {}
        for trial in sorted(self.trials, key=lambda trial: (trial.row, trial.column)):
            outcomes.setdefault((trial.row, trial.column), []).append(trial.success)
        return {
            cell: CellResult(successes=sum(each), n=len(each), rate=sum(each) / len(each))
            for cell, each in outcomes.items()
        }

    def save(self, folder: Path) -> Path:
        """Write `evaluation.json`, whole or not at all."""
        path = folder / EVALUATION_FILE
        write_atomically(path, self.model_dump_json(indent=1).encode())
        return path

    @classmethod
    def load(cls, run_folder: Path) -> Evaluation | None:
        """The run's evaluation; None when none was made. Raises `ReportError` on a file that is not one."""
        path = run_folder / EVALUATION_FILE
        if not path.exists():
            return None
        try:
            return cls.model_validate_json(path.read_text())
        except ValidationError as error:
            raise ReportError(f"{path}: not an evaluation of this version; evaluate again.\n{error}") from error


class EpisodeSummary(Frozen):
    """What the report needs of one episode.

    `EpisodeSummary.model_validate(record)` takes any record with these attributes, as `learner.store` has them, and
    ignores others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    session: str
    index: int = Field(ge=0, description="of the episode within its session")
    kind: Literal["demo", "online"]
    steps: int = Field(ge=0)
    human_steps: int = Field(ge=0, description="interventions; the steps of a demonstration are not among them")
    episode_return: float = Field(description="sum of rewards, undiscounted; above 0 is a success")
    complete: bool = Field(description="its last step arrived; others count as steps but not as episodes")
    rejected: bool = Field(default=False, description="nothing was learned from it; it counts as no success")
    first_wall_ns: int = Field(description="wall clock of the first step [ns since 1970]")
    last_wall_ns: int = Field(description="wall clock of the last step [ns since 1970]")

    @property
    def success(self) -> bool:
        """The task was done, by whomever."""
        return self.complete and self.episode_return > 0 and not self.rejected

    @property
    def autonomous_success(self) -> bool:
        """The task was done online without a single human step."""
        return self.kind == "online" and self.success and self.human_steps == 0


class MetricsRecord(Frozen):
    """One line of the learner's `metrics.jsonl`."""

    updates: int = Field(ge=0, description="critic updates so far")
    env_steps: int = Field(ge=0, description="steps in the experience store, demonstrations included")
    wall_s: float = Field(description="since the learner started [s]")
    metrics: dict[str, float]


class TimingRow(Frozen):
    """How long one part of the actor's tick takes."""

    name: str
    p50_ms: float = Field(ge=0, description="median [ms]")
    p99_ms: float = Field(ge=0, description="99th percentile [ms]")
    p99_9_ms: float = Field(ge=0, description="99.9th percentile [ms]")
    max_ms: float = Field(ge=0, description="longest [ms]")
    count: int = Field(ge=0, description="ticks measured")


class Deviation(Frozen):
    """One setting that differs from the paper's (HIL-SERL)."""

    name: str
    paper: str
    here: str


class HealthFinding(Frozen):
    """What a health check of training found; see `learner.health`."""

    name: str
    title: str
    cure: str
    first_updates: int = Field(description="first reading in which it was found")
    last_updates: int
    readings: int = Field(gt=0, description="in how many readings")
    still_there: bool = Field(description="in the last reading as well")


class ReportInputs(Frozen):
    """All that a report is made of. What a run that stopped early has not got stays None or empty, and is named."""

    run_name: str
    task: str = Field(description="what the arm learns, e.g. 'grasp and lift a cube'")
    success_rule: str = Field(
        description="when a trial counts as a success, e.g. 'lifted by 5 cm and held for 5 steps'"
    )
    preset: str
    seed: int
    contract_hash: str
    control_hz: float = Field(gt=0)
    wall_s: float = Field(ge=0, description="from the start of the run to this report [s]")
    machine: str = Field(description="one line: processor, memory, accelerator, versions")
    episodes: tuple[EpisodeSummary, ...] = ()
    takeover_steps: tuple[int, ...] = Field(default=(), description="length of each takeover in training [steps]")
    metrics: tuple[MetricsRecord, ...] = ()
    evaluation: Evaluation | None = None
    deviations: tuple[Deviation, ...] = Field(default=(), description="settings that differ from the paper's")
    timing: tuple[TimingRow, ...] = ()
    learner_figures: dict[str, float] = Field(default={}, description="further figures, by a name with its unit")
    q_bound: float | None = Field(
        default=None, description="largest return that the reward allows; Q above it is wrong"
    )
    video: str | None = Field(default=None, description="video file, relative to the run folder")
    judge: str | None = Field(
        default=None,
        description="who paid the rewards: simulator, operator, or a classifier by its hash; None: unknown",
    )
    rewards: str = Field(default="", description="the same in one line for people, with the figures of a classifier")


class RunReport(Frozen):
    """What `report.json` says. None: not measured, and `missing` says why."""

    run_name: str
    autonomous_success: float | None = Field(description="evaluation successes per trial, operator silent [1]")
    trials: int
    wilson_low: float | None = Field(description="lower end of the 95 % interval [1]")
    wilson_high: float | None = Field(description="upper end of the 95 % interval [1]")
    success_by_cell: dict[str, CellResult] = Field(description="by 'row,column'")
    env_steps: int = Field(description="all steps stored, demonstrations included")
    demo_steps: int
    human_steps: int = Field(description="steps of interventions, demonstrations not included")
    takeovers: int = Field(description="how often the operator took over in training")
    takeover_steps: float | None = Field(description="median length of a takeover [steps]")
    demo_episodes: int
    online_episodes: int
    wall_s: float
    robot_time_s: float = Field(description="env_steps / control_hz [s]")
    intervention_rate_last_50: float | None = Field(description="human share of steps, last 50 online episodes [1]")
    training_success_last_50: float | None = Field(description="autonomous successes, last 50 online episodes [1]")
    cycle_steps: float | None = Field(description="median steps of successful trials")
    cycle_s: float | None = Field(description="the same at the control rate [s]")
    cycle_low_s: float | None = Field(default=None, description="first quartile of the same [s]")
    cycle_high_s: float | None = Field(default=None, description="third quartile of the same [s]")
    demo_cycle_steps: float | None = Field(description="median steps of successful demonstrations")
    demo_cycle_s: float | None = Field(description="the same at the control rate [s]")
    updates: int
    effective_utd: float | None = Field(description="updates per environment step since training began [1]")
    contract_hash: str
    control_hz: float
    seed: int
    preset: str
    deviations: tuple[Deviation, ...]
    judge: str | None = Field(
        description="who paid the rewards: simulator, operator, or the Sha256 of a classifier's weights; None: unknown"
    )
    rewards: str = Field(description="the same in words, with the figures of a classifier")
    machine: str
    health: tuple[HealthFinding, ...] = Field(description="what the health checks of training found")
    advice: tuple[str, ...] = Field(default=(), description="rules of the coach that have something to say")
    missing: tuple[str, ...] = Field(description="what this report lacks, and why")


def read_metrics(path: Path) -> tuple[MetricsRecord, ...]:
    """The learner's metrics; empty when it wrote none.

    A last line without its end is one that was cut off as it was written, and left out; so are readings of updates that
    were done again after a kill, or undone by a rollback. Raises `ReportError` on any other line that is not a record.
    """
    if not path.exists():
        return ()
    lines = path.read_text().split("\n")[:-1]  # what follows the last newline is unfinished
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(MetricsRecord.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError) as error:
            raise ReportError(f"{path}, line {number}: not a metrics record; remove the line.\n{error}") from error
    return tuple(lasting_records(records))


def lasting_records(records: Sequence[MetricsRecord]) -> list[MetricsRecord]:
    """Without readings of updates that were done again after a kill, or undone by a rollback."""
    lasting: list[MetricsRecord] = []
    for record in reversed(records):
        if not lasting or record.updates < lasting[-1].updates:
            lasting.append(record)
    return lasting[::-1]
