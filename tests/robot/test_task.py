"""When grasp-and-lift has succeeded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot.settings import TaskSettings
from robot.task import CubePose, GraspLift


def state(z_m: float, held: bool) -> NDArray[np.float32]:
    return np.array([0.25, 0.0, z_m, 0.0, float(held)], np.float32)


def judged(states: list[NDArray[np.float32]]) -> list[bool]:
    task = GraspLift(TaskSettings())
    task.begin(state(0.0135, held=False))
    return [task.succeeded(each) for each in states]


def test_five_held_steps_above_five_centimetres_are_success() -> None:
    assert judged([state(0.07, held=True)] * 5) == [False, False, False, False, True]


def test_letting_go_starts_the_count_again() -> None:
    states = [state(0.07, held=True)] * 4 + [state(0.07, held=False)] + [state(0.07, held=True)] * 4
    assert not any(judged(states))


def test_lift_counts_from_where_the_cube_rested() -> None:
    # 0.0135 + 0.050 = 0.0635 m is the lowest height that counts.
    assert not any(judged([state(0.0630, held=True)] * 9))
    assert judged([state(0.0640, held=True)] * 5)[-1]


def test_a_cube_in_the_air_that_nobody_holds_is_no_success() -> None:
    assert not any(judged([state(0.2, held=False)] * 20))


@pytest.mark.parametrize("judge", ["operator", "classifier"])
def test_the_task_itself_pays_nothing_where_another_judges(judge: str) -> None:
    task = GraspLift(TaskSettings.model_validate({"judge": judge}))
    task.begin(np.zeros(0, np.float32))  # a real desk tells nothing of the cube
    assert not any(task.succeeded(state(0.07, held=True)) for _ in range(9))


@given(st.integers(0, 10_000))
def test_every_start_lies_in_the_field(seed: int) -> None:
    settings = TaskSettings()
    start = GraspLift(settings).draw_start(np.random.default_rng(seed))
    assert settings.field_x_m[0] <= start.cube.x_m <= settings.field_x_m[1]
    assert settings.field_y_m[0] <= start.cube.y_m <= settings.field_y_m[1]
    assert (np.abs(start.tool_m - settings.start_m) <= settings.start_noise_m).all()


@given(st.integers(0, 10_000))
def test_some_demonstrations_cover_the_whole_field(seed: int) -> None:
    settings, generator = TaskSettings(), np.random.default_rng(seed)
    task = GraspLift(settings)
    cubes = [task.draw_start(generator).cube for _ in range(24)]
    field = (settings.field_x_m, settings.field_y_m)
    counts, *_ = np.histogram2d([c.x_m for c in cubes], [c.y_m for c in cubes], bins=(2, 3), range=field)
    assert counts.min() >= 2
    turns, _ = np.histogram([c.yaw_rad for c in cubes], bins=5, range=(-np.pi, np.pi))
    assert turns.min() >= 3


def test_another_generator_begins_other_places_and_the_same_seed_the_same() -> None:
    task = GraspLift(TaskSettings())

    def cubes(seed: int) -> list[CubePose]:
        generator = np.random.default_rng(seed)
        return [task.draw_start(generator).cube for _ in range(4)]

    first = cubes(1)
    assert cubes(2) != first
    assert cubes(1) == first
