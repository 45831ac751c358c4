"""What a run has to tell that was not sent yet: readings of the learner, ends of episodes, evaluations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from pydantic import ValidationError

from console.evaluation.cycle_time import evaluated_cycle
from console.mirror.sent import Sent
from console.mirror.sink import Point, SinkError
from console.report.data import EpisodeSummary, Evaluation, MetricsRecord, lasting_records
from console.run_folder import METRICS_FILE, STORE_FILE
from learner.checkpoint_folder import CHECKPOINTS, list_checkpoints
from learner.rollback import read_rollback
from learner.store_reader import StoreReader
from learner.store_watch import StoreWatch

type News = tuple[list[Point], Sent]


def new_readings(folder: Path, sent: Sent) -> News:
    """Of the learner, over updates. Those that were done again after a kill go once, as they came first.

    Where a rollback has undone some that were sent, all that lasts goes again, in the line that follows: no service
    takes anything back.
    """
    records, end = _read_from(folder / METRICS_FILE, sent.metrics_bytes)
    lasting = lasting_records(records)
    rollback = read_rollback(folder / CHECKPOINTS)
    known = "" if rollback is None else rollback.folder
    if known != sent.rollback and lasting and lasting[0].updates <= sent.updates:
        return new_readings(folder, sent.anew(known))
    new = [record for record in lasting if record.updates > sent.updates]
    points = [
        Point(
            "updates",
            record.updates,
            {"learner/env_steps": float(record.env_steps)}
            | {f"learner/{name}": value for name, value in record.metrics.items()},
        )
        for record in new
    ]
    update = {"metrics_bytes": end, "rollback": known, "updates": new[-1].updates if new else sent.updates}
    return points, sent.model_copy(update=update)


def new_episodes(folder: Path, sent: Sent) -> News:
    """Ends of episodes without demonstrations, over the steps that the store had by then."""
    path = folder / STORE_FILE
    if not path.is_file():
        return [], sent
    with StoreReader(path) as store:
        watch = StoreWatch(store)
        watch.look()
    rows = watch.episodes
    ends = dict(zip(rows, accumulate(record.steps for record in rows.values()), strict=True))
    open_before = set(sent.open_rows)
    fresh = {row: record for row, record in rows.items() if row > sent.episode_row or row in open_before}
    points = [
        Point("env_steps", ends[row], _outcome(EpisodeSummary.model_validate(record)))
        for row, record in fresh.items()
        if record.complete and record.kind == "online"
    ]
    still_open = tuple(row for row, record in fresh.items() if not record.complete)
    return points, sent.model_copy(update={"episode_row": max(rows, default=sent.episode_row), "open_rows": still_open})


def new_evaluations(folder: Path, sent: Sent) -> News:
    """Of the newest policy and of checkpoints, over the updates that the policy had."""
    points, known = [], dict.fromkeys(sent.evaluations)
    for evaluation in _evaluations(folder):
        told = evaluation.model_dump_json(include={"trials", "policy_version", "conditions"})
        name = hashlib.sha256(told.encode()).hexdigest()
        if name not in known:
            known[name] = None
            points.append(Point("policy_version", evaluation.policy_version, _success(evaluation)))
    return points, sent.model_copy(update={"evaluations": tuple(known)})


def _read_from(path: Path, start: int) -> tuple[list[MetricsRecord], int]:
    """The whole lines from a byte on, and where the next one begins."""
    size = path.stat().st_size if path.is_file() else 0
    if size < start:
        raise SinkError(
            f"{path}: got {size} bytes, but {start} were sent, expected a file that only grows; move the mirror-*.json "
            f"beside it away, and all of the run goes out again as a new one"
        )
    if size == start:
        return [], start
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(size - start)
    whole = data[: data.rfind(b"\n") + 1]
    try:
        return [MetricsRecord.model_validate(json.loads(line)) for line in whole.splitlines()], start + len(whole)
    except (json.JSONDecodeError, ValidationError) as error:
        raise SinkError(f"{path}: not a metrics record after byte {start}; remove the line.\n{error}") from error


def _outcome(episode: EpisodeSummary) -> dict[str, float]:
    return {
        "episode/success": float(episode.success),
        "episode/success_alone": float(episode.autonomous_success),
        "episode/human_share": episode.human_steps / episode.steps,
        "episode/steps": float(episode.steps),
    }


def _evaluations(folder: Path) -> Iterator[Evaluation]:
    for place in (*list_checkpoints(folder / CHECKPOINTS), folder):
        found = Evaluation.load(place)
        if found is not None:
            yield found


def _success(evaluation: Evaluation) -> dict[str, float]:
    low, high = evaluation.wilson()
    cycle = evaluated_cycle(evaluation)
    return {
        "evaluation/success_rate": evaluation.success_rate(),
        "evaluation/success_low": low,
        "evaluation/success_high": high,
        "evaluation/trials": float(len(evaluation.trials)),
    } | ({} if cycle is None else {"evaluation/cycle_s": cycle.median_s})
