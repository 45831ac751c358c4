"""A finished run of `learning.py` that is taught further, so that what it knew before can be compared."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from bench.learning_conditions import PLAIN, Condition, find
from bench.learning_run import REPORT_FILE, RunFailed, code_file, is_finished, run_before, run_name
from console.demo.main import teach_run
from console.errors import ConsoleError
from console.evaluation.main import evaluate
from console.presets.load import dump_settings, load_settings
from console.report.main import report_run
from console.run_folder import SETTINGS_FILE
from console.settings import Settings
from learner.evaluations import EVALUATION_FILE


def teach_further(condition: Condition, seed: int, folder: Path, code: str) -> Path:
    """Go on with a copy of the run that the condition names, examine it on the same grid and report; its folder.

    The copy keeps the name, by which its spool knows the run: it lies in `folder/<condition>/plain-<seed>`.
    code: the commit that runs, noted beside the run. One that is finished is left as it is. Raises `RunFailed`.
    """
    run = folder / condition.name / run_name(find(PLAIN), seed)
    before = run_before(run, condition)
    if is_finished(run):
        return run
    if not is_finished(before):
        raise RunFailed(f"{run}: it goes on with {before}, which is not there or not finished; run it first")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(before, run)
    for name in (REPORT_FILE, EVALUATION_FILE):
        (run / name).unlink()
    code_file(run).write_text(code)
    chosen = ["--preset", str(run / SETTINGS_FILE), "--runs", str(run.parent), *condition.options]
    settings = load_settings(Settings, chosen, "", "learning.py")
    dump_settings(settings, run / SETTINGS_FILE)
    with run.with_name(f"{run.name}.log").open("w") as log:
        console = Console(file=log, width=120)
        try:
            teach_run(settings, console)
            evaluate(settings, console)
        except ConsoleError as error:
            raise RunFailed(f"{run}: {error}") from error
        report_run(settings)
    return run
