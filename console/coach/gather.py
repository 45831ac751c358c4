"""Gathers what the coach judges a run by: from its store, its metrics, its evaluations and its settings.

Reads only, also while a learner writes. No picture is decoded unless the cameras are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from actor.camera_watch import EVERY_STEPS
from console.coach.evidence import (
    CameraDrift,
    CheckpointResult,
    EpisodeEvidence,
    JudgeAgreement,
    Place,
    RunEvidence,
    TakeoverEvidence,
    WeightsUse,
)
from console.evaluation.grid import make_grid
from console.report.data import Evaluation, read_metrics
from console.run_folder import METRICS_FILE, REFERENCE_FOLDER, STORE_FILE
from console.settings import Settings
from learner.checkpoint_folder import CHECKPOINTS, list_checkpoints, updates_of
from learner.clipping import ClipShares, clip_shares
from learner.evaluations import read_evaluations
from learner.health import entropy_floor
from learner.judged import read_judged
from learner.store_reader import EpisodeRecord, StoreReader
from learner.takeovers import takeovers
from policy.experience import Source
from policy.wire import decode_png
from robot.cameras.drift import Severity, drift
from robot.cameras.reference import REFERENCE_FILE, Reference

_TOOL, _CUBE = ("tool.x", "tool.y"), ("cube.x", "cube.y")
_MOST_STEPS = 20_000  # newest training steps whose weights are told: an hour and more at 5 Hz
_ENDS = (
    "SELECT e.session, e.episode, s.final_proprioception FROM steps s JOIN episodes e ON e.id = s.episode_id "
    "WHERE s.final_proprioception IS NOT NULL"
)
_WEIGHTS = (
    "SELECT policy_version FROM (SELECT s.seq, s.policy_version, e.id, s.step FROM steps s "
    "JOIN episodes e ON e.id = s.episode_id WHERE s.source != ? ORDER BY e.id DESC, s.step DESC LIMIT ?) "
    "ORDER BY id, step"
)
_PICTURES = (
    "SELECT f.png FROM frames f WHERE f.camera = ? AND f.final = 0 AND f.seq IN (SELECT seq FROM steps "
    "WHERE source != ? AND step % ? = 0 ORDER BY seq DESC LIMIT ?) ORDER BY f.seq"
)


def gather_evidence(settings: Settings, *, cameras: bool = True) -> RunEvidence:
    """What is known of the run in `settings.folder`, whatever it got to.

    cameras: compare the newest frames with the demonstrations', some 0.5 s
    Raises `StoreError` or `ReportError` for files that cannot be read, `ContractMismatch` for another contract.
    """
    learner, trainer = settings.learner, settings.learner.trainer
    evidence = RunEvidence(
        run=settings.run,
        control_hz=settings.contract.control_hz,
        max_episode_steps=settings.task.max_episode_steps,
        field=make_grid(settings),
        discount=learner.sac.discount,
        q_bound=learner.sac.reward_scale,
        entropy_floor_nat=entropy_floor(learner, len(settings.contract.action)),
        utd=trainer.utd,
        steps_per_publication=trainer.publish_every_updates / trainer.utd,
        metrics=read_metrics(settings.folder / METRICS_FILE),
        evaluation=Evaluation.load(settings.folder),
        checkpoints=_checkpoints(settings),
    )
    path = settings.folder / STORE_FILE
    if not path.is_file():
        return evidence
    with StoreReader(path, settings.contract) as store:
        records = store.episodes()
        return evidence.model_copy(
            update={
                "episodes": _episodes(store, records),
                "takeovers": _takeovers(store, records),
                "weights": _weights(store),
                "cameras": _cameras(store, settings) if cameras else None,
                "judge": _agreement(store),
                "clipped": _clipped(store, settings.coach.desk.clip_steps),
            }
        )


def _episodes(store: StoreReader, records: list[EpisodeRecord]) -> tuple[EpisodeEvidence, ...]:
    known, tool = [each.name for each in store.contract.sim_only], _places(store, _TOOL)
    with store.snapshot() as connection:
        rows = connection.execute(_ENDS).fetchall() if tool else []
    ends = {(row["session"], row["episode"]): _place(np.frombuffer(row[2], "<f4"), tool) for row in rows}
    cube = [known.index(name) for name in _CUBE] if set(_CUBE) <= set(known) else []
    return tuple(
        EpisodeEvidence(
            kind=record.kind,
            steps=record.steps,
            human_steps=record.human_steps,
            success=record.success,
            complete=record.complete,
            rejected=record.rejected,
            cube_m=_place(np.array(record.sim_only), cube),
            end_m=ends.get((record.session, record.index)),
        )
        for record in records
    )


def _takeovers(store: StoreReader, records: list[EpisodeRecord]) -> tuple[TakeoverEvidence, ...]:
    index = {(record.session, record.index): place for place, record in enumerate(records)}
    tool = _places(store, _TOOL)
    return tuple(
        TakeoverEvidence(
            episode=index[takeover.session, takeover.episode],
            first_step=takeover.first_step,
            steps=takeover.steps,
            begun_m=_place(takeover.begun, tool),
        )
        for takeover in takeovers(store)
        if (takeover.session, takeover.episode) in index  # it began after the episodes were read
    )


def _agreement(store: StoreReader) -> JudgeAgreement | None:
    """The operator's keys against the classifier that pays now; None where no classifier was ever asked."""
    asked = [each for each in read_judged(store) if each.complete and each.asked_last and not each.rejected]
    if not asked:
        return None
    said = [each for each in asked if each.word is not None]
    return JudgeAgreement(
        episodes=len(said),
        false_alarms=sum(each.paid_at is not None and not each.word for each in said),
        misses=sum(each.paid_at is None and bool(each.word) for each in said),
    )


