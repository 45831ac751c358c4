"""Demonstrations of an arm that is a few lines: sound ones, and such as deserve what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demos.experience_file import new_experience
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from policy.fakes import fake_contract
from robot.contract import cube_dimensions, so101_contract

SESSION = "ab" * 16
CAMERA = "camera0"
START = np.array([0.25, 0.0, 0.10, 0.6])  # tool [m], jaw [rad]
OPEN_RAD, CLOSED_RAD, GRASP_M, LIFTED_M = 0.8, 0.15, 0.013, 0.09
FOLLOWS = 0.6  # share of the way to its target that the arm goes in a step

Vector = NDArray[np.float64]


def contract(size_px: int = 48, *, witnessed: bool = True) -> Contract:
    """Of an arm with one camera. witnessed: somebody knows where the cube is"""
    cameras = fake_contract(cameras=1, size_px=size_px).cameras
    return so101_contract(cameras, cube_dimensions() if witnessed else (), 10.0)


@dataclass(frozen=True)
class Hand:
    """How somebody demonstrates.

    speed: share of the largest action; closes: whether the jaw; shakes: amplitude of the tool's trembling [actions]
    rests: first step and number of the steps in which the hand does nothing
    """

    cube_m: tuple[float, float] = (0.25, 0.02)
    speed: float = 0.4
    closes: bool = True
    shakes: float = 0.0
    rests: tuple[int, int] = (0, 0)


def demonstration(within: Contract, index: int = 0, hand: Hand | None = None) -> list[Step]:
    """Over the cube, down, closed, up; it succeeds with the last step."""
    hand, rng = hand or Hand(), np.random.default_rng(index)
    x, y = hand.cube_m
    jaw = CLOSED_RAD if hand.closes else OPEN_RAD
    way = [(x, y, 0.06, OPEN_RAD), (x, y, GRASP_M, OPEN_RAD), (x, y, GRASP_M, jaw), (x, y, LIFTED_M, jaw)]
    scale = within.action_scale.astype(np.float64)
    target, arm = START.copy(), START.copy()
    rows, actions = [_seen(arm, target)], list[NDArray[np.float32]]()
    for goal in map(np.array, way):
        while np.abs(goal - target).max() > 1e-6:
            action = np.clip((goal - target) / scale, -hand.speed, hand.speed)
            if hand.rests[0] <= len(actions) < sum(hand.rests):
                action = np.zeros(4)
            action[:3] += hand.shakes * (-1) ** len(actions)
            action = action.clip(-1, 1)
            actions.append(action.astype(np.float32))
            target = target + action * scale
            arm = arm + FOLLOWS * (target - arm)
            rows.append(_seen(arm, target))
            if hand.shakes and len(actions) > 40:
                break
    frames = [_picture(within.cameras[0].size_px, row, rng) for row in rows]
    cube = np.array([x, y, 0.01, 0.0, 0.0][: len(within.sim_only)], np.float32)
    seen = [Observation({CAMERA: frame}, row, cube) for frame, row in zip(frames, rows, strict=True)]
    last = len(actions) - 1
    return [
        Step(
            id=StepId(SESSION, index, number),
            observation=seen[number],
            action=action,
            source=Source.DEMO,
            reward=float(number == last),
            terminated=number == last,
            truncated=False,
            policy_version=0,
            monotonic_ns=number * 100_000_000,
            wall_ns=number * 100_000_000,
            final=seen[-1] if number == last else None,
        )
        for number, action in enumerate(actions)
    ]


def sound_set(within: Contract) -> list[list[Step]]:
    """A demonstration in the middle of each cell of the field, three along x and four along y."""
    places = [(x, y) for x in (0.2167, 0.25, 0.2833) for y in (-0.06, -0.02, 0.02, 0.06)]
    return [demonstration(within, index, Hand(place)) for index, place in enumerate(places)]


def changed(steps: list[Step], number: int, **changes: Any) -> list[Step]:
    """The same with one step changed."""
    return [*steps[:number], replace(steps[number], **changes), *steps[number + 1 :]]


def seen_as(step: Step, frame: NDArray[np.uint8]) -> Step:
    """The same with another picture."""
    return replace(step, observation=replace(step.observation, frames={CAMERA: frame}))


def write(path: Path, within: Contract, episodes: list[list[Step]]) -> Path:
    """An experience file of these episodes."""
    with new_experience(path, within) as experience:
        for steps in episodes:
            experience.append(steps, within)
    return path


def _seen(arm: Vector, target: Vector) -> NDArray[np.float32]:
    """Proprioception: six joints that all turn with the tool but the wrist's roll, the tool, and how targets lead."""
    x, y, z, jaw = arm
    joints = [np.arctan2(y, x), 4 * (x - 0.25) - z, 3 * z - x, 1.2 - 2 * z, 0.0, jaw]
    return np.array([*joints, x, y, z, *(target - arm)], np.float32)


def _picture(size_px: int, row: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A desk that stays, with a bright spot where the tool is, and a sensor's noise."""
    desk = np.random.default_rng(7).integers(60, 160, (6, 6, 3))
    patch = -(-size_px // 6)
    picture = np.kron(desk, np.ones((patch, patch, 1)))[:size_px, :size_px] + rng.normal(0, 2, (size_px, size_px, 3))
    across, along = (int(size_px * share) for share in ((row[6] - 0.14) / 0.22, (row[7] + 0.14) / 0.28))
    picture[along : along + size_px // 6, across : across + size_px // 6] = 230
    return np.clip(picture, 0, 255).astype(np.uint8)
