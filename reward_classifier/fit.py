"""Fitting a network: balanced batches of cached views, and held-out episodes that say when to stop."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from policy.contract import Contract
from policy.network import float_maps
from policy.preprocess import normalise
from reward_classifier.features import Features
from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable
from reward_classifier.model import ClassifierSpec, SuccessNetwork, new_network
from reward_classifier.settings import FitSettings
from reward_classifier.split import Rows

PAGE = 256  # frames looked at at once


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A network as it was when held-out episodes liked it best, after so many updates."""

    network: SuccessNetwork
    updates: int


class Teacher:
    """Everything that networks for the same frames share."""

    def __init__(
        self, table: FrameTable, features: Features, spec: ClassifierSpec, contract: Contract, settings: FitSettings
    ) -> None:
        self.table, self.features = table, features
        self._spec, self._contract, self._settings = spec, contract, settings
        self._body = torch.from_numpy(normalise(table.proprioception, contract.proprioception))  # (N, P)

    def fit(self, teaching: Rows, stopping: Rows | None, updates: int, seed: tuple[int, ...]) -> Fitted:
        """A network for the labelled frames among `teaching`; the same for the same seed on the same machine.

        stopping: frames of episodes that are not taught; None makes exactly `updates`
        updates: at most so many
        """
        network = new_network(self._spec, self._contract, seed)
        settings, rng = self._settings, np.random.default_rng(seed)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        classes = self._places(teaching)
        best, best_loss, best_updates, worse = copy.deepcopy(network.state_dict()), np.inf, 0, 0
        for update in range(1, updates + 1):
            self._update(network, optimiser, classes, rng)
            if stopping is None or update % settings.check_every:
                continue
            loss = self._held_out_loss(network, stopping)
            if loss < best_loss:
                best, best_loss, best_updates, worse = copy.deepcopy(network.state_dict()), loss, update, 0
            else:
                worse += 1
                if worse >= settings.patience:
                    break
        if stopping is not None and best_updates:
            network.load_state_dict(best)
        return Fitted(network.eval(), best_updates or updates)

    def logits(self, network: SuccessNetwork, rows: Rows) -> NDArray[np.float64]:
        """What a network says of the frames as they are: (len(rows),)."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(rows), PAGE):
                page = rows[start : start + PAGE]
                maps = _chosen(self.features.plain[page], network)
                found.append(network(maps, self._body[torch.from_numpy(page)]))
        return torch.cat(found).double().numpy() if found else np.zeros(0)

    def _update(
        self,
        network: SuccessNetwork,
        optimiser: torch.optim.Optimizer,
        classes: tuple[NDArray[np.int64], NDArray[np.int64]],
        rng: np.random.Generator,
    ) -> None:
        half = self._settings.batch_size // 2
        places = np.concatenate([rng.choice(members, half) for members in classes])
        views = rng.integers(self.features.views.shape[1], size=len(places))
        maps = _chosen(self.features.views[places, views], network)
        body = self._body[torch.from_numpy(self.features.rows[places])]
        words = None
        if network.heads.dropped is not None:
            words = torch.from_numpy(rng.integers(-32768, 32768, (*network.heads.dropped, len(places)), np.int16))
        wanted = torch.cat([torch.ones(half), torch.zeros(half)])
        loss = F.binary_cross_entropy_with_logits(network(maps, body, words), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def _places(self, teaching: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the views of positive and of negative frames stand."""
        taught = np.isin(self.features.rows, teaching)
        labels = self.table.label[self.features.rows]
        return np.flatnonzero(taught & (labels == POSITIVE)), np.flatnonzero(taught & (labels == NEGATIVE))

    def _held_out_loss(self, network: SuccessNetwork, rows: Rows) -> float:
        rows = rows[self.table.label[rows] >= 0]
        return balanced_loss(self.logits(network, rows), self.table.label[rows])


def balanced_loss(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean negative log likelihood of either class, halved and added: classes count alike, however rare.

    logits, labels: (N,); labels are 0 or 1
    """
    losses = np.logaddexp(0, np.where(labels == POSITIVE, -logits, logits))
    means = [losses[labels == label].mean() for label in (NEGATIVE, POSITIVE) if (labels == label).any()]
    return float(np.mean(means))


def _chosen(maps: NDArray[np.float16], network: SuccessNetwork) -> Tensor:
    """(B, cameras, channels, h, w) as stored -> float32 (chosen cameras, B, channels, h, w)."""
    return float_maps(torch.from_numpy(np.asarray(maps[:, network.cameras])).transpose(0, 1))
