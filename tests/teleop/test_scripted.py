"""The scripted operator: an expert that rarely fails, and a teacher who keeps his hands off while it goes well."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from robot.env import make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from robot.task import CubePose, Start
from teleop.scripted import ScriptedOperator
from teleop.settings import OperatorSettings
from teleop.takeover import OperatorView, Verdict

CONTRACT = sim_contract()
TOOL = [dimension.name for dimension in CONTRACT.proprioception].index("tool.x")


def view(
    tool_m: tuple[float, float, float] = (0.25, 0, 0.1),
    held: bool = False,
    cube_z_m: float = 0.0135,
    cube_m: tuple[float, float] = (0.25, 0.05),
) -> OperatorView:
    proprioception = np.zeros(len(CONTRACT.proprioception), np.float32)
    proprioception[TOOL : TOOL + 3] = tool_m
    return OperatorView(proprioception, np.array([*cube_m, cube_z_m, 0.0, float(held)], np.float32))


def operator(trained_episodes: int = 0, **settings: object) -> ScriptedOperator:
    return ScriptedOperator(CONTRACT, OperatorSettings.model_validate(settings), 0, trained_episodes)


def helper(**settings: object) -> ScriptedOperator:
    """It leads no episode, and helps only where the policy is stuck."""
    return operator(0, guided_episodes=0, **settings)


def test_the_expert_succeeds_from_every_cell_at_least_19_times_in_20() -> None:
    env = make_env(CONTRACT, ArmSettings(), TaskSettings(), seed=0)
    scripted = operator(demo_noise=0.0)
    trials = [
        (x, y, yaw)
        for x in np.linspace(0.20, 0.30, 5)
        for y in np.linspace(-0.08, 0.08, 5)
        for yaw in (0.0, math.pi / 4)
    ]
    successes = 0
    for x, y, yaw in trials:
        observation, info = env.reset(options={"start": Start(CubePose(x, y, yaw), np.array([0.25, 0.0, 0.10]))})
        scripted.begin_episode(demonstrating=True)
        ended = False
        while not ended:
            action = scripted.poll(OperatorView(observation["proprioception"], info["sim_only"])).action
            assert action is not None
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
        successes += bool(info["success"])
    env.close()
    assert successes >= 0.95 * len(trials)


def test_hands_stay_off_while_the_policy_explores_and_then_help_briefly() -> None:
    teacher = helper()
    teacher.begin_episode(demonstrating=False)
    hands_on = [teacher.poll(view()).action is not None for _ in range(60)]  # a tool that never comes closer
    low, high = OperatorSettings().explore_steps
    assert not any(hands_on[:low])
    assert any(hands_on[low : high + OperatorSettings().patience_steps + 1])
    runs = "".join("x" if on else "." for on in hands_on).strip(".").split(".")
    assert all(len(run) <= OperatorSettings().takeover_steps[1] + 1 for run in runs)


def test_the_first_episodes_are_led_to_their_end_ever_fewer_and_then_none() -> None:
    teacher, led = operator(), list[bool]()
    assert OperatorSettings().guided_episodes == 120
    low, high = OperatorSettings().guided_from_step
    for _ in range(150):
        teacher.begin_episode(demonstrating=False)
        hands_on = [teacher.poll(view()).action is not None for _ in range(high + 6)]  # before any help for one stuck
        led.append(any(hands_on))
        begun = hands_on.index(True) if led[-1] else len(hands_on)
        assert low <= begun
        assert all(hands_on[begun:])
    assert sum(led[:40]) > sum(led[40:80]) > sum(led[80:120]) > 0
    assert sum(led[:40]) > 30
    assert not any(led[120:])


def test_demonstrations_do_not_count_as_episodes_that_were_led() -> None:
    teacher = operator(guided_episodes=2)
    for _ in range(20):
        teacher.begin_episode(demonstrating=True)
    teacher.begin_episode(demonstrating=False)
    assert any(teacher.poll(view()).action is not None for _ in range(18))


@pytest.mark.parametrize(("trained", "led"), [(0, 18), (60, 10), (110, 0), (500, 0)])
def test_an_operator_that_comes_back_goes_on_leading_where_the_run_stands(trained: int, led: int) -> None:
    teacher, hands_on = operator(trained), 0
    for _ in range(20):
        teacher.begin_episode(demonstrating=False)
        hands_on += any(teacher.poll(view()).action is not None for _ in range(18))
    assert abs(hands_on - led) <= 3


def test_progress_keeps_the_hands_off() -> None:
    teacher = helper()
    teacher.begin_episode(demonstrating=False)
    tool_heights_m = np.linspace(0.30, 0.02, 60)  # ever closer to the cube
    assert all(teacher.poll(view((0.25, 0.05, float(height)))).action is None for height in tool_heights_m)


def test_no_stuck_episode_goes_without_help_however_many_went_well_before() -> None:
    teacher = helper()
    for _ in range(50):
        teacher.begin_episode(demonstrating=False)
        assert teacher.poll(view()).action is None
    teacher.begin_episode(demonstrating=False)
    assert any(teacher.poll(view()).action is not None for _ in range(60))


def test_a_silent_operator_never_touches_the_arm() -> None:
    teacher = operator(interventions=False)
    teacher.begin_episode(demonstrating=False)
    assert all(teacher.poll(view()).action is None for _ in range(80))


def test_the_same_seed_gives_the_same_hand() -> None:
    def hand() -> list[NDArray[np.float32] | None]:
        teacher = operator()
        teacher.begin_episode(demonstrating=True)
        return [teacher.poll(view((0.2, 0.0, 0.1))).action for _ in range(10)]

    for first, second in zip(hand(), hand(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("demonstrating", [True, False])
@pytest.mark.parametrize("cube_m", [(0.25, 0.16), (0.25, -0.16), (0.12, 0.0), (0.38, 0.0)])
def test_a_cube_where_the_tool_cannot_get_ends_the_episode_as_failed(
    cube_m: tuple[float, float], demonstrating: bool
) -> None:
    teacher = operator()
    teacher.begin_episode(demonstrating=demonstrating)
    assert teacher.poll(view(cube_m=(0.25, 0.14))).verdict is None  # the jaws still reach it
    assert teacher.poll(view(cube_m=cube_m, held=True)).verdict is None  # it is on its way back
    lost = teacher.poll(view(cube_m=cube_m))
    assert lost.verdict is Verdict.FAILURE
    assert (lost.action is not None) is demonstrating
    patient = operator(gives_up=False)
    patient.begin_episode(demonstrating=demonstrating)
    assert patient.poll(view(cube_m=cube_m)).verdict is None
