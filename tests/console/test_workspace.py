"""`nudge workspace`: the box that demonstrations ask for, and what it cannot say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from console.main import main
from console.presets.load import load_preset
from console.settings import Settings
from learner.store import ExperienceStore
from policy.contract import Contract
from policy.experience import Observation, Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step
from robot.settings import ControllerSettings

CONTRACT = load_preset(Settings, "fast").contract
TOOL = [dimension.name for dimension in CONTRACT.proprioception].index("tool.x")


def at(observation: Observation, tool_m: tuple[float, float, float]) -> Observation:
    proprioception = observation.proprioception.copy()
    proprioception[TOOL : TOOL + 3] = tool_m
    return replace(observation, proprioception=proprioception)


def episode(index: int, source: Source, *way_m: tuple[float, float, float]) -> list[Step]:
    """Passes these positions of the tool; the last one is that of the final observation."""
    steps = fake_episode(CONTRACT, len(way_m) - 1, np.random.default_rng(0), episode=index, source=source)
    moved = [replace(step, observation=at(step.observation, tool)) for step, tool in zip(steps, way_m, strict=False)]
    assert moved[-1].final is not None
    return [*moved[:-1], replace(moved[-1], final=at(moved[-1].final, way_m[-1]))]


def store(path: Path, *episodes: list[Step], contract: Contract = CONTRACT) -> Path:
    with ExperienceStore(path, contract) as made:
        for steps in episodes:
            made.append([pack_step(step) for step in steps])
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    demo = episode(0, Source.DEMO, (0.20, -0.05, 0.02), (0.25, 0.0, 0.10), (0.30, 0.05, 0.06))
    stray = episode(1, Source.POLICY, (0.15, -0.13, 0.19), (0.35, 0.13, 0.19))
    return store(tmp_path / "experience.sqlite", demo, stray)


def nudge(*arguments: object) -> int:
    return main(["workspace", *map(str, arguments)])


def test_the_box_is_what_demonstrations_visit_and_a_margin_but_never_below_the_floor(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nudge("--file", path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["demo_episodes"], found["demo_steps"]) == (1, 3)  # the policy's stray steps do not count
    assert found["visited"]["low_m"] == pytest.approx([0.20, -0.05, 0.02])
    assert found["visited"]["high_m"] == pytest.approx([0.30, 0.05, 0.10])
    # 3 cm on each side; 0.02 - 0.03 would be in the table: the configured floor stays.
    assert found["suggested"]["low_m"] == pytest.approx([0.17, -0.08, ControllerSettings().box_low_m[2]])
    assert found["suggested"]["high_m"] == pytest.approx([0.33, 0.08, 0.13])
    # 0.10 of 0.22 m, 0.10 of 0.28 m, 0.08 of 0.192 m
    assert found["used"] == pytest.approx([0.4545, 0.3571, 0.4167], abs=1e-3)


def test_the_lines_to_paste_are_settings(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nudge("--file", path, "--margin-m", 0.01) == 0
    text = capsys.readouterr().out
    assert "--arm.controller.box-low-m 0.19 -0.06 0.01 --arm.controller.box-high-m 0.31 0.06 0.11" in text
    preset = tmp_path / "mine.yaml"
    preset.write_text("extends: fast\n" + "\n".join(line[2:] for line in text.split("In a preset:\n")[1].splitlines()))
    assert load_preset(Settings, str(preset)).arm.controller.box_high_m == (0.31, 0.06, 0.11)


def test_a_store_without_demonstrations_has_no_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = store(tmp_path / "x.sqlite", episode(0, Source.POLICY, (0.2, 0.0, 0.1), (0.3, 0.0, 0.1)))
    assert nudge("--file", made) == 1
    assert "got no demonstrated step, expected at least one" in capsys.readouterr().err


def test_a_store_of_another_contract_is_refused_with_the_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = store(tmp_path / "x.sqlite", contract=fake_contract(cameras=1, proprioception=3, size_px=16))
    assert nudge("--file", made) == 1
    assert "proprioception" in capsys.readouterr().err