def _weights(store: StoreReader) -> tuple[WeightsUse, ...]:
    with store.snapshot() as connection:
        rows = connection.execute(_WEIGHTS, (int(Source.DEMO), _MOST_STEPS)).fetchall()
    runs = ((version, sum(1 for _ in run)) for version, run in groupby(row["policy_version"] for row in rows))
    return tuple(WeightsUse(version=version, steps=steps) for version, steps in runs)


def _clipped(store: StoreReader, steps: int) -> ClipShares | None:
    with store.snapshot() as connection:
        return clip_shares(connection, steps)


def _checkpoints(settings: Settings) -> tuple[CheckpointResult, ...]:
    """Those that compare with the newest evaluated one."""
    evaluated = read_evaluations(list_checkpoints(settings.folder / CHECKPOINTS))
    newest = next(reversed(evaluated.values()), None)
    return tuple(
        CheckpointResult(updates=updates_of(folder), successes=each.successes, trials=len(each.trials))
        for folder, each in evaluated.items()
        if newest is not None and not each.difference(newest)
    )


def _cameras(store: StoreReader, settings: Settings) -> tuple[CameraDrift, ...] | None:
    """What has drifted; None where there is no reference, or too few frames."""
    folder, frames = settings.folder / REFERENCE_FOLDER, settings.coach.desk.camera_frames
    if not (folder / REFERENCE_FILE).is_file():
        return None
    seen = _newest_frames(store, frames)
    if min(map(len, seen.values())) < frames:
        return None
    found = drift(Reference.load(folder, store.contract), seen, settings.arm.drift)
    return tuple(
        CameraDrift(
            what=each.told,
            measured=each.measured,
            limit=each.limit,
            severe=each.severity is Severity.SEVERE,
            cure=each.cure,
        )
        for each in found
    )


def _newest_frames(store: StoreReader, count: int) -> Mapping[str, NDArray[np.uint8]]:
    """Camera -> the newest frames of training, one of some, oldest first: (N, size_px, size_px, 3)."""
    seen = {}
    for camera in store.contract.cameras:
        with store.snapshot() as connection:
            rows = connection.execute(_PICTURES, (camera.name, int(Source.DEMO), EVERY_STEPS, count)).fetchall()
        pictures = [decode_png(row["png"], camera.size_px, camera.name) for row in rows]
        seen[camera.name] = (
            np.stack(pictures) if pictures else np.zeros((0, camera.size_px, camera.size_px, 3), np.uint8)
        )
    return seen


def _places(store: StoreReader, wanted: tuple[str, str]) -> list[int]:
    """Where x and y stand in proprioception; empty where the contract has none."""
    names = [dimension.name for dimension in store.contract.proprioception]
    return [names.index(name) for name in wanted] if set(wanted) <= set(names) else []


def _place(values: NDArray[np.floating], at: list[int]) -> Place | None:
    return (float(values[at[0]]), float(values[at[1]])) if at else None
