"""`nudge checkpoint`: the checkpoints of a run and how they did, and the way back to one of them."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.console import Console
from rich.table import Table

from console.errors import ConsoleError
from console.presets.load import parse_options
from console.run_folder import POLICY_FILE, STORE_FILE, VIDEO_FILE
from console.statistics import wilson_interval
from console.subverbs import run_subverb
from learner.checkpoint_folder import CHECKPOINTS, META, POLICY, list_checkpoints, updates_of
from learner.disk import write_atomically
from learner.evaluations import EVALUATION_FILE, best_checkpoint, read_evaluations
from learner.rollback import finish_rollback, roll_back
from learner.store import StoreReader, lock_store
from policy.contract import Frozen

USAGE = """\
usage: nudge checkpoint {list,rollback} [--run NAME] [options]

verbs:
  list      which there are, how large and how old, and how each did on the fixed evaluation; --json for programs
  rollback  go back to one of them, --to UPDATES or --to best, while no learner runs; nothing is deleted

`nudge eval --evaluation.checkpoint all` evaluates those that were not. `nudge checkpoint VERB --help` lists options.
"""


class RunOptions(Frozen):
    """Which run."""

    run: str = Field(default="demo", description="Run whose checkpoints are meant.")
    runs: Path = Field(default=Path("runs"), description="Folder of all runs.")

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / self.run


class ListOptions(RunOptions):
    """Which run, and for whom."""

    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        default=False, description="One JSON object instead of a table."
    )


class RollbackOptions(RunOptions):
    """Which run goes back, and how far."""

    to: str = Field(description="Updates of the checkpoint to go back to, or `best`.")


@dataclass(frozen=True, slots=True)
class CheckpointFigures:
    """One checkpoint, as the table shows it. What was not evaluated has None.

    saved: ISO 8601 in UTC; wilson_low, wilson_high: 95 % interval of the success rate [1]
    differs_in: the conditions in which its evaluation differs from the newest one's; such rates do not compare
    """

    updates: int
    saved: str
    age_s: float
    bytes: int
    newest: bool
    best: bool
    successes: int | None = None
    trials: int | None = None
    success_rate: float | None = None
    wilson_low: float | None = None
    wilson_high: float | None = None
    differs_in: tuple[str, ...] = ()


def main(argv: list[str]) -> int:
    """Run one of the verbs; returns the exit status."""
    return run_subverb("checkpoint", argv, _VERBS, USAGE)


def show(argv: list[str]) -> int:
    """Which there are, and how they did."""
    options = parse_options(ListOptions, argv, "nudge checkpoint list", flags=True)
    root = options.folder / CHECKPOINTS
    require_checkpoints(root)
    if options.as_json:
        print(json.dumps({"path": str(root), "checkpoints": [asdict(each) for each in figures(root)]}))
    else:
        Console().print(checkpoint_table(root))
    return 0


def rollback(argv: list[str]) -> int:
    """Go back to one of them."""
    options = parse_options(RollbackOptions, argv, "nudge checkpoint rollback", flags=True)
    print("\n".join(go_back(options.folder, options.to)))
    return 0


def go_back(folder: Path, to: str) -> list[str]:
    """Let a run go back to one of its checkpoints; what came of it, in lines.

    Raise `LockHeld` while a learner runs, `ConsoleError` or `CheckpointError` where there is no such way back.
    """
    root, store = folder / CHECKPOINTS, folder / STORE_FILE
    require_checkpoints(root)
    StoreReader(store).close()  # it is there and ours: before a lock file appears beside it
    with lock_store(store):  # a running learner holds it
        finish_rollback(root)
        target = choose_checkpoint(root, to)
        with StoreReader(store) as reader:
            env_steps = reader.counts().env_steps
        aside = roll_back(root, target, env_steps)
        _show_target(folder, target, aside)
    moved = ", ".join(str(updates_of(path)) for path in list_checkpoints(aside))
    return [
        f"{folder}: back at update {updates_of(target)}; the checkpoints of {moved} are now in {aside}",
        f"the next `nudge learner` of this run goes on from there, with all {env_steps} steps in its experience store",
    ]


def choose_checkpoint(root: Path, chosen: str) -> Path:
    """The checkpoint of so many updates, the `newest` or the `best`. Raises `ConsoleError` when there is none."""
    found = require_checkpoints(root)
    if chosen == "newest":
        return found[-1]
    if chosen == "best":
        best = best_checkpoint(read_evaluations(found))
        if best is None:
            raise ConsoleError(
                f"{root}: none was evaluated, so none is the best; `nudge eval --evaluation.checkpoint all` evaluates"
            )
        return best
    for folder in found:
        if chosen.isdecimal() and updates_of(folder) == int(chosen):
            return folder
    there = ", ".join(str(updates_of(folder)) for folder in found)
    raise ConsoleError(f"{root}: got checkpoint {chosen!r}, expected best, newest, or updates that are there: {there}")


def figures(root: Path) -> list[CheckpointFigures]:
    """All checkpoints below `root`, oldest first."""
    found = list_checkpoints(root)
    evaluated = read_evaluations(found)
    best, newest_evaluation = best_checkpoint(evaluated), next(reversed(evaluated.values()), None)
    described = []
    for folder in found:
        saved_s, evaluation = (folder / META).stat().st_mtime, evaluated.get(folder)
        each = CheckpointFigures(
            updates=updates_of(folder),
            saved=dt.datetime.fromtimestamp(int(saved_s), dt.UTC).isoformat(),
            age_s=max(0.0, time.time() - saved_s),
            bytes=sum(path.stat().st_size for path in folder.iterdir()),
            newest=folder == found[-1],
            best=folder == best,
        )
        if evaluation is not None and newest_evaluation is not None:
            interval = wilson_interval(evaluation.successes, len(evaluation.trials))
            each = replace(
                each,
                successes=evaluation.successes,
                trials=len(evaluation.trials),
                success_rate=evaluation.success_rate,
                wilson_low=interval.low,
                wilson_high=interval.high,
                differs_in=tuple(evaluation.difference(newest_evaluation)),
            )
        described.append(each)
    return described


def checkpoint_table(root: Path) -> Table:
    """The checkpoints as a person reads them."""
    table = Table(box=None, pad_edge=False)
    for heading in ("updates", "age", "size", "success", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for each in figures(root):
        success = "–" if each.success_rate is None else f"{each.successes}/{each.trials} = {each.success_rate:.0%}"
        interval = "–" if each.wilson_low is None else f"{each.wilson_low:.1%} to {each.wilson_high:.1%}"
        marks = [mark for mark, there in (("best", each.best), ("newest", each.newest)) if there]
        if each.differs_in:
            marks.append(f"does not compare: another {', '.join(each.differs_in)}")
        size = f"{each.bytes / 1e6:.1f} MB"
        table.add_row(str(each.updates), _age(each.age_s), size, success, interval, ", ".join(marks))
    return table


def _show_target(folder: Path, target: Path, aside: Path) -> None:
    """Let the run folder show the policy that it went back to; what it showed goes with the later checkpoints."""
    for name in (POLICY_FILE, EVALUATION_FILE, VIDEO_FILE):
        if (folder / name).is_file():
            (folder / name).rename(aside / name)
    for name, source in ((POLICY_FILE, target / POLICY), (EVALUATION_FILE, target / EVALUATION_FILE)):
        if source.is_file():
            write_atomically(folder / name, source.read_bytes())


def require_checkpoints(root: Path) -> list[Path]:
    """The checkpoints below `root`, oldest first. Raises `ConsoleError` when there are none."""
    found = list_checkpoints(root)
    if not found:
        raise ConsoleError(f"{root}: there is no checkpoint; expected the folder of a run that has trained, see --run")
    return found


def _age(seconds: float) -> str:
    """How long ago, in the largest unit that leaves two digits or fewer: '12 s', '5 min', '3 h', '2 d'."""
    for unit, length_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


_VERBS: dict[str, Callable[[list[str]], int]] = {"list": show, "rollback": rollback}
