"""Behaviour cloning: the actor of a policy alone, fitted to what the operator did. The bar that learning has to beat.

The same encoder, reduction, stored views and networks as in training; no critic, no reward, no further experience.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from learner.ingest import fit_on_observations
from learner.inputs import random_words
from learner.losses import bc_loss
from learner.step_encoder import StepEncoder
from policy.contract import Contract, Frozen
from policy.experience import Source, Step, rests
from policy.features import FeatureReduction, Featurizer
from policy.network import PolicyNetwork, PolicySpec, float_maps
from policy.settings import FeatureSettings

OPERATORS = (Source.DEMO, Source.HUMAN)

Watch = Callable[[Sequence[Sequence[Step]]], Iterable[Sequence[Step]]]


class CloningSettings(Frozen):
    """How behaviour is cloned."""

    batch_size: int = Field(default=128, ge=1, description="Steps per update")
    learning_rate: float = Field(default=7e-4, gt=0, description="Learning rate (AdamW)")
    weight_decay: float = Field(default=1e-4, ge=0, description="Decay of the weights (AdamW)")
    held_out: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the episodes that are not learned from, but tell when to stop"
    )
    largest_epochs: int = Field(default=300, ge=1, description="Most passes over all steps")
    patience_epochs: int = Field(
        default=40, ge=1, description="Passes without a lower error on the held-out episodes until it stops"
    )


@dataclass(frozen=True, slots=True)
class ClonedSteps:
    """What the operator saw and did, in N steps.

    maps: float16 (N, cameras, views, channels, h, w); the first view is the unshifted one
    proprioception: float32 (N, P), normalised; action: float32 (N, A)
    """

    maps: NDArray[np.float16]
    proprioception: NDArray[np.float32]
    action: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True, slots=True)
class Epoch:
    """Mean error of a pass: over what is learned from, with dropout and shifted views, and over what is held out."""

    training: float
    held_out: float


@dataclass(frozen=True, slots=True)
class Clone:
    """The network as it was when the held-out error was lowest.

    updates: gradient updates up to then; history: all passes; best: which of them that was
    """

    network: PolicyNetwork
    updates: int
    history: tuple[Epoch, ...]
    best: int


def split(episodes: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Episodes to learn from, and held out, each in its order; at least one of each where there are two."""
    drawn = np.random.default_rng([seed, len(episodes)]).permutation(len(episodes))
    count = min(max(1, round(share * len(episodes))), len(episodes) - 1)
    held = {int(place) for place in drawn[:count]}
    places = range(len(episodes))
    return [episodes[place] for place in places if place not in held], [episodes[place] for place in sorted(held)]


def fit_on(
    episodes: Iterable[Sequence[Step]], featurizer: Featurizer, settings: FeatureSettings, seed: int
) -> FeatureReduction | None:
    """The reduction that `settings` ask for, fitted on at most `fit_frames` of the steps; None for none.

    featurizer: one that does not reduce
    """
    if settings.reduced_channels is None:
        return None
    steps = [step for steps in episodes for step in steps]
    chosen = np.random.default_rng([seed, settings.fit_frames]).permutation(len(steps))[: settings.fit_frames]
    observations = [steps[place].observation for place in sorted(chosen)]
    return fit_on_observations(observations, featurizer, settings.reduced_channels, settings.whiten_softness)


def encode(episodes: Sequence[Sequence[Step]], encoder: StepEncoder, watch: Watch = iter) -> ClonedSteps:
    """The operator's steps of the episodes, with the views of their frames as replay keeps them.

    watch: gets the episodes and gives them one by one, to show progress
    """
    cursor, encoded = 0, []
    for steps in watch(episodes):
        for step in steps:
            cursor += 1
            if step.source in OPERATORS and not rests(step.source, step.action, step.reward):
                encoded.append(encoder.encode(cursor, step))
    return ClonedSteps(
        np.stack([step.observation.images for step in encoded]),
        np.stack([step.observation.proprioception for step in encoded]),
        np.stack([step.action for step in encoded]),
    )


