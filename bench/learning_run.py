"""One run of `learning.py`: `nudge demo` from an empty folder, and what its folder says afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import baselines
from bench.learning_conditions import PLAIN, Condition, find
from bench.learning_row import Exam, Row
from console.evaluation.cycle_time import evaluated_cycle
from console.evaluation.main import evaluate
from console.presets.load import load_settings
from console.report.data import EpisodeSummary, Evaluation, RunReport
from console.report.page import training_curve
from console.run_folder import POLICY_FILE, SETTINGS_FILE, STORE_FILE
from console.settings import Settings
from learner.store import StoreReader

CURVE_POINTS = 60
REPORT_FILE = "report.json"
TRAINED = "as in training"


class RunFailed(Exception):
    """`nudge demo` did not come to its end."""


def teach(condition: Condition, preset: str, seed: int, grid: tuple[int, int, int], folder: Path, code: str) -> Path:
    """Run `nudge demo`, unless the run is there and finished; its folder. Raises `RunFailed`.

    grid: rows, columns and yaws of the evaluation; code: the commit that runs, which is noted beside the run
    All conditions of one seed are paid by one classifier, that of the plain run, where their world is the same.
    """
    run = folder / run_name(condition, seed)
    if is_finished(run):
        return run
    rows, columns, yaws = (str(count) for count in grid)
    command = ["demo", "--preset", condition.preset or preset, "--runs", str(folder), "--run", run.name]
    command += ["--seed", str(seed), "--dashboard.with-learner", "False"]
    command += ["--evaluation.rows", rows, "--evaluation.columns", columns, "--evaluation.yaws", yaws]
    classifier = folder / f"{PLAIN}-{seed}" / "classifier"
    if classifier.is_dir() and condition.name != PLAIN and not condition.pays_itself:
        command += ["--task.judge", "classifier", "--judge.classifier", str(classifier)]
    code_file(run).write_text(code)
    log = folder / f"{run.name}.log"
    with log.open("wb") as told:
        ended = subprocess.run(
            [sys.executable, "-m", "console.main", *command, *condition.options],
            stdout=told,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode:
        raise RunFailed(f"{run.name}: nudge demo ended with status {ended.returncode}; see {log}")
    return run


def run_name(condition: Condition, seed: int) -> str:
    """Of its folder."""
    return f"{condition.name}-{seed}"


def is_finished(run: Path) -> bool:
    """It was taught, examined and reported."""
    return (run / REPORT_FILE).is_file() and Evaluation.load(run) is not None


def read_run(run: Path, condition: Condition, console: Console) -> Row:
    """What a finished run came to; its policy is examined in the condition's other looks first."""
    if not code_file(run).is_file():
        raise RunFailed(f"{run}: there is no {code_file(run).name}, so nobody knows which commit taught it; remove it")
    report = RunReport.model_validate_json((run / REPORT_FILE).read_bytes())
    settings = load_settings(Settings, ["--preset", str(run / SETTINGS_FILE)], "", "learning.py")
    trained = Evaluation.load(run)
    if trained is None:
        raise RunFailed(f"{run}: it has no evaluation; remove it, and it is run again")
    with StoreReader(run / STORE_FILE, settings.contract) as store:
        episodes = [EpisodeSummary.model_validate(record) for record in store.episodes()]
    return Row(
        condition=condition.name,
        preset=settings.preset_name,
        seed=report.seed,
        options=condition.options,
        exams=(_exam(TRAINED, trained), *(_other_look(run, *look, console) for look in condition.looks)),
        env_steps=report.env_steps,
        robot_time_s=report.robot_time_s,
        teaching_s=teaching_s(episodes),
        wall_s=report.wall_s + _wall_s_before(run, condition),
        updates=report.updates,
        demonstrations=report.demo_episodes,
        intervention_share_last_50=report.intervention_rate_last_50,
        training_success_last_50=report.training_success_last_50,
        demo_cycle_s=report.demo_cycle_s,
        curve=curve_of(episodes),
        judge=report.rewards,
        machine=report.machine,
        code=code_file(run).read_text(),
    )


