"""Nudge's learner as its trainer runs it, on synthetic experience, without a server and without any network.

The encoder has ResNet10's full width and random weights, saved to a temporary folder and loaded from there: what an
update costs does not depend on the weights. Steps take the trainer's own way into replay: reduction fitted on
demonstrations, `StepEncoder`, `Replay.add`.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from console.presets.load import load_preset
from console.settings import Settings
from learner.ingest import fit_on_demos
from learner.replay import EncodedStep, Replay
from learner.replay_layout import make_layout
from learner.sac import Sac, use_matmul
from learner.settings import LearnerSettings
from learner.step_encoder import StepEncoder
from learner.threads import ThreadChoice, Threads
from policy.contract import ActionDimension, Camera, Contract, Crop, Dimension
from policy.encoder import Encoder, ResNet10Shape, load_encoder, random_network, save_network
from policy.experience import Observation, Source, Step, StepId
from policy.features import Featurizer
from policy.network import make_spec
from policy.settings import EncoderSettings

FRAME_PX = 128
PROPRIOCEPTION_DIMS = 13
EPISODE_STEPS = 20
TRANSITIONS = 2000  # of which 2 * EPISODE_STEPS are really encoded, and repeated


@dataclass(frozen=True)
class NudgeLearner:
    """One learner of ours, ready to train.

    update: sample a batch and learn from it (critics, grasp critic, targets; actor and temperature every
        `settings.sac.actor_every`-th time)
    threads: torch's, as chosen by the trainer's own trial
    close: delete the replay's files
    encode_s: time to encode all views of one step, once, when it arrives [s]
    replay_bytes_per_transition: what the replay's files hold of one transition [bytes]
    """

    settings: LearnerSettings
    sac: Sac
    update: Callable[[], None]
    threads: int
    close: Callable[[], None]
    encode_s: float
    replay_bytes_per_transition: int


def preset_settings(preset: str) -> LearnerSettings:
    """The learner's settings in a preset that ships."""
    return load_preset(Settings, preset).learner


def build_trainer(
    preset: Literal["fast", "paper"],
    batch_size: int,
    cameras: int,
    seed: int,
    *,
    transitions: int = TRANSITIONS,
    threads: Threads | None = None,
) -> NudgeLearner:
    """Build the learner of a preset and fill its replay, half of it with demonstrations.

    batch_size: transitions an update; the presets' other settings stay as they are
    threads: torch's; None is what the preset says
    """
    settings = preset_settings(preset)
    settings = settings.model_copy(update={"sac": settings.sac.model_copy(update={"batch_size": batch_size})})
    torch.set_flush_denormal(True)  # this and the next line as `learner.trainer.Trainer.run` does
    use_matmul(settings.sac.matmul, torch.device("cpu"))
    contract, rng = _contract(cameras), np.random.default_rng(seed)
    steps, encoder = SyntheticSteps(contract, rng), full_width_encoder(seed)
    featurizer = Featurizer(encoder, fit_on_demos(steps, encoder, contract, settings.features, seed), contract)
    encoded, encode_s = _encoded(steps, StepEncoder(featurizer, settings.features, contract, seed))
    folder = tempfile.TemporaryDirectory(prefix="nudge-bench-")
    layout = make_layout(featurizer, settings.features, contract)
    replay = Replay(Path(folder.name), layout, {"reduction": featurizer.reduction_hash}, 2 * transitions)
    _fill(replay, encoded, transitions)
    spec = make_spec(contract, encoder, settings.features.reduced_channels, settings.network)
    sac = Sac(spec, contract, settings.sac, seed, torch.device("cpu"))

    choice = ThreadChoice(settings.trainer.threads if threads is None else threads, torch.device("cpu"))

    def update() -> None:
        chosen = settings.sac
        with choice.update():
            sac.update(replay.sample(batch_size, chosen.demo_fraction, chosen.n_step, chosen.discount, rng))

    while choice.trying:
        update()
    return NudgeLearner(settings, sac, update, choice.chosen, folder.cleanup, encode_s, layout.slot_bytes)


