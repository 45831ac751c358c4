"""Episodes that teach a reward classifier: success looks like lifts of any height, with the key at the end."""

from __future__ import annotations

from contextlib import closing

import pytest

from demos.scripted_episodes import kinds_of, record_episodes
from policy.experience import Step
from policy.experience_file import EpisodeSelection, ExperienceFile
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from robot.task import CUBE_STATE

_Z = CUBE_STATE.index("cube.z")


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> list[list[Step]]:
    path = tmp_path_factory.mktemp("episodes") / "experience.sqlite"
    kinds = kinds_of(["hover"], 1, 8)
    record_episodes(path, sim_contract(), ArmSettings(), TaskSettings(), kinds, seed=3)
    with closing(ExperienceFile(path)) as file:
        return [list(file.episode(each)) for each in file.choose(EpisodeSelection()).ids]


def test_one_that_fails_on_purpose_is_cut_and_pays_nothing(episodes: list[list[Step]]) -> None:
    hover = episodes[0]
    assert hover[-1].truncated
    assert sum(step.reward for step in hover) == 0


def test_successes_end_by_the_key_with_the_cube_now_lower_now_higher(episodes: list[list[Step]]) -> None:
    won = [steps for steps in episodes[1:] if steps[-1].terminated]
    assert len(won) >= 6
    heights_m = [float(steps[-1].observation.sim_only[_Z]) for steps in won]
    assert min(heights_m) > TaskSettings().lift_m
    assert max(heights_m) - min(heights_m) > 0.03
