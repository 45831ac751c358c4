"""The condition `lerobot` of `learning.py`: what LeRobot's learner makes of a plain run's demonstrations and time."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console

from bench.baselines import judge
from bench.learning_conditions import PLAIN, Condition
from bench.learning_row import Exam, Row
from bench.learning_run import REPORT_FILE, TRAINED, RunFailed, curve_of, run_name, teaching_s
from bench.lerobot_loop import PeerFailed, teach
from bench.lerobot_sac import ENCODER, UPDATES_FILE, Orders, write_demonstrations, write_encoder
from bench.lerobot_settings import PeerSettings
from console.evaluation.main import judged_apart
from console.presets.load import load_settings
from console.report.data import EpisodeSummary, RunReport
from console.report.page import RECENT_EPISODES
from console.run_folder import SETTINGS_FILE, STORE_FILE
from console.settings import Settings
from learner.disk import write_atomically
from learner.store import StoreReader
from policy.experience import Step
from policy.experience_file import EpisodeSelection, ExperienceFile

ROW_FILE, LOG_FILE = "row.json", "actor.log"


def taught_by_lerobot(
    condition: Condition,
    peer: PeerSettings,
    seed: int,
    grid: tuple[int, int, int],
    folder: Path,
    code: str,
    console: Console,
) -> Row:
    """Teach for as long as the plain run of this seed was taught, from its demonstrations, paid by its judge; examine.

    One that is finished is read, where its options and its grid are these. Raises `RunFailed`.
    """
    plain, target = folder / f"{PLAIN}-{seed}", folder / run_name(condition, seed)
    trials = grid[0] * grid[1] * grid[2]
    if (target / ROW_FILE).is_file():
        row = Row.model_validate_json((target / ROW_FILE).read_bytes())
        if (row.options, row.exams[0].trials) == (peer.options(), trials):
            return row
    if not (plain / REPORT_FILE).is_file():
        raise RunFailed(
            f"{target.name}: it learns from the demonstrations of {plain}, which is not there or not finished; run it "
            f"first"
        )
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    row = _teach_and_examine(condition, peer, seed, grid, plain, target, code, console)
    write_atomically(target / ROW_FILE, row.model_dump_json(indent=1).encode())
    return row


def _teach_and_examine(
    condition: Condition,
    peer: PeerSettings,
    seed: int,
    grid: tuple[int, int, int],
    plain: Path,
    target: Path,
    code: str,
    console: Console,
) -> Row:
    begun_s = time.monotonic()
    settings = load_settings(Settings, ["--preset", str(plain / SETTINGS_FILE)], "", "learning.py")
    # Where it lies now: its classifier lies there, too.
    settings = settings.model_copy(update={"runs": plain.parent, "run": plain.name, "seed": seed})
    report = RunReport.model_validate_json((plain / REPORT_FILE).read_bytes())
    with StoreReader(plain / STORE_FILE, settings.contract) as store:
        of_plain = [EpisodeSummary.model_validate(record) for record in store.episodes()]
    orders = Orders(target, settings.contract, seed, peer)
    demonstrations = _demonstrations(plain / STORE_FILE)
    write_encoder(target / ENCODER)
    write_demonstrations(orders, demonstrations)
    budget_s = teaching_s(of_plain) if peer.budget_s is None else peer.budget_s
    with (target / LOG_FILE).open("w") as log, console.status(f"{target.name}: {budget_s:.0f} s"):
        try:
            taught = teach(settings, orders, budget_s, Console(file=log, width=120))
        except PeerFailed as error:
            raise RunFailed(f"{target.name}: {error}") from error
    names = ("rows", "columns", "yaws")
    evaluation = settings.evaluation.model_copy(update=dict(zip(names, grid, strict=True)))
    exam = judge(taught.policy, judged_apart(settings.model_copy(update={"evaluation": evaluation})), condition.name)
    hz, steps = settings.contract.control_hz, sum(map(len, demonstrations)) + sum(e.steps for e in taught.episodes)
    demos = [each for each in of_plain if each.kind == "demo" and each.success]
    recent = taught.episodes[-RECENT_EPISODES:]
    return Row(
        condition=condition.name,
        preset=settings.preset_name,
        seed=seed,
        options=peer.options(),
        exams=(
            Exam(
                look=TRAINED,
                cells=exam["cells"],
                cycle_s=None if exam["cycle_steps"] is None else exam["cycle_steps"] / hz,
            ),
        ),
        env_steps=steps,
        robot_time_s=steps / hz,
        teaching_s=taught.seconds,
        wall_s=time.monotonic() - begun_s,
        updates=_updates(target / UPDATES_FILE) * peer.utd,
        demonstrations=len(demonstrations),
        intervention_share_last_50=sum(e.human_steps for e in recent) / sum(e.steps for e in recent),
        training_success_last_50=sum(e.autonomous_success for e in recent) / len(recent),
        demo_cycle_s=report.demo_cycle_s,
        curve=curve_of([*demos, *taught.episodes]),
        judge=report.rewards,
        machine=report.machine,
        code=code,
    )


def _demonstrations(path: Path) -> list[Sequence[Step]]:
    """All that ended and were not rejected."""
    with closing(ExperienceFile(path)) as file:
        return [file.episode(each) for each in file.choose(EpisodeSelection(demonstrations=True)).ids]


def _updates(journal: Path) -> int:
    """Their optimisation steps."""
    return max((json.loads(line)["steps"] for line in journal.read_text().splitlines()), default=0)
