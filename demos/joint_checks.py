"""May a dataset of joint angles be brought under a contract? What it leaves open is refused with the way to say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from demos.errors import ExchangeRefused
from demos.import_report import JointSpaceReport
from demos.joint_settings import JointSpaceSettings
from demos.lerobot_format import ACTION, IMAGES, STATE
from policy.contract import Contract
from robot.contract import so101_contract

if TYPE_CHECKING:
    from demos.lerobot_folder import LeRobotFolder

# LeRobot calls both arms `so_follower` by now; they have the same links, joints and servos.
ROBOTS = ("so_follower", "so101_follower", "so101", "so100_follower", "so100")
UNDER_TABLE_M, LARGEST_UNDER_TABLE = -0.02, 0.05  # an arm that is so often below its table has another zero


def require_arm(dataset: LeRobotFolder, settings: JointSpaceSettings) -> None:
    """Raise `ExchangeRefused` unless the dataset is one of an SO-101, in units that were said."""
    where = dataset.folder
    missing = [key for key in (STATE, ACTION) if key not in dataset.features]
    if missing:
        raise ExchangeRefused(f"{where}: it has no {' and no '.join(missing)}; expected joint angles of an SO-101")
    if dataset.robot_type not in ROBOTS:
        raise ExchangeRefused(
            f"{where}: it says robot_type {dataset.robot_type!r}, expected one of {', '.join(ROBOTS)}; the joint "
            f"angles of another arm lead elsewhere"
        )
    if settings.units == "unknown":
        raise ExchangeRefused(
            f"{where}: no dataset says whether its joints are degrees or -100..100 of their range, and whoever guesses "
            f"is off by up to a half; ask who recorded it for LeRobot's `use_degrees`, and give units: degrees or "
            f"normalised"
        )


def require_contract(contract: Contract) -> None:
    """Raise `ExchangeRefused` unless joint angles and commands tell all that the contract observes and commands."""
    known = so101_contract(contract.cameras, (), contract.control_hz)
    for kind in ("proprioception", "action", "sim_only"):
        ours = [f"{dim.name} [{dim.unit}]" for dim in getattr(known, kind)]
        asked = [f"{dim.name} [{dim.unit}]" for dim in getattr(contract, kind)]
        if asked != ours:
            differing = sorted(set(asked) ^ set(ours)) or ["their order"]
            raise ExchangeRefused(
                f"{kind} of the contract: got {', '.join(differing)} otherwise than joint angles can tell; bring them "
                f"under the contract of a real SO-101, preset `so101`"
            )


def map_cameras(shapes: Mapping[str, tuple[int, ...]], contract: Contract, named: Mapping[str, str]) -> dict[str, str]:
    """The contract's camera -> key of the dataset's feature. Raise `ExchangeRefused` where none has its native size.

    shapes: key -> (height, width, 3); named: the contract's camera -> the dataset's, where they are called differently
    """
    available = (
        ", ".join(f"{key.removeprefix(IMAGES)} {shape[1]}x{shape[0]}" for key, shape in shapes.items()) or "none"
    )
    strangers = sorted(set(named) - {camera.name for camera in contract.cameras})
    if strangers:
        raise ExchangeRefused(f"cameras {', '.join(strangers)}: the contract has no such camera; correct the names")
    found = {}
    for camera in contract.cameras:
        key = f"{IMAGES}{named.get(camera.name, camera.name).removeprefix(IMAGES)}"
        if key not in shapes:
            raise ExchangeRefused(
                f"camera {camera.name!r}: the dataset has no {key}, its cameras are {available}; say which one it is"
            )
        if shapes[key] != (camera.native_height_px, camera.native_width_px, 3):
            raise ExchangeRefused(
                f"camera {camera.name!r}: the dataset's are {available}, the contract's native frame is "
                f"{camera.native_width_px}x{camera.native_height_px}; its crop would cut out another region: make a "
                f"contract with that native size and a crop to match"
            )
        found[camera.name] = key
    twice = {key for key in found.values() if list(found.values()).count(key) > 1}
    if twice:
        raise ExchangeRefused(f"cameras: {', '.join(sorted(twice))} would be two of the contract's; name each once")
    return found


def require_above_table(tool_z_m: Sequence[NDArray[np.float32]], where: str) -> None:
    """Raise `ExchangeRefused` where the tool would often be under the table; heights by episode [m]."""
    under = float((np.concatenate(tool_z_m) < UNDER_TABLE_M).mean())
    if under > LARGEST_UNDER_TABLE:
        raise ExchangeRefused(
            f"{where}: with these units and this zero the tool would be under the table in {under:.0%} of the frames; "
            f"give other units or the arm's calibration file, or leave this dataset"
        )


def require_expressible(report: JointSpaceReport, settings: JointSpaceSettings, where: str) -> None:
    """Raise `ExchangeRefused` where too much of the motion is none that the contract's actions can command."""
    if report.clipped > settings.largest_clipped:
        raise ExchangeRefused(
            f"{where}: {report.clipped:.0%} of the actions would be clipped (largest_clipped allows "
            f"{settings.largest_clipped:.0%}): it moves faster than the contract's steps; record slower, or allow more"
        )
    if report.outside > settings.largest_outside:
        raise ExchangeRefused(
            f"{where}: the tool is sent out of the controller's box in {report.outside:.0%} of the steps "
            f"(largest_outside allows {settings.largest_outside:.0%}); widen arm.controller.box_low_m and box_high_m, "
            f"or allow more"
        )


def assumptions(dataset: LeRobotFolder, contract: Contract, settings: JointSpaceSettings) -> tuple[str, ...]:
    """A sentence for each thing that the dataset does not say itself."""
    spans = f"those of {settings.calibration}" if settings.calibration else "the model's"
    ends = {
        "success": "each episode ends in success, with reward 1 on its last step",
        "unknown": "nobody knows how the episodes end: they are cut off, without reward",
    }
    return (
        f"body joints in {settings.units}, as was said; the gripper 0..100, closed to open; ranges are {spans}",
        "the zero of each body joint is the middle of its range, as LeRobot calibrates since June 2025",
        f"robot_type {dataset.robot_type} is an SO-101, or an SO-100 with the same links",
        "actions are the joint targets that the follower was sent, observations its measured joints",
        f"rows at {dataset.fps:g} Hz are even in time; of each step at {contract.control_hz:g} Hz its last row counts",
        "the last row is the observation after the last step",
        "the operator drove all steps; wall clock: counted from when meta/info.json was written",
        ends[settings.outcome],
    )
