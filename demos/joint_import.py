"""A LeRobotDataset of an SO-101's joint angles as experience: what it does not say is stated, or refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demos.errors import ExchangeRefused
from demos.experience_file import new_experience
from demos.import_report import JointSpaceReport, LeRobotImportReport
from demos.joint_checks import (
    assumptions,
    map_cameras,
    require_above_table,
    require_arm,
    require_contract,
    require_expressible,
)
from demos.joint_settings import JointSpaceSettings
from demos.joint_space import Motion, joint_order, require_plausible, resample, to_motion, to_radians
from demos.lerobot_folder import LeRobotFolder
from demos.lerobot_format import ACTION, STATE
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from policy.preprocess import preprocess_frame
from robot.arm import JOINT_NAMES
from robot.kinematics import Kinematics
from robot.settings import ControllerSettings
from robot.so101.calibration import load_calibration

Vector = NDArray[np.float64]

ROLL, TOOL_Z = JOINT_NAMES.index("wrist_roll"), len(JOINT_NAMES) + 2  # of the proprioception
ROLLED_RAD = 0.2  # so far the wrist may be rolled without the report counting it
NO_SIM_ONLY = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class _Episode:
    """One episode in the contract's terms, its frames still to be read.

    begin_s: where it begins among all rows [s]
    seen: (T + 1,) its rows that are observations
    rows: how many it has
    """

    place: int
    begin_s: float
    seen: NDArray[np.int64]
    rows: int
    motion: Motion


def import_joints(
    dataset: LeRobotFolder,
    target: Path,
    contract: Contract,
    settings: JointSpaceSettings,
    controller: ControllerSettings,
    watch: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> LeRobotImportReport:
    """Make a new experience file of a dataset of joint angles; all its steps are demonstrations.

    Raise `ExchangeRefused` for what may not be guessed, or does not fit the controller.
    """
    where = str(dataset.folder)
    require_contract(contract)
    require_arm(dataset, settings)
    cameras = map_cameras(dataset.cameras, contract, settings.cameras)
    episodes = list(_episodes(dataset, contract, settings, controller))
    if not episodes:
        raise ExchangeRefused(f"{where}: no episode is long enough for a step at {contract.control_hz:g} Hz")
    require_above_table([episode.motion.proprioception[:, TOOL_Z] for episode in episodes], where)
    report = _report(dataset, contract, settings, controller, episodes, cameras)
    require_expressible(report, settings, where)
    with new_experience(target, contract) as experience:
        for episode in watch(episodes):
            experience.append(list(_steps(dataset, episode, contract, cameras, settings)), contract)
    return LeRobotImportReport(
        path=target,
        dataset=dataset.folder,
        kind="joints",
        contract_hash=contract.hash,
        episodes=len(episodes),
        steps=sum(len(episode.motion.action) for episode in episodes),
        lossy_frames=dataset.lossy,
        joints=report,
    )


def _episodes(
    dataset: LeRobotFolder, contract: Contract, settings: JointSpaceSettings, controller: ControllerSettings
) -> Iterator[_Episode]:
    """Those that are long enough for a step."""
    kinematics, scale = Kinematics(controller), contract.action_scale.astype(np.float64)
    read, begin_s = _JointReader(dataset, settings), 0.0
    for place in range(dataset.episodes):
        measured_rad, commanded_rad = read(place)
        seen, commanded = resample(len(measured_rad), dataset.fps, contract.control_hz)
        if len(commanded):
            motion = to_motion(measured_rad[seen], commanded_rad[commanded], kinematics, controller, scale)
            yield _Episode(place, begin_s, seen, len(measured_rad), motion)
        begin_s += len(measured_rad) / dataset.fps


class _JointReader:
    """Joint angles of an episode, measured and commanded: two times (rows, 6) [rad]."""

    def __init__(self, dataset: LeRobotFolder, settings: JointSpaceSettings) -> None:
        assert settings.units != "unknown"  # refused before
        self._dataset, self._units = dataset, settings.units
        self._orders = {
            key: joint_order(_names(dataset.features[key]["names"]), f"{dataset.folder}, {key}")
            for key in (STATE, ACTION)
        }
        self._calibration = load_calibration(settings.calibration) if settings.calibration else None

    def __call__(self, place: int) -> tuple[Vector, Vector]:
        columns = self._dataset.columns(place)
        return self._radians(columns, STATE, place), self._radians(columns, ACTION, place)

    def _radians(self, columns: dict[str, list[Any]], key: str, place: int) -> Vector:
        values = np.asarray(columns[key], np.float64)[:, self._orders[key]]
        joint_rad = to_radians(values, self._units, self._calibration)
        require_plausible(joint_rad, f"{self._dataset.folder}, {key} of episode {place}")
        return joint_rad


def _names(names: Any) -> list[str]:
    """LeRobot's older datasets have them as {"motors": [...]}, some have none."""
    if isinstance(names, dict):
        names = next(iter(names.values()), None)
    return [str(name) for name in names or ()]


