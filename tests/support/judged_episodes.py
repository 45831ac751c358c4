"""Episodes of a desk where a lamp goes on when the task is done, for tests of what judges from pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demos.experience_file import new_experience
from policy.contract import Contract, Dimension
from policy.experience import Observation, Source, Step, StepId
from policy.experience_file import EpisodeOutcome
from policy.fakes import fake_contract

SESSION = "cd" * 16
SIZE_PX = 32
DONE_STEPS = 4  # for so many frames before its end an episode shows that it is done
HELD_RAD, CLOSED_RAD, LIFTED_M, LOW_M = 0.3, -0.1, 0.09, 0.02


def contract(control_hz: float = 10.0) -> Contract:
    """Two small cameras, a jaw and a height."""
    fake = fake_contract(cameras=2, proprioception=1, size_px=SIZE_PX)
    body = (
        Dimension(name="joint.gripper", unit="rad", low=-0.2, high=1.1),
        Dimension(name="tool.z", unit="m", low=0.0, high=0.2),
    )
    return fake.model_copy(update={"proprioception": body, "control_hz": control_hz})


def outcome(index: int = 0, steps: int = 10, *, success: bool = True, session: str = SESSION) -> EpisodeOutcome:
    """What an episode has come to, in row `index` of some experience."""
    return EpisodeOutcome(index, session, index, steps, demo_steps=steps, human_steps=0, success=success)


def episode(index: int, steps: int = 20, *, success: bool = True, seed: int = 0, session: str = SESSION) -> list[Step]:
    """A jaw that closes on something and rises; the lamp goes on in the end where it succeeds.

    One that fails has closed on nothing, and its lamp stays off.
    """
    within, rng = contract(), np.random.default_rng([seed, index])
    seen = [_seen(rng, step / steps, done=success and step > steps - DONE_STEPS, holds=success) for step in
            range(steps + 1)]  # fmt: skip
    return [
        Step(
            id=StepId(session, index, number),
            observation=seen[number],
            action=np.zeros(len(within.action), np.float32),
            source=Source.DEMO,
            reward=float(success and number == steps - 1),
            terminated=success and number == steps - 1,
            truncated=not success and number == steps - 1,
            policy_version=0,
            monotonic_ns=number * 100_000_000,
            wall_ns=number * 100_000_000,
            final=seen[steps] if number == steps - 1 else None,
        )
        for number in range(steps)
    ]


def write(path: Path, successes: int, failures: int, seed: int = 0, session: str = SESSION) -> Path:
    """An experience file: first the episodes that succeed."""
    within = contract()
    with new_experience(path, within) as experience:
        for index in range(successes + failures):
            experience.append(episode(index, success=index < successes, seed=seed, session=session), within)
    return path


def _seen(rng: np.random.Generator, along: float, *, done: bool, holds: bool) -> Observation:
    body = [HELD_RAD if holds else CLOSED_RAD, LOW_M + along * (LIFTED_M - LOW_M)]
    frames = {f"camera{camera}": _picture(rng, lamp=done) for camera in range(2)}
    return Observation(frames, np.array(body, np.float32), np.zeros(0, np.float32))


def _picture(rng: np.random.Generator, *, lamp: bool) -> NDArray[np.uint8]:
    picture = rng.integers(90, 130, (SIZE_PX, SIZE_PX, 3), np.uint8)
    if lamp:
        picture[8:24, 8:24] = (250, 60, 40)
    return picture
