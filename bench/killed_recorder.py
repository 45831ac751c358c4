"""Recorders in processes of their own that are killed at random moments, and whether what they told is there.

Each keeps a journal of the steps that counted as recorded, independent of all that is tried.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from actor.spool import Spool
from actor.spool_record import Place
from bench.forking import forking
from console.presets.load import load_preset
from console.record import record, recording_path
from console.settings import Settings
from nudge.v1 import learner_pb2 as pb
from policy.experience import Step

NAME = "killed"
MANY = 1_000_000  # demonstrations that nobody lives to record
PATIENCE_S = 180.0  # for a process to come to its first step, on a busy machine
SHARE_EARLY = 0.2  # of the kills: somewhere while the process starts
LONGEST_S = 2.0  # of a life after the first step


@dataclass(frozen=True, slots=True)
class Killed:
    """What became of a recording whose processes were killed.

    told: steps that had counted as recorded; lost: those of them that are not there, or not the same
    unfinished: episodes that have no end, at most one for each kill
    episodes: of the demo set that the last process, which nobody killed, has made; each of them ended with success
    """

    kills: int
    told: int
    lost: int
    unfinished: int
    episodes: int


def kill_recorders(folder: Path, kills: int, seed: int = 0) -> Killed:
    """Let so many processes go on with one recording until they are killed, and one more to its end."""
    context, rng = forking(), np.random.default_rng(seed)
    for number in range(kills):
        _start_and_kill(context, folder, number, rng)
    spool = recording_path(folder, NAME)
    wanted = _successes(spool) + 1
    last = _started(context, folder, kills, wanted)
    last.join(PATIENCE_S)
    if last.exitcode != 0:
        last.kill()
        raise AssertionError(f"the last recorder: status {last.exitcode}\n{_log(folder, kills).read_text()}")
    told = [entry for number in range(kills + 1) for entry in _read_journal(_journal(folder, number))]
    with closing(sqlite3.connect(spool)) as connection:
        rows = connection.execute(
            "SELECT e.session, e.episode, s.step, s.monotonic_ns FROM steps s JOIN episodes e ON e.id = s.episode_id"
        ).fetchall()
        (unfinished,) = connection.execute(
            "SELECT COUNT(*) FROM episodes WHERE NOT (terminated OR truncated)"
        ).fetchone()
    return Killed(kills, len(told), len(set(told) - set(rows)), unfinished, _episodes_in_set(folder))


def _start_and_kill(context: ForkServerContext, folder: Path, number: int, rng: np.random.Generator) -> None:
    process = _started(context, folder, number, MANY)
    try:
        if rng.random() >= SHARE_EARLY:
            _await_first_step(process, folder, number)
        time.sleep(rng.uniform(0, LONGEST_S))
    finally:
        process.kill()
        process.join(PATIENCE_S)


def _await_first_step(process: ForkServerProcess, folder: Path, number: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not _read_journal(_journal(folder, number)):
        if not process.is_alive() or time.monotonic() > deadline_s:
            raise AssertionError(f"recorder {number}: it recorded nothing\n{_log(folder, number).read_text()}")
        time.sleep(0.02)


def _started(context: ForkServerContext, folder: Path, number: int, wanted: int) -> ForkServerProcess:
    process = context.Process(target=_record, args=(folder, number, wanted), daemon=True)
    process.start()
    return process


def _record(folder: Path, number: int, wanted: int) -> None:
    """What a process does: `nudge record --preset fast`, with a journal of each step that counts."""
    settings = load_preset(Settings, "fast")
    wish = settings.record.model_copy(update={"folder": folder, "name": NAME, "demos": wanted})
    _Journalled.journal = os.open(_journal(folder, number), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with (
        _log(folder, number).open("w", encoding="utf-8") as log,
        patch("console.record.Spool", _Journalled),
    ):
        if not record(settings.model_copy(update={"record": wish}), Console(file=log)):
            raise AssertionError("it was stopped")


class _Journalled(Spool):
    """A spool that writes down, after each commit, what counts as recorded from then on."""

    journal = -1

    def commit(
        self, steps: Sequence[tuple[Step, pb.Step]], acknowledged: Place | None = None, *, trim: bool = False
    ) -> None:
        super().commit(steps, acknowledged, trim=trim)
        for step, _ in steps:
            entry = step.id.session, step.id.episode, step.id.step, step.monotonic_ns
            os.write(self.journal, json.dumps(entry).encode() + b"\n")


def _journal(folder: Path, number: int) -> Path:
    return folder / f"journal-{number:04d}.jsonl"


def _log(folder: Path, number: int) -> Path:
    return folder / f"log-{number:04d}.txt"


def _read_journal(path: Path) -> list[tuple[Any, ...]]:
    """Whole lines: one without an end was not said."""
    if not path.is_file():
        return []
    *whole, _torn = path.read_text().split("\n")
    return [tuple(json.loads(line)) for line in whole]


def _successes(spool: Path) -> int:
    if not spool.is_file():
        return 0
    with closing(sqlite3.connect(spool)) as connection:
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'episodes'").fetchone()[0]
        if not tables:
            return 0
        found: int = connection.execute("SELECT COUNT(*) FROM episodes WHERE terminated AND reward > 0").fetchone()[0]
        return found


def _episodes_in_set(folder: Path) -> int:
    """Of the one demo set that there is; none of them without an end or without success."""
    (facts,) = folder.glob(f"{NAME}/[!.]*/demo_set.json")
    with closing(sqlite3.connect(f"file:{facts.parent / 'experience.sqlite'}?mode=ro", uri=True)) as connection:
        good, all_of_them = connection.execute(
            "SELECT COUNT(*) FILTER (WHERE terminated AND reward > 0 AND steps = demo_steps), COUNT(*) FROM episodes"
        ).fetchone()
    if good != all_of_them:
        raise AssertionError(f"{facts.parent}: got {all_of_them - good} episodes that are no sound demonstration")
    return int(all_of_them)