def _steps(
    dataset: LeRobotFolder, episode: _Episode, contract: Contract, cameras: dict[str, str], settings: JointSpaceSettings
) -> Iterator[Step]:
    observations = _observations(dataset, episode, contract, cameras)
    action, last = episode.motion.action, len(episode.motion.action) - 1
    session, begun_ns = _session(dataset, contract, settings), (dataset.folder / "meta/info.json").stat().st_mtime_ns
    done = settings.outcome == "success"
    current = next(observations)
    for index, following in enumerate(observations):
        elapsed_ns = round((episode.begin_s + episode.seen[index] / dataset.fps) * 1e9)
        yield Step(
            id=StepId(session, episode.place, index),
            observation=current,
            action=action[index],
            source=Source.DEMO,
            reward=float(done and index == last),
            terminated=done and index == last,
            truncated=not done and index == last,
            policy_version=0,
            monotonic_ns=elapsed_ns,
            wall_ns=begun_ns + elapsed_ns,
            final=following if index == last else None,
        )
        current = following


def _observations(
    dataset: LeRobotFolder, episode: _Episode, contract: Contract, cameras: dict[str, str]
) -> Iterator[Observation]:
    native = dataset.frames(episode.place, episode.seen.tolist())
    for proprioception, frames in zip(episode.motion.proprioception, native, strict=True):
        cut = {camera.name: preprocess_frame(frames[cameras[camera.name]], camera) for camera in contract.cameras}
        yield Observation(cut, proprioception, NO_SIM_ONLY)


def _session(dataset: LeRobotFolder, contract: Contract, settings: JointSpaceSettings) -> str:
    """The same for the same dataset read in the same way: what is imported twice is there once."""
    info = (dataset.folder / "meta/info.json").read_text()
    stats = (dataset.folder / "meta/stats.json").read_text()
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{info}{stats}{contract.hash}{settings}").hex


def _report(
    dataset: LeRobotFolder,
    contract: Contract,
    settings: JointSpaceSettings,
    controller: ControllerSettings,
    episodes: Sequence[_Episode],
    cameras: dict[str, str],
) -> JointSpaceReport:
    motions = [episode.motion for episode in episodes]
    roll_rad = np.concatenate([motion.proprioception[:-1, ROLL] for motion in motions])
    tilt_rad = np.concatenate([motion.tilt_rad for motion in motions])

    def share(name: str) -> float:
        return float(np.concatenate([getattr(motion, name) for motion in motions]).mean())

    return JointSpaceReport(
        assumed=assumptions(dataset, contract, settings),
        cameras=cameras,
        dropped_frames=sum(episode.rows - len(episode.seen) for episode in episodes),
        dropped_episodes=dataset.episodes - len(episodes),
        clipped=share("clipped"),
        outside=share("outside"),
        wide=share("wide"),
        rolled=float((np.abs(roll_rad - controller.wrist_roll_rad) > ROLLED_RAD).mean()),
        largest_lag_m=max(float(motion.lag_m.max()) for motion in motions),
        largest_tilt_rad=float(np.abs(tilt_rad - controller.tool_tilt_rad).max()),
    )
