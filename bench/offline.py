"""Learning offline: the episodes of a store, some of them held out, and learners on the same experience.

Everything goes the trainer's own way: reduction fitted on demonstrations, `StepEncoder`, `Replay`, `Sac`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from learner.batch import Batch
from learner.ingest import fit_on_demos
from learner.losses import bc_loss, critic_loss, critic_target
from learner.replay import Replay
from learner.replay_layout import EncodedObservation, EncodedStep, make_layout
from learner.sac import Sac
from learner.settings import LearnerSettings
from learner.step_encoder import StepEncoder
from learner.store_reader import EpisodeRecord, StoreReader
from policy.contract import Contract
from policy.encoder import Encoder
from policy.errors import NudgeError
from policy.experience import Source, Step
from policy.features import Featurizer
from policy.network import make_spec

HELD_OUT_EVERY = 5  # episodes, demonstrations and others apart
PAGE = 64


class OfflineError(NudgeError):
    """A store with too little in it to learn from and to hold out."""


class Recorded:
    """Steps in memory, as `learner.ingest.StepSource` serves them."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps

    def read_after(self, cursor: int, limit: int) -> Sequence[tuple[int, Step]]:
        """Steps with their cursors, which count from 1."""
        return [(cursor + i + 1, step) for i, step in enumerate(self.steps[cursor : cursor + limit])]

    def demo_cursors(self) -> list[int]:
        """Those of demonstrated steps."""
        return [cursor for cursor, step in enumerate(self.steps, start=1) if step.source is Source.DEMO]

    def counts(self) -> Counts:
        """All that is there."""
        return Counts(len(self.steps), 0)


@dataclass(frozen=True)
class Counts:
    """How much there is."""

    env_steps: int
    demo_episodes: int


@dataclass(frozen=True)
class Experience:
    """Complete episodes of one store, in the order of the store."""

    contract: Contract
    learned: Recorded
    held_out: Recorded


def read_experience(path: Path, transitions: int) -> Experience:
    """Every fifth episode is held out; of the others all demonstrations, and episodes evenly over the run.

    transitions: about so many to learn from; a quarter as many held out
    """
    with StoreReader(path) as store:
        episodes = [episode for episode in store.episodes() if episode.complete]
        kinds = [[episode for episode in episodes if episode.kind == kind] for kind in ("demo", "online")]
        held_out = [episode for kind in kinds for episode in kind[::HELD_OUT_EVERY]]
        demos, online = ([e for i, e in enumerate(kind) if i % HELD_OUT_EVERY] for kind in kinds)
        if not demos or not online:
            raise OfflineError(
                f"{path}: {len(kinds[0])} demonstrations and {len(kinds[1])} other episodes are complete; it takes two "
                f"of each to learn from some and hold out others"
            )
        room = transitions - sum(episode.steps for episode in demos)
        learned = _ids([*demos, *_evenly(online, room)])
        apart = _ids(_evenly(held_out, transitions // 4))
        steps = list(_all_steps(store))
        return Experience(
            store.contract,
            Recorded([step for step in steps if (step.id.session, step.id.episode) in learned]),
            Recorded([step for step in steps if (step.id.session, step.id.episode) in apart]),
        )


def _evenly(episodes: Sequence[EpisodeRecord], steps: int) -> list[EpisodeRecord]:
    """Episodes from all over the list, of about so many steps together."""
    share = min(1.0, max(0, steps) / sum(episode.steps for episode in episodes))
    chosen = np.linspace(0, len(episodes) - 1, max(1, round(share * len(episodes)))).astype(int)
    return [episodes[i] for i in chosen]


def _ids(episodes: Iterable[EpisodeRecord]) -> set[tuple[str, int]]:
    return {(episode.session, episode.index) for episode in episodes}


def _all_steps(store: StoreReader) -> Iterable[Step]:
    cursor = 0
    while page := store.read_after(cursor, PAGE):
        yield from (step for _, step in page)
        cursor = page[-1][0]


class Offline:
    """Learners of several kinds on the same experience. settings: of the learner, but for its augmentation."""

    def __init__(self, experience: Experience, settings: LearnerSettings, encoder: Encoder, folder: Path) -> None:
        self.contract = experience.contract
        self.settings = settings
        self.encoder = encoder
        self.reduction = fit_on_demos(experience.learned, encoder, self.contract, settings.features, 0)
        self._experience = experience
        self._folder = folder
        self._featurizer = Featurizer(encoder, self.reduction, self.contract)

    def encode(
        self, settings: LearnerSettings, seed: int, *, held_out: bool = False
    ) -> tuple[list[EncodedStep], float]:
        """All steps as replay stores them, and the processor time of one [s]."""
        source = self._experience.held_out if held_out else self._experience.learned
        encoder = StepEncoder(self._featurizer, settings.features, self.contract, seed)
        start_s = time.thread_time()
        encoded = [encoder.encode(cursor, step) for cursor, step in source.read_after(0, len(source.steps))]
        return encoded, (time.thread_time() - start_s) / len(encoded)

    def replay(self, settings: LearnerSettings, steps: Iterable[EncodedStep], name: str) -> Replay:
        """A replay with these steps in it."""
        layout = make_layout(self._featurizer, settings.features, self.contract)
        replay = Replay(self._folder / name, layout, {}, 256)
        for step in steps:
            replay.add(step)
        return replay

    def learner(self, settings: LearnerSettings, seed: int) -> Sac:
        """A learner that knows nothing yet."""
        spec = make_spec(self.contract, self.encoder, settings.features.reduced_channels, settings.network)
        return Sac(spec, self.contract, settings.sac, seed, torch.device("cpu"))


def only_views(steps: Iterable[EncodedStep], views: slice) -> list[EncodedStep]:
    """The same steps with some of their views."""

    def less(seen: EncodedObservation) -> EncodedObservation:
        return dataclasses.replace(seen, images=seen.images[:, views])

    return [
        dataclasses.replace(
            step, observation=less(step.observation), final=None if step.final is None else less(step.final)
        )
        for step in steps
    ]


def sample(replay: Replay, settings: LearnerSettings, size: int, rng: np.random.Generator) -> Batch:
    """Draw as the trainer does."""
    chosen = settings.sac
    return replay.sample(size, chosen.demo_fraction, chosen.n_step, chosen.discount, rng)


@torch.no_grad()
def held_out_losses(sac: Sac, batch: Batch) -> Mapping[str, float]:
    """Squared TD error and squared error to demonstrated actions; the policy's mode stands for its samples."""
    maps, following = batch.maps.float(), (batch.next_maps.float(), batch.next_proprioception)
    next_mean, _ = sac.policy.actor(sac.policy.trunk(*following))
    next_q = sac.critic_target.ensemble(sac.critic_target.trunk(*following), torch.tanh(next_mean))
    target = critic_target(batch.reward * sac.settings.reward_scale, batch.discount, next_q)
    mean, _ = sac.policy.actor(sac.policy.trunk(maps, batch.proprioception))
    action = batch.action[:, : mean.shape[-1]]
    q = sac.critic.ensemble(sac.critic.trunk(maps, batch.proprioception), action)
    demo = bc_loss(mean[: batch.demo], action[: batch.demo])
    return {"td_error": float(critic_loss(q, target)), "bc_error": float(demo)}
