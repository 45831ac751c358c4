"""Experience and datasets to exchange, small ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from demos.experience_file import new_experience
from policy.contract import Dimension
from policy.experience import Observation, Source, Step
from policy.experience_file import EpisodeSelection, ExperienceFile
from policy.fakes import fake_contract, fake_episode

SIZE_PX = 64
CONTRACT = fake_contract(cameras=2, proprioception=3, size_px=SIZE_PX).model_copy(
    update={"sim_only": (Dimension(name="cube.x", unit="m", low=-1, high=1),)}
)
A, B = "a" * 32, "b" * 32


def quiet_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A fixture: the library below LeRobot copies what it reads, into the test's folder instead of the user's."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


def picture(phase: float) -> NDArray[np.uint8]:
    """A frame that a video codec can hold: soft light that wanders. uint8 RGB (SIZE_PX, SIZE_PX, 3)."""
    row, column = np.mgrid[0:SIZE_PX, 0:SIZE_PX] / SIZE_PX
    light = np.stack([np.sin(3 * row + phase), np.cos(3 * column + phase), np.sin(2 * (row + column))], axis=-1)
    return np.rint(127.5 + 100 * light).astype(np.uint8)


def episode(session: str, number: int, source: Source, *, terminated: bool, steps: int = 4) -> list[Step]:
    """Every field of every step has a value of its own."""
    rng = np.random.default_rng([int(session[:2], 16), number])
    made = fake_episode(CONTRACT, steps, rng, session=session, episode=number, source=source, terminated=terminated)
    return [
        replace(
            step,
            observation=_observation(step.observation, rng, index),
            source=Source.HOLD if index == 1 and source != Source.DEMO else source,
            reward=float(np.float32(0.1 * index)),
            policy_version=1000 * number + index,
            monotonic_ns=2**40 + 100_000_001 * index,
            wall_ns=1_790_000_000_123_456_789 + 100_000_003 * index,
            final=None if step.final is None else _observation(step.final, rng, index + 1),
        )
        for index, step in enumerate(made)
    ]


def write(path: Path, episodes: Sequence[Sequence[Step]]) -> Path:
    """An experience file of these episodes."""
    with new_experience(path, CONTRACT) as new:
        for steps in episodes:
            new.append(steps, CONTRACT)
    return path


def read(path: Path) -> list[list[Step]]:
    """All that has an end, the rejected too."""
    with closing(ExperienceFile(path)) as file:
        return [file.episode(each) for each in file.choose(EpisodeSelection(rejected=True)).ids]


def as_bytes(episodes: Sequence[Sequence[Step]], session: Any = lambda session: session) -> list[bytes]:
    """Each step with all its frames, as one message, but for the judgement, which no dataset has. session: its name"""
    from policy.wire import pack_step

    packed = [pack_step(step) for steps in episodes for step in steps]
    for message in packed:
        message.id.session = session(message.id.session)
        message.ClearField("judgement")
        message.ClearField("clipped")
    return [message.SerializeToString(deterministic=True) for message in packed]


def _observation(made: Observation, rng: np.random.Generator, index: int) -> Observation:
    names = list(made.frames)
    return replace(
        made,
        frames={name: picture(0.3 * index + place) for place, name in enumerate(names)},
        sim_only=rng.uniform(-1, 1, made.sim_only.shape).astype(np.float32),
    )