def clone(
    spec: PolicySpec,
    contract: Contract,
    training: ClonedSteps,
    held_out: ClonedSteps,
    settings: CloningSettings,
    seed: int,
    device: torch.device,
    tell: Callable[[Epoch], None] = lambda _: None,
) -> Clone:
    """Fit the network until the held-out error has not fallen for a while; on a CPU a seed gives the same numbers.

    tell: called after each pass
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PolicyNetwork(spec, contract).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    rng, generator = np.random.default_rng([seed, 1]), torch.Generator(device).manual_seed(seed)
    history: list[Epoch] = []
    best, best_state, updates, best_updates = -1, network.state_dict(), 0, 0
    while len(history) < settings.largest_epochs and len(history) - best <= settings.patience_epochs:
        order = rng.permutation(len(training))
        errors = []
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            loss = cloning_loss(network, *_batch(training, rows, rng, device), generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            errors.append((len(rows), loss.item()))
        updates += len(errors)
        history.append(Epoch(_mean(errors), held_out_error(network, held_out, settings.batch_size)))
        tell(history[-1])
        if best < 0 or history[-1].held_out < history[best].held_out:
            best, best_state, best_updates = len(history) - 1, copy.deepcopy(network.state_dict()), updates
    network.load_state_dict(best_state)
    return Clone(network.cpu().eval(), best_updates, tuple(history), best)


@torch.no_grad()
def held_out_error(network: PolicyNetwork, steps: ClonedSteps, batch_size: int) -> float:
    """Mean error over all steps, seen unshifted, without dropout."""
    device, errors = next(network.parameters()).device, []
    for start in range(0, len(steps), batch_size):
        rows = np.arange(start, min(start + batch_size, len(steps)))
        errors.append((len(rows), cloning_loss(network, *_batch(steps, rows, None, device), None).item()))
    return _mean(errors)


def cloning_loss(
    network: PolicyNetwork, maps: Tensor, proprioception: Tensor, action: Tensor, generator: torch.Generator | None
) -> Tensor:
    """mean_b sum_i (tanh(mean_i) - a_i)^2, and the cross-entropy of the gripper's three commands where it is discrete.

    maps: float32 (cameras, B, channels, h, w); proprioception: (B, P), normalised; action: (B, A)
    generator: what dropout is drawn from; None switches it off
    """
    mean, _ = network.actor(network.trunk(maps, proprioception, _words(network, len(action), generator)))
    if network.grasp is None:
        return bc_loss(mean, action)
    trunk = network.trunk if network.grasp_trunk is None else network.grasp_trunk
    values = network.grasp(trunk(maps, proprioception, _words(network, len(action), generator)))
    return bc_loss(mean, action[:, :-1]) + F.cross_entropy(values, action[:, -1].round().long() + 1)


def _words(network: PolicyNetwork, batch: int, generator: torch.Generator | None) -> Tensor | None:
    dropped = network.trunk.heads.dropped
    if generator is None or dropped is None:
        return None
    return random_words((*dropped, batch), generator, generator.device)


def _batch(
    steps: ClonedSteps, rows: NDArray[np.int64], rng: np.random.Generator | None, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, proprioception and action of some steps. rng: draws a view of each camera; None takes the unshifted one."""
    cameras, views = steps.maps.shape[1:3]
    shape = len(rows), cameras
    view = np.zeros(shape, np.int64) if rng is None else rng.integers(views, size=shape)
    maps = steps.maps[rows[:, None], np.arange(cameras), view]  # (B, cameras, channels, h, w)
    return (
        float_maps(torch.from_numpy(maps).to(device).transpose(0, 1)),
        torch.from_numpy(steps.proprioception[rows]).to(device),
        torch.from_numpy(steps.action[rows]).to(device),
    )


def _mean(errors: Sequence[tuple[int, float]]) -> float:
    """Of (count, mean of as many)."""
    return sum(count * error for count, error in errors) / sum(count for count, _ in errors)