def imitate(condition: Condition, preset: str, seed: int, grid: tuple[int, int, int], folder: Path, code: str) -> Row:
    """Learn from the demonstrations of the plain run of this seed alone, and be examined. Raises `RunFailed`."""
    plain, target = folder / f"{PLAIN}-{seed}", folder / run_name(condition, seed)
    if not (plain / STORE_FILE).is_file():
        raise RunFailed(
            f"{target.name}: it learns from the demonstrations of {plain}, which is not there; run it first"
        )
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    other = "act" if condition.imitates == "bc" else "bc"
    chosen = [str(plain), "--preset", preset, "--seed", str(seed), f"--no-{other}", *condition.options]
    for name, count in zip(("rows", "columns", "yaws"), grid, strict=True):
        chosen += [f"--{name}", str(count)]
    begun_s = time.monotonic()
    figures = baselines.measure(baselines.parse(chosen), target)
    wall_s = time.monotonic() - begun_s
    of = {key.removeprefix(f"{condition.imitates}_"): value for key, value in figures.items()}
    settings = load_settings(Settings, ["--preset", str(plain / SETTINGS_FILE)], "", "learning.py")
    hz = settings.contract.control_hz
    cycle_s = None if of["cycle_steps"] is None else of["cycle_steps"] / hz
    report = RunReport.model_validate_json((plain / REPORT_FILE).read_bytes())
    return Row(
        condition=condition.name,
        preset=settings.preset_name,
        seed=seed,
        options=condition.options,
        exams=(Exam(look=TRAINED, cells=of["cells"], cycle_s=cycle_s),),
        env_steps=figures["steps"],
        robot_time_s=figures["steps"] / hz,
        teaching_s=of["training_s"],
        wall_s=wall_s,
        updates=of["updates"],
        demonstrations=figures["demonstrations"],
        intervention_share_last_50=None,
        training_success_last_50=None,
        demo_cycle_s=report.demo_cycle_s,
        curve=(),
        judge="",
        machine=report.machine,
        code=code,
    )


def code_file(run: Path) -> Path:
    """Which commit taught it: beside its folder, which `nudge demo` wants to make itself."""
    return run.with_name(f"{run.name}.code")


def _other_look(run: Path, look: str, options: tuple[str, ...], console: Console) -> Exam:
    """The last policy in a world that looks otherwise; examined once, in a folder within that of its run."""
    settings = load_settings(Settings, ["--preset", str(run / SETTINGS_FILE), *options], "", "learning.py")
    settings = settings.model_copy(update={"runs": run, "run": look.replace(" ", "-")})
    found = Evaluation.load(settings.folder)
    if found is None:
        settings.folder.mkdir(exist_ok=True)
        shutil.copy(run / POLICY_FILE, settings.folder / POLICY_FILE)
        found = evaluate(settings, console)
    return _exam(look, found)


def _exam(look: str, evaluation: Evaluation) -> Exam:
    cycle = evaluated_cycle(evaluation)
    cells = {f"{row},{column}": (cell.successes, cell.n) for (row, column), cell in evaluation.by_cell().items()}
    return Exam(look=look, cells=cells, cycle_s=None if cycle is None else cycle.median_s)


def run_before(run: Path, condition: Condition) -> Path:
    """Folder of the run that this one goes on with. It has the same name, which its spool holds on to."""
    before = find(condition.goes_on)
    folder = run.parent.parent
    return (folder / before.name if before.goes_on else folder) / run.name


def _wall_s_before(run: Path, condition: Condition) -> float:
    """What the runs took that it goes on with [s]."""
    if not condition.goes_on:
        return 0.0
    before = run_before(run, condition)
    report = RunReport.model_validate_json((before / REPORT_FILE).read_bytes())
    return report.wall_s + _wall_s_before(before, find(condition.goes_on))


def teaching_s(episodes: Sequence[EpisodeSummary]) -> float:
    """From the first demonstration to the last step, by the wall clock, without the breaks between sessions [s]."""
    sessions = [[each for each in episodes if each.session == session] for session in {e.session for e in episodes}]
    return sum((max(e.last_wall_ns for e in of) - min(e.first_wall_ns for e in of)) / 1e9 for of in sessions)


def curve_of(episodes: Sequence[EpisodeSummary]) -> tuple[tuple[int, float, float], ...]:
    """Success alone and the operator's share, thinned."""
    curve = training_curve(episodes)
    every = max(1, len(curve.env_steps) // CURVE_POINTS)
    points = zip(curve.env_steps, curve.alone, curve.human_share, strict=True)
    return tuple(
        (int(at), round(float(alone), 3), round(float(share), 3)) for at, alone, share in list(points)[::every]
    )


def code_now() -> str:
    """The commit that runs, marked where files differ from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def as_json(rows: list[Row]) -> str:
    """All figures of these runs in one line."""
    told = []
    for row in rows:
        for exam in row.exams:
            figures = {"condition": row.condition, "seed": row.seed, "look": exam.look, "steps": row.env_steps}
            figures |= {"success": exam.successes / exam.trials, "trials": exam.trials, "worst_cell": exam.worst_cell}
            figures |= {"interventions": row.intervention_share_last_50, "wall_s": round(row.wall_s, 1)}
            figures |= {"cycle_s": exam.cycle_s, "demo_cycle_s": row.demo_cycle_s}
            told.append(figures)
    return json.dumps(told)
