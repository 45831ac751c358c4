"""Gathers what lies in a run folder into a report."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from console.coach.gather import gather_evidence
from console.coach.rules import advise
from console.presets.load import deviations, load_preset, load_settings
from console.report.data import Deviation, EpisodeSummary, Evaluation, ReportInputs, RunReport, TimingRow, read_metrics
from console.report.page import write_report
from console.run_folder import METRICS_FILE, SETTINGS_FILE, STORE_FILE, TIMING_FILE, VIDEO_FILE
from console.settings import DEFAULT_PRESET, Settings
from learner.judges import PayingJudge, told
from learner.store import StoreReader
from learner.takeovers import takeovers

# What a section may differ in without changing how anything is learned.
NO_DEVIATION = (
    *("run", "runs", "preset_name", "seed", "link.", "service.", "evaluation.", "doctor.", "coach."),
    "dashboard.",
    *("learner.trainer.threads", "arm.so101"),
    *("task.judge", "judge.", "demo."),  # who pays is told in a line of its own
)


def main(argv: list[str]) -> int:
    """`nudge report`: write report.json and report.html of a run anew."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge report")
    report_run(settings)
    print(settings.folder / "report.html")
    return 0


def report_run(settings: Settings) -> RunReport:
    """Write `report.json` and `report.html` of a run, from whatever it got to."""
    folder, task = settings.folder, settings.task
    judge = _judge(folder, settings)
    inputs = ReportInputs(
        run_name=settings.run,
        task="grasp and lift a cube",
        success_rule=f"cube lifted by {100 * task.lift_m:.0f} cm and held by both jaws for {task.hold_steps} steps",
        preset=settings.preset_name,
        seed=settings.seed,
        contract_hash=settings.contract.hash,
        control_hz=settings.contract.control_hz,
        wall_s=_wall_s(folder),
        machine=machine(),
        episodes=_episodes(folder, settings),
        takeover_steps=_takeover_steps(folder, settings),
        metrics=read_metrics(folder / METRICS_FILE),
        evaluation=Evaluation.load(folder),
        deviations=tuple(_deviations(settings)),
        timing=_timing(folder),
        q_bound=settings.learner.sac.reward_scale,
        video=VIDEO_FILE,
        judge=None if judge is None else judge.name,
        rewards=_rewards(judge, settings),
    )
    return write_report(folder, inputs, advise(gather_evidence(settings), settings.coach))


def paper_deviations(settings: Settings) -> list[str]:
    """Where the settings of learning differ from HIL-SERL's own, as `path: ours (paper: theirs)`."""
    paper = load_preset(Settings, "paper")
    return [line for line in deviations(settings, paper) if not line.startswith(NO_DEVIATION)]


def machine() -> str:
    """Processor, cores and versions, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, "
        f"Python {platform.python_version()}, torch {version('torch')}, mujoco {version('mujoco')}"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _episodes(folder: Path, settings: Settings) -> tuple[EpisodeSummary, ...]:
    path = folder / STORE_FILE
    if not path.is_file():
        return ()
    with StoreReader(path, settings.contract) as store:
        return tuple(EpisodeSummary.model_validate(record) for record in store.episodes())


def _takeover_steps(folder: Path, settings: Settings) -> tuple[int, ...]:
    path = folder / STORE_FILE
    if not path.is_file():
        return ()
    with StoreReader(path, settings.contract) as store:
        return tuple(takeover.steps for takeover in takeovers(store))


def _judge(folder: Path, settings: Settings) -> PayingJudge | None:
    """Who paid, as the actor has told the learner; None where it has not, or no step has come."""
    path = folder / STORE_FILE
    if not path.is_file():
        return None
    with StoreReader(path, settings.contract) as store:
        return store.judge()


def _rewards(judge: PayingJudge | None, settings: Settings) -> str:
    """Who that is, for people; of a classifier its figures, where it still lies where the actor took it from."""
    if judge is None:
        return ""
    if judge.is_classifier:
        from console.judge import describe  # torch costs seconds
        from reward_classifier.artefact import FACTS_FILE, read_facts

        folder = settings.classifier_folder
        if (folder / FACTS_FILE).is_file() and (facts := read_facts(folder)).name == judge.name:
            return describe(facts)
    return told(judge.name)


def _deviations(settings: Settings) -> list[Deviation]:
    found = []
    for line in paper_deviations(settings):
        name, values = line.split(": ", 1)
        here, paper = values.removesuffix(")").split(" (paper: ", 1)
        found.append(Deviation(name=name, here=here, paper=paper))
    return found


def _timing(folder: Path) -> tuple[TimingRow, ...]:
    path = folder / TIMING_FILE
    return tuple(TimingRow(**row) for row in json.loads(path.read_text())["durations"]) if path.is_file() else ()


def _wall_s(folder: Path) -> float:
    """From the start of the run, when its settings were written, to its last sign of life."""
    start = (folder / SETTINGS_FILE).stat().st_mtime
    names = (STORE_FILE, METRICS_FILE, TIMING_FILE, "evaluation.json", VIDEO_FILE)
    return max([start, *((folder / name).stat().st_mtime for name in names if (folder / name).is_file())]) - start