def _contract(cameras: int) -> Contract:
    crop = Crop(top=0, left=0, height=FRAME_PX, width=FRAME_PX)
    body = range(PROPRIOCEPTION_DIMS)
    return Contract(
        cameras=tuple(
            Camera(name=f"camera{i}", native_height_px=FRAME_PX, native_width_px=FRAME_PX, crop=crop, size_px=FRAME_PX)
            for i in range(cameras)
        ),
        proprioception=tuple(Dimension(name=f"dimension{i}", unit="1", low=-1.0, high=1.0) for i in body),
        action=tuple(ActionDimension(name=name, unit="1", scale=1.0) for name in ("x", "y", "z", "gripper")),
        control_hz=10.0,
    )


def full_width_encoder(seed: int) -> Encoder:
    """3x128x128 -> 512x4x4, loaded as any encoder is."""
    with tempfile.TemporaryDirectory() as folder:
        save_network(random_network(seed, ResNet10Shape()), Path(folder))
        return load_encoder(EncoderSettings(source=folder))


class SyntheticSteps:
    """An experience store in memory: one demonstration and one episode of the policy, frames of noise."""

    def __init__(self, contract: Contract, rng: np.random.Generator) -> None:
        self._steps = [_step(contract, rng, episode, step) for episode in range(2) for step in range(EPISODE_STEPS)]

    def read_after(self, cursor: int, limit: int) -> Sequence[tuple[int, Step]]:
        """Steps with their cursors, which count from 1."""
        return list(enumerate(self._steps, start=1))[cursor : cursor + limit]

    def demo_cursors(self) -> list[int]:
        """Those of demonstrated steps."""
        return [cursor for cursor, step in enumerate(self._steps, start=1) if step.source is Source.DEMO]

    def counts(self) -> Counts:
        """All that is there."""
        return Counts(env_steps=len(self._steps), demo_episodes=1)


@dataclass(frozen=True)
class Counts:
    """How much a store holds."""

    env_steps: int
    demo_episodes: int


def _step(contract: Contract, rng: np.random.Generator, episode: int, step: int) -> Step:
    def observation() -> Observation:
        frames = {c.name: rng.integers(0, 256, (FRAME_PX, FRAME_PX, 3), dtype=np.uint8) for c in contract.cameras}
        body = rng.uniform(-1, 1, len(contract.proprioception)).astype(np.float32)
        return Observation(frames, body, np.empty(0, np.float32))

    last = step == EPISODE_STEPS - 1
    return Step(
        id=StepId("bench", episode, step),
        observation=observation(),
        action=rng.uniform(-1, 1, len(contract.action)).astype(np.float32),
        source=Source.POLICY if episode else Source.DEMO,
        reward=float(last),
        terminated=last,
        truncated=False,
        policy_version=0,
        monotonic_ns=0,
        wall_ns=0,
        final=observation() if last else None,
    )


def _encoded(steps: SyntheticSteps, encoder: StepEncoder) -> tuple[list[EncodedStep], float]:
    """Every step encoded, and the median time of one."""
    encoded, times_s = [], []
    for cursor, step in steps.read_after(0, steps.counts().env_steps):
        start_s = time.perf_counter()
        encoded.append(encoder.encode(cursor, step))
        times_s.append(time.perf_counter() - start_s)
    return encoded, statistics.median(times_s)


def _fill(replay: Replay, encoded: list[EncodedStep], transitions: int) -> None:
    """Add the encoded episodes again and again, each time as new ones."""
    for index in range(transitions):
        step = encoded[index % len(encoded)]
        fresh = StepId(step.id.session, index // EPISODE_STEPS, step.id.step)
        replay.add(dataclasses.replace(step, cursor=index + 1, id=fresh))
