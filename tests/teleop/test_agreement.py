"""Whether motion agrees with actions: sound episodes do, pressing and lagging ones too, mixed-up ones do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyboard_program import contract
from robot.env import make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from teleop.agreement import agreement, contradiction
from teleop.expert import Expert
from teleop.takeover import OperatorView

CONTRACT = contract()
NAMES = [dimension.name for dimension in CONTRACT.proprioception]
MOVED = [*(NAMES.index(f"tool.{axis}") for axis in "xyz"), NAMES.index("joint.gripper")]
LEAD = [NAMES.index(f"lead.{axis}") for axis in ("x", "y", "z", "gripper")]
AXES = range(4)

Actions = NDArray[np.float32]


@dataclass
class Episode:
    actions: Actions  # (N, 4)
    proprioception: NDArray[np.float32]  # (N + 1, 13)

    def contradiction(self, actions: Actions | None = None) -> str:
        return contradiction(CONTRACT, self.actions if actions is None else actions, self.proprioception)


def lagging(actions: Actions, share: float = 0.5) -> Episode:
    """What an arm measures whose tool comes a share of the way to its target in each step."""
    target, position = np.zeros(4), np.zeros(4)
    rows = [np.zeros(len(NAMES), np.float32)]
    for action in actions:
        target = target + action
        position = position + share * (target - position)
        row = np.zeros(len(NAMES), np.float32)
        row[MOVED], row[LEAD] = position * CONTRACT.action_scale, (target - position) * CONTRACT.action_scale
        rows.append(row)
    return Episode(actions, np.array(rows))


@pytest.fixture(scope="module")
def demonstrations() -> list[Episode]:
    """Of the scripted expert with a shaky hand: each presses on the cube."""
    env = make_env(sim_contract(), ArmSettings(), TaskSettings(), seed=3)
    expert, generator = Expert(sim_contract()), np.random.default_rng(3)
    episodes = []
    for seed in (3, None):
        seen, info = env.reset(seed=seed)
        expert.begin()
        actions, rows, ended = [], [seen["proprioception"]], False
        while not ended:
            action = expert.action(OperatorView(seen["proprioception"], info["sim_only"]))
            shaken = np.clip(action + generator.normal(0.0, 0.3, 4), -1.0, 1.0).astype(np.float32)
            seen, _, terminated, truncated, info = env.step(shaken)
            ended = terminated or truncated
            actions.append(info["executed"])
            rows.append(seen["proprioception"])
        episodes.append(Episode(np.array(actions), np.array(rows)))
    env.close()
    return episodes


@pytest.fixture(scope="module")
def pressing() -> Episode:
    """Down onto the table for two seconds, along it, and closing the jaw on nothing for as long."""
    env = make_env(sim_contract(), ArmSettings(), TaskSettings(), seed=5)
    seen, _ = env.reset(seed=5)
    script = [(0, 0, -1, -1)] * 20 + [(0, 1, -1, -1)] * 8 + [(0, 0, 1, 1)] * 10
    actions, rows = [], [seen["proprioception"]]
    for action in script:
        seen, _, _, _, info = env.step(np.array(action, np.float32))
        actions.append(info["executed"])
        rows.append(seen["proprioception"])
    env.close()
    return Episode(np.array(actions), np.array(rows))


def test_demonstrations_agree_with_their_motion(demonstrations: list[Episode]) -> None:
    for episode in demonstrations:
        assert episode.contradiction() == ""
        for axis in agreement(CONTRACT, episode.actions, episode.proprioception):
            assert axis.rms < 1e-4  # the target goes where the executed action says, to the rounding of float32
            assert axis.correlation > 0.5, axis.name


def test_pressing_on_the_table_is_no_contradiction(pressing: Episode) -> None:
    assert pressing.contradiction() == ""


@pytest.mark.slow  # 30 episodes with two cameras
def test_a_rough_hand_that_presses_and_reverses_never_contradicts() -> None:
    env = make_env(sim_contract(), ArmSettings(), TaskSettings(max_episode_steps=80), seed=11)
    generator, reversed_found = np.random.default_rng(11), 0
    for number in range(30):
        seen, info = env.reset(seed=11 if number == 0 else None)
        actions, rows, ended, step = [], [seen["proprioception"]], False, 0
        while not ended:
            if step % 10 == 0:  # three times in four it is downwards
                way = np.array(
                    [*generator.uniform(-1, 1, 2), generator.choice([-1, -1, -1, 1]), generator.choice([-1, 1])]
                )
            seen, _, terminated, truncated, info = env.step(way.astype(np.float32))
            ended, step = terminated or truncated, step + 1
            actions.append(info["executed"])
            rows.append(seen["proprioception"])
        episode = Episode(np.array(actions), np.array(rows))
        assert episode.contradiction() == ""
        reversed_found += bool(episode.contradiction(-episode.actions))
    env.close()
    assert reversed_found == 30


@pytest.mark.parametrize("axis", AXES)
def test_a_negated_axis_contradicts(axis: int, demonstrations: list[Episode]) -> None:
    for episode in demonstrations:
        actions = episode.actions.copy()
        actions[:, axis] *= -1
        assert f"the actions moved {['x', 'y', 'z', 'gripper'][axis]} by" in episode.contradiction(actions)
        assert agreement(CONTRACT, actions, episode.proprioception)[axis].rms > 1e-3


def test_actions_of_another_episode_contradict(demonstrations: list[Episode]) -> None:
    one, other = demonstrations[:2]
    steps = min(len(one.actions), len(other.actions))
    mixed = agreement(CONTRACT, one.actions[:steps], other.proprioception[: steps + 1])
    assert all(axis.rms > 1e-3 for axis in mixed)


def test_the_step_and_both_figures_are_named() -> None:
    # 5 steps still, then 20 steps of +1 unit (0.02 m) along y, while y goes the other way.
    commanded = np.zeros((25, 4), np.float32)
    commanded[5:, 1] = 1
    moved = lagging(commanded, share=1.0)
    moved.proprioception[:, LEAD] += 2 * moved.proprioception[:, MOVED]
    moved.proprioception[:, MOVED] *= -1  # the targets go where they are sent, the tool to the other side
    # The window of 10 steps that begins with step 0 holds 5 actions: 0.100 m commanded, -0.100 m moved.
    assert moved.contradiction() == "steps 0 to 9: the actions moved y by +0.100 m, but it went -0.100 m"


def test_a_target_that_goes_elsewhere_than_its_action_is_named_with_its_step() -> None:
    commanded = np.zeros((25, 4), np.float32)
    commanded[5:, 1] = 1
    moved = lagging(-commanded)
    assert moved.contradiction(commanded) == "step 5: the actions moved y by +0.020 m, but its target went -0.020 m"
    other = commanded.copy()
    other[7, 1] = 0.7  # a fault, a pause, a clip: what was executed is what is stored
    assert "step 7" in lagging(commanded).contradiction(other)


def test_a_reversal_of_a_lagging_arm_is_no_contradiction() -> None:
    there_and_back = np.zeros((40, 4), np.float32)
    there_and_back[:20, 0], there_and_back[19, 0], there_and_back[20:, 0] = 1, 0.7, -1
    # Steps 16 to 25 sent it by 3.7 - 6 = -2.3 units; it owed +2.3 before, -1.8 after: it went by -2.3 + 2.3 + 1.8.
    assert lagging(there_and_back, share=0.3).contradiction() == ""


def test_an_axis_that_never_moves_has_no_correlation() -> None:
    episode = lagging(np.zeros((5, 4), np.float32))
    assert all(np.isnan(axis.correlation) for axis in agreement(CONTRACT, episode.actions, episode.proprioception))


def test_an_episode_without_steps_contradicts_nothing() -> None:
    assert lagging(np.zeros((0, 4), np.float32)).contradiction() == ""


ACTION = st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4)


# At a share of 0.3 a target runs at most (1 - 0.3) / 0.3 = 2.33 units ahead; going against takes 1.5 + 1 = 2.5.
@settings(max_examples=25, deadline=None)
@given(st.lists(ACTION, min_size=1, max_size=40), st.floats(0.3, 1))
def test_no_lag_makes_sound_motion_a_contradiction(actions: list[list[float]], share: float) -> None:
    assert lagging(np.array(actions, np.float32), share).contradiction() == ""


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(2, 10), st.floats(0.3, 1))
def test_swapped_axes_contradict_once_both_move_apart(one: int, other: int, steps: int, share: float) -> None:
    actions = np.zeros((10 + steps, 4), np.float32)
    actions[:, one] = 1
    actions[:, other] = -1
    swapped = actions.copy()
    swapped[:, [one, other]] = actions[:, [other, one]]
    assert bool(lagging(actions, share).contradiction(swapped)) == (one != other)
