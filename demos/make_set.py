"""Making a demo set: it appears whole or not at all, and never changes afterwards."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demos.checks import Checked, Checks, require_sound
from demos.content_hash import ContentHash
from demos.demo_set import (
    CALIBRATION,
    EXPERIENCE_FILE,
    FACTS_FILE,
    HASH_DIGITS,
    REFERENCE,
    DemoSet,
    DemoSetFacts,
    open_demo_set,
    sha256_of,
)
from demos.errors import DemoSetError
from demos.findings import EpisodeName
from demos.sessions import shared_session
from demos.settings import NAME
from demos.statistics import CameraStatistics, ColourSums, dimension_statistics
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.durable import fsync
from policy.experience import Step, StepId
from policy.experience_file import EpisodeOutcome, EpisodeSelection, ExperienceFile
from policy.file_lock import FileLock
from policy.step_schema import adopt, connect, store_error, transaction
from policy.step_table import take_step
from robot.cameras.comparison import FEWEST_FRAMES
from robot.cameras.reference import Reference

MOST_REFERENCE_FRAMES = 600  # of each camera, 30 MB
DEMONSTRATIONS = EpisodeSelection(demonstrations=True)

Watch = Callable[[Sequence[int]], Iterable[int]]


def make_demo_set(
    experience: ExperienceFile,
    demos: Path,
    name: str,
    selection: EpisodeSelection = DEMONSTRATIONS,
    checks: Checks | None = None,
    allowed: Collection[str] = (),
    leave_out: Collection[str] = (),
    calibrations: Sequence[Path] = (),
    watch: Watch = iter,
) -> DemoSet:
    """Copy episodes into a set below `demos`, or find the one that holds just these; on disk when this returns.

    Sessions get another name, since a set is passed on (`demos.sessions`).
    checks: fresh ones, with settings of the run; allowed: findings that are allowed by name, see `require_sound`
    leave_out: episodes of the selection that are not wanted, as findings name them (`e1f0d6a3/12`)
    calibrations: LeRobot's files of the arm
    watch: gets the rows of the episodes and gives them one by one, to show progress
    Raise `DemosRefused` for what the checks forbid, `StoreFull` or `DemoSetError` when it cannot be written, `LockHeld`
    while another process makes one of this name.
    """
    if re.fullmatch(NAME, name) is None:
        raise DemoSetError(f"name: got {name[:64]!r}, expected lower-case letters, digits, '.', '_', '-', 64 at most")
    chosen = _chosen(experience, selection, leave_out)
    with _workshop(demos / name) as workshop:
        copied = _copy(experience, chosen, workshop / EXPERIENCE_FILE, checks or Checks(experience.contract), watch)
        require_sound(copied.checked, allowed)
        target = demos / name / copied.hash[:HASH_DIGITS]
        if target.exists():
            return open_demo_set(target, experience.contract)
        if copied.reference is not None:
            copied.reference.save(workshop / REFERENCE)
        _take_along(calibrations, workshop / CALIBRATION)
        facts = _facts(name, experience.contract, copied, workshop)
        (workshop / FACTS_FILE).write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
        _appear(workshop, target)
    return open_demo_set(target)


def _chosen(
    experience: ExperienceFile, selection: EpisodeSelection, leave_out: Collection[str]
) -> list[EpisodeOutcome]:
    experience.choose(selection)  # which says why where there is none
    found = {str(EpisodeName(it.session, it.episode)): it for it in experience.outcomes(selection)}
    strange = sorted(set(leave_out) - set(found))
    if strange:
        raise DemoSetError(f"leave out: got {', '.join(strange)}, expected some of {', '.join(found) or 'none'}")
    chosen = [it for name, it in found.items() if name not in leave_out]
    if not chosen:
        raise DemoSetError(f"episodes: got none, since all {len(found)} are left out, expected one at least")
    return chosen


@dataclass(frozen=True, slots=True)
class _Copied:
    hash: str
    checked: Checked
    colours: dict[str, CameraStatistics]
    reference: Reference | None


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A folder for what is not finished, which nobody else uses; the errors of the disk leave as ours."""
    workshop = folder / ".partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", f"{folder}: another process makes a demo set of this name; wait for it"):
            if workshop.exists():  # of one that was killed
                shutil.rmtree(workshop)
            workshop.mkdir()
            try:
                yield workshop
            finally:
                if workshop.exists():  # it was not finished
                    shutil.rmtree(workshop)
    except OSError as error:
        raise DemoSetError(f"{folder}: {error}; no demo set was made; make room, or take another folder") from error


