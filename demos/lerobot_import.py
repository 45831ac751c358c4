"""A LeRobotDataset v3 as a new experience file: one that Nudge has exported, or one of joint angles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demos.errors import ExchangeRefused
from demos.experience_file import new_experience
from demos.import_report import LeRobotImportReport
from demos.joint_settings import JointSpaceSettings
from demos.lerobot_folder import LeRobotFolder
from demos.lerobot_format import EPISODE, IMAGES, SESSION, contract_in, require_features, unpack_row
from policy.contract import Contract
from policy.experience import Step

if TYPE_CHECKING:
    from robot.settings import ControllerSettings

Watch = Callable[[Sequence[Any]], Iterable[Any]]


def import_dataset(
    folder: Path,
    target: Path,
    contract: Contract | None = None,
    joints: JointSpaceSettings | None = None,
    controller: ControllerSettings | None = None,
    watch: Watch = iter,
) -> LeRobotImportReport:
    """Make a new experience file of a dataset; it appears whole or not at all.

    contract: what the dataset must have been recorded under; one of joint angles is brought under it, and needs one.
        None takes what a dataset of Nudge's says.
    joints, controller: for a dataset of joint angles: what it does not say itself, and which box and posture hold
    watch: gets the episodes and gives them one by one, to show progress
    Raise `ContractMismatch` with the difference for another contract, `ExchangeRefused` for what cannot be read or may
    not be guessed, `InvalidExperience` for steps that the contract does not allow, `StoreError` for the file.
    """
    dataset = LeRobotFolder(folder)
    carried = contract_in(dataset.features, str(folder))
    if carried is not None:
        if contract is not None:
            contract.require_equal(carried, "this run", f"the dataset {folder}")
        require_features(dataset.features, carried, str(folder))
        return _import_own(dataset, target, carried, watch)
    if contract is None:
        raise ExchangeRefused(
            f"{folder}: it carries no contract of Nudge's; to bring its joint angles under one, name the preset"
        )
    from demos.joint_import import import_joints  # it needs the kinematics, and with them MuJoCo
    from robot.settings import ControllerSettings

    return import_joints(
        dataset, target, contract, joints or JointSpaceSettings(), controller or ControllerSettings(), watch
    )


def _import_own(dataset: LeRobotFolder, target: Path, contract: Contract, watch: Watch) -> LeRobotImportReport:
    places, steps = _places(dataset), 0
    with new_experience(target, contract) as experience:
        for place in watch(places):
            episode = _episode(dataset, place, contract)
            experience.append(episode, contract)
            steps += len(episode)
    return LeRobotImportReport(
        path=target,
        dataset=dataset.folder,
        kind="nudge",
        contract_hash=contract.hash,
        episodes=len(places),
        steps=steps,
        repeated=dataset.episodes - len(places),
        lossy_frames=dataset.lossy,
    )


def _places(dataset: LeRobotFolder) -> list[int]:
    """Where the episodes lie, each once, those of a session in ascending order: LeRobot's tools merge and cut."""
    sessions: dict[str, dict[int, int]] = {}
    for place in range(dataset.episodes):
        columns = dataset.columns(place)
        sessions.setdefault(columns[SESSION][0], {}).setdefault(columns[EPISODE][0], place)
    return [place for episodes in sessions.values() for _, place in sorted(episodes.items())]


def _episode(dataset: LeRobotFolder, place: int, contract: Contract) -> list[Step]:
    columns = dataset.columns(place)
    names = [camera.name for camera in contract.cameras]
    rows = range(len(columns[SESSION]))
    return [
        unpack_row(
            {key: values[row] for key, values in columns.items()},
            row,
            {name: frames[f"{IMAGES}{name}"] for name in names},
            contract,
        )
        for row, frames in zip(rows, dataset.frames(place, rows), strict=True)
    ]
