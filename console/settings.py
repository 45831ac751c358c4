"""All settings of a run in one tree.

Each section lives beside the code that reads it; this module only puts them together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from actor.judge_settings import JudgeSettings
from actor.link_settings import LinkSettings
from actor.settings import LoopSettings
from console.coach.settings import CoachSettings
from console.dashboard.settings import DashboardSettings
from console.demo.settings import DemoSettings
from console.doctor.settings import DoctorSettings
from console.logs.settings import LogSettings
from console.mirror.settings import MirrorSettings
from console.run_folder import CLASSIFIER_FOLDER
from demos.settings import CheckSettings, RecordSettings
from learner.service_settings import ServiceSettings
from learner.settings import LearnerSettings
from policy.contract import Contract, Frozen
from robot.settings import ArmSettings, TaskSettings
from teleop.settings import OperatorSettings, TeleopSettings

DEFAULT_PRESET = "fast"


class EvaluationSettings(Frozen):
    """The fixed grid on which a policy is judged: cell centres of the cube's field times yaws."""

    rows: int = Field(default=5, gt=0, description="Cells along x.")
    columns: int = Field(default=5, gt=0, description="Cells along y.")
    yaws: int = Field(default=4, gt=0, description="Yaws of the cube per cell, spread over a quarter turn.")
    seed: int = Field(default=1_000_003, ge=0, description="Seed of the tool's start positions; not a training seed.")
    checkpoint: str = Field(
        default="",
        description="What to judge: the updates of a checkpoint, `newest`, `best` or `all` of them, or a snapshot in "
        "the run folder; empty: the newest policy that was published.",
    )


class Settings(Frozen):
    """Everything that can be set."""

    preset_name: str = Field(description="Name under which reports show these settings.")
    run: str = Field(
        default="demo",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of the run; its folder is `<runs>/<run>`.",
    )
    runs: Path = Field(default=Path("runs"), description="Folder of all runs.")
    seed: int = Field(default=0, ge=0, description="Seed of all that is random in this run.")
    demo_sets: tuple[Path, ...] = Field(
        default=(),
        description="Folders of demo sets to learn from. The learner takes them into its store, and of "
        "`loop.demo_episodes` the actor records so many fewer; it needs no copy but to watch its cameras.",
    )
    contract: Contract = Field(description="What is observed and commanded; both ends must agree on it.")
    arm: ArmSettings = Field(default=ArmSettings(), description="Which arm is driven, and how.")
    task: TaskSettings = Field(default=TaskSettings(), description="What is to be learned.")
    judge: JudgeSettings = Field(
        default=JudgeSettings(), description="The classifier that pays, where it is the judge."
    )
    teleop: TeleopSettings = Field(default=TeleopSettings(), description="Who teaches, and with which device.")
    operator: OperatorSettings = Field(default=OperatorSettings(), description="How the scripted operator teaches.")
    loop: LoopSettings = Field(default=LoopSettings(), description="The actor's control loop.")
    link: LinkSettings = Field(default=LinkSettings(), description="The actor's link to its learner.")
    service: ServiceSettings = Field(default=ServiceSettings(), description="The learner's service.")
    learner: LearnerSettings = Field(default=LearnerSettings(), description="How the learner learns.")
    record: RecordSettings = Field(default=RecordSettings(), description="What `nudge record` makes.")
    checks: CheckSettings = Field(default=CheckSettings(), description="From where on a demonstration is doubted.")
    evaluation: EvaluationSettings = Field(default=EvaluationSettings(), description="How a policy is judged.")
    dashboard: DashboardSettings = Field(
        default=DashboardSettings(), description="The page in the browser that shows a run."
    )
    mirror: MirrorSettings = Field(
        default=MirrorSettings(), description="Where else the curves of a run are to be seen."
    )
    logs: LogSettings = Field(default=LogSettings(), description="What learner and actor keep of their logs.")
    doctor: DoctorSettings = Field(default=DoctorSettings(), description="What `nudge doctor` tries, and its limits.")
    coach: CoachSettings = Field(default=CoachSettings(), description="From where on `nudge coach` says something.")
    demo: DemoSettings = Field(default=DemoSettings(), description="What `nudge demo` does besides.")

    @model_validator(mode="after")
    def _demonstrations_suffice(self) -> Self:
        recorded, awaited = self.loop.demo_episodes, self.learner.trainer.demo_episodes
        if recorded < awaited:
            raise ValueError(
                f"loop.demo_episodes: got {recorded}, but the learner waits for "
                f"learner.trainer.demo_episodes = {awaited} and would never begin; give at least as many: those of "
                f"demo_sets count among them"
            )
        return self

    @model_validator(mode="after")
    def _the_classifier_is_asked(self) -> Self:
        if self.judge.classifier is not None and self.task.judge != "classifier":
            raise ValueError(
                f"judge.classifier: got {self.judge.classifier}, but task.judge is {self.task.judge}, and nobody would "
                f"ask it; set task.judge to classifier, or leave judge.classifier out (--judge.classifier None)"
            )
        return self

    @property
    def demonstration_checks(self) -> CheckSettings:
        """`checks` as they hold in this world: a simulated one that runs as fast as it can keeps no time."""
        if self.loop.pace == "realtime":
            return self.checks
        timing = self.checks.timing.model_copy(update={"real_time": False})
        return self.checks.model_copy(update={"timing": timing})

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / self.run

    @property
    def classifier_folder(self) -> Path:
        """Where the classifier lies that pays, if one does."""
        return self.judge.classifier or self.folder / CLASSIFIER_FOLDER