def _copy(
    experience: ExperienceFile, chosen: Sequence[EpisodeOutcome], path: Path, checks: Checks, watch: Watch
) -> _Copied:
    """All steps of the episodes into a new file, checked and counted on the way."""
    content = ContentHash(experience.contract)
    pictures = _Pictures(experience.contract, sum(it.steps for it in chosen))
    with closing(connect(path)) as connection:
        adopt(connection, path, experience.contract)
        try:
            with transaction(connection):
                for episode_id in watch([it.id for it in chosen]):
                    messages = experience.messages(episode_id)
                    steps = experience.unpack(messages)
                    checks.see(steps)
                    pictures.see(steps)
                    for step, message in _renamed(steps, messages):
                        take_step(connection, step, message)
                        content.add(message)
            # No log beside it from now on: whoever reads the set needs to write nothing.
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise store_error(path, error, "no demo set was made") from error
    return _Copied(content.hexdigest(), checks.finish(), pictures.colours(), pictures.reference())


def _renamed(steps: Sequence[Step], messages: Sequence[pb.Step]) -> Iterator[tuple[Step, pb.Step]]:
    for step, message in zip(steps, messages, strict=True):
        message.id.session = shared_session(step.id.session)
        yield replace(step, id=StepId(message.id.session, step.id.episode, step.id.step)), message


class _Pictures:
    """What is kept of the pictures that go by: their colours, and some for the reference."""

    def __init__(self, contract: Contract, steps: int) -> None:
        self._contract = contract
        self._every = -(-steps // MOST_REFERENCE_FRAMES)
        self._seen = 0
        self._sums = ColourSums(contract)
        self._frames: dict[str, list[NDArray[np.uint8]]] = {camera.name: [] for camera in contract.cameras}

    def see(self, steps: Sequence[Step]) -> None:
        """An episode."""
        self._sums.see(steps)
        for step in steps:
            if self._seen % self._every == 0:
                for name, frames in self._frames.items():
                    frames.append(step.observation.frames[name])
            self._seen += 1

    def colours(self) -> dict[str, CameraStatistics]:
        """By camera."""
        return dict(self._sums.statistics())

    def reference(self) -> Reference | None:
        """How they looked; None of too few."""
        if len(next(iter(self._frames.values()))) < FEWEST_FRAMES:
            return None
        return Reference.of(self._contract, {name: np.stack(frames) for name, frames in self._frames.items()})


def _take_along(calibrations: Sequence[Path], folder: Path) -> None:
    for path in calibrations:
        folder.mkdir(exist_ok=True)
        if (folder / path.name).exists():
            raise DemoSetError(f"calibrations: got two of the name {path.name}, expected one for each arm")
        shutil.copyfile(path, folder / path.name)


def _facts(name: str, contract: Contract, copied: _Copied, workshop: Path) -> DemoSetFacts:
    checked = copied.checked
    shared = {str(it.name): EpisodeName(shared_session(it.name.session), it.name.episode) for it in checked.episodes}
    findings = [it.model_copy(update={"episode": str(shared.get(it.episode, ""))}) for it in checked.findings]
    proprioception, action = dimension_statistics(contract, checked.episodes)
    beside = (path for path in sorted(workshop.rglob("*")) if path.is_file() and path.name != EXPERIENCE_FILE)
    return DemoSetFacts(
        name=name,
        hash=copied.hash,
        created=dt.datetime.now(dt.UTC),
        contract=contract,
        contract_hash=contract.hash,
        episodes=len(checked.episodes),
        steps=sum(episode.steps for episode in checked.episodes),
        proprioception=proprioception,
        action=action,
        cameras=copied.colours,
        coverage=checked.coverage,
        findings=tuple(findings),
        files={str(path.relative_to(workshop)): sha256_of(path) for path in beside},
    )


def _appear(workshop: Path, target: Path) -> None:
    """Give the finished folder its name, once all in it is on the disk and nobody may write to it any more."""
    for path in sorted(workshop.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_file():
            path.chmod(0o444)
        fsync(path)
    fsync(workshop)
    workshop.rename(target)
    for folder in (target.parent, target.parent.parent):
        fsync(folder)
