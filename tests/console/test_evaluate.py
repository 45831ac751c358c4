"""The fixed grid of evaluation."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from console.errors import ConsoleError
from console.evaluation.grid import conditions, placements
from console.evaluation.main import judged_apart, load_policy
from console.presets.load import load_preset
from console.settings import Settings
from robot.settings import TaskSettings

SETTINGS = load_preset(Settings, "fast")


def test_the_grid_has_the_same_hundred_trials_each_time() -> None:
    first, second = list(placements(SETTINGS)), list(placements(SETTINGS))
    assert len(first) == 5 * 5 * 4
    for one, other in zip(first, second, strict=True):
        assert one.start.cube == other.start.cube
        assert (one.start.tool_m == other.start.tool_m).all()


def test_cells_are_centred_in_the_field_and_yaws_fill_a_quarter_turn() -> None:
    cubes = [placement.start.cube for placement in placements(SETTINGS)]
    # Five cells over 0.20..0.30 m: centres 0.21, 0.23, ... 0.29; over -0.08..0.08 m: -0.064, ... 0.064.
    assert sorted({round(cube.x_m, 6) for cube in cubes}) == pytest.approx([0.21, 0.23, 0.25, 0.27, 0.29])
    assert sorted({round(cube.y_m, 6) for cube in cubes}) == pytest.approx([-0.064, -0.032, 0.0, 0.032, 0.064])
    assert sorted({round(cube.yaw_rad, 6) for cube in cubes}) == pytest.approx(
        [0, math.pi / 8, math.pi / 4, 3 * math.pi / 8], abs=1e-6
    )


def test_a_missing_policy_is_named_with_what_to_do() -> None:
    with pytest.raises(ConsoleError, match=r"nothing\.safetensors.*train first"):
        load_policy(Path("nothing.safetensors"), SETTINGS)


def test_a_classifier_never_judges_an_evaluation_the_simulator_does_or_the_operator() -> None:
    paid = SETTINGS.model_copy(update={"task": TaskSettings(judge="classifier")})
    assert judged_apart(paid).task.judge == "simulator"
    assert conditions(judged_apart(paid)) == conditions(SETTINGS)  # runs of either judge can be compared
    desk = paid.model_copy(update={"contract": paid.contract.model_copy(update={"sim_only": ()})})
    assert judged_apart(desk).task.judge == "operator"
    assert judged_apart(SETTINGS) is SETTINGS
