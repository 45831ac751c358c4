"""`nudge replay --rerun`: the recording, read back with Rerun's own reader."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from console.main import main
from demos.experience_file import new_experience
from policies import ENCODER, write_policy
from policy.experience import Judgement, Reason, Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.wire import decode_png

CONTRACT = fake_contract(cameras=2, proprioception=3, size_px=32)
SOURCES = (Source.POLICY, Source.HUMAN, Source.HUMAN, Source.POLICY)
needs_rerun = pytest.mark.skipif(find_spec("rerun") is None, reason="needs the extra `rerun`, which `make` leaves out")


def episode() -> list[Step]:
    made = fake_episode(CONTRACT, len(SOURCES), np.random.default_rng(3), session="a" * 32, episode=1)
    judged = [
        replace(step, source=source, judgement=Judgement(0.25 * place, Reason.UNLIKELY))
        for place, (step, source) in enumerate(zip(made, SOURCES, strict=True))
    ]
    return [*judged[:-1], replace(judged[-1], judgement=Judgement(0.75, Reason.SUCCESS))]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "lift"
    with new_experience(folder / "experience.sqlite", CONTRACT) as new:
        new.append(episode(), CONTRACT)
    write_policy(folder / "policy.safetensors", CONTRACT)
    return folder


def columns(path: Path) -> dict[str, dict[int, Any]]:
    """By entity and component, what stands at each step."""
    from rerun.experimental import RrdReader

    found: dict[str, dict[int, Any]] = {}
    for chunk in RrdReader(str(path)).stream().to_chunks():
        if chunk.is_static or "step" not in (batch := chunk.to_record_batch()).schema.names:
            continue
        for name in batch.schema.names:
            if ":" in name:
                values = zip(batch["step"].to_pylist(), batch[name].to_pylist(), strict=True)
                entity = f"{chunk.entity_path} {name.split(':')[1]}".removeprefix("/")
                found.setdefault(entity, {}).update((at, value[0]) for at, value in values if value)
    return found


@needs_rerun
def test_holds_what_was_seen_done_judged_and_who_did_it_step_by_step(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "episode.rrd"
    assert main(["replay", str(run), "--rerun", str(path), "--learner.encoder.source", ENCODER]) == 0
    assert f"written to {path}" in capsys.readouterr().out
    found, steps = columns(path), episode()
    final = steps[-1].final
    assert final is not None
    for place, seen in enumerate([*(step.observation for step in steps), final]):
        for camera, frame in seen.frames.items():
            png = bytes(found[f"camera/{camera} blob"][place])
            np.testing.assert_array_equal(decode_png(png, 32, camera), frame)
        state = [found[f"state/{each.name} scalars"][place] for each in CONTRACT.proprioception]
        np.testing.assert_array_equal(np.array(state, np.float32), seen.proprioception)
    done = [[found[f"action/{axis.name}/done scalars"][place] for axis in CONTRACT.action] for place in range(4)]
    np.testing.assert_array_equal(np.array(done, np.float32), [step.action for step in steps])
    assert all(len(found[f"action/{axis.name}/policy scalars"]) == 4 for axis in CONTRACT.action)
    assert found["reward scalars"] == {0: 0, 1: 0, 2: 0, 3: 1}
    assert found["judge/probability scalars"] == {1: 0, 2: 0.25, 3: 0.5, 4: 0.75}  # of what each action led to
    assert found["control/operator scalars"] == {0: 0, 1: 1, 2: 1, 3: 0}
    assert found["control text"] == {0: "in control: policy", 1: "in control: operator", 3: "in control: policy"}


@needs_rerun
def test_a_place_that_cannot_be_written_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nowhere" / "episode.rrd"
    assert main(["replay", str(run), "--rerun", str(path), "--policy", "none"]) == 1
    assert f"{path}: cannot be written (No such file or directory)" in capsys.readouterr().err


def test_without_the_package_the_extra_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("console.extras.find_spec", lambda name: None)
    assert main(["replay", str(run), "--rerun", str(tmp_path / "episode.rrd")]) == 1
    assert "uv sync --inexact --extra rerun" in capsys.readouterr().err
