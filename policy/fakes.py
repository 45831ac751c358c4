"""Experience made up from a contract, for tests and benchmarks: right in shape, range and order, without meaning."""

from __future__ import annotations

import numpy as np

from policy.contract import ActionDimension, Camera, Contract, Crop, Dimension
from policy.experience import Clipped, Judgement, Observation, Reason, Source, Step, StepId


def fake_contract(cameras: int = 2, proprioception: int = 10, size_px: int = 128) -> Contract:
    """A contract with as many cameras and joint angles, and the four actions x, y, z and gripper."""
    crop = Crop(top=0, left=0, height=size_px, width=size_px)
    return Contract(
        cameras=tuple(
            Camera(name=f"camera{i}", native_height_px=size_px, native_width_px=size_px, crop=crop, size_px=size_px)
            for i in range(cameras)
        ),
        proprioception=tuple(Dimension(name=f"joint{i}", unit="rad", low=-2, high=2) for i in range(proprioception)),
        action=(
            *(ActionDimension(name=f"delta.{axis}", unit="m", scale=0.02) for axis in "xyz"),
            ActionDimension(name="gripper", unit="rad", scale=0.4),
        ),
        control_hz=10.0,
    )


def fake_observation(contract: Contract, rng: np.random.Generator) -> Observation:
    """Frames of noise, proprioception uniform in its range."""
    low = np.array([dim.low for dim in contract.proprioception], np.float32)
    high = np.array([dim.high for dim in contract.proprioception], np.float32)
    return Observation(
        frames={
            camera.name: rng.integers(0, 256, (camera.size_px, camera.size_px, 3), np.uint8)
            for camera in contract.cameras
        },
        proprioception=rng.uniform(low, high).astype(np.float32),
        sim_only=np.zeros(len(contract.sim_only), np.float32),
    )


def fake_episode(
    contract: Contract,
    steps: int,
    rng: np.random.Generator,
    *,
    session: str = "0" * 32,
    episode: int = 0,
    source: Source = Source.DEMO,
    terminated: bool = True,
) -> list[Step]:
    """A complete episode: reward 1 on a terminated last step, else truncated; actions uniform in -1..1.

    Every second step has a judgement, every third one says what was clipped.
    """
    return [
        Step(
            id=StepId(session, episode, index),
            observation=fake_observation(contract, rng),
            action=rng.uniform(-1, 1, len(contract.action)).astype(np.float32),
            source=source,
            reward=float(terminated and index == steps - 1),
            terminated=terminated and index == steps - 1,
            truncated=not terminated and index == steps - 1,
            policy_version=0,
            monotonic_ns=index * 100_000_000,
            wall_ns=index * 100_000_000,
            final=fake_observation(contract, rng) if index == steps - 1 else None,
            judgement=Judgement(index / steps, Reason.UNLIKELY) if index % 2 else None,
            clipped=None if index % 3 else Clipped(tool=index % 2 == 0, joints=True),
        )
        for index in range(steps)
    ]
