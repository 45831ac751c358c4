"""From an observation to an action: frozen encoder, reduction and the newest snapshot's networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from actor.shared_maps import SharedMaps
from policy.contract import Contract
from policy.encoder import Encoder
from policy.errors import EncoderError, SnapshotError
from policy.experience import Observation
from policy.features import Featurizer
from policy.network import PolicyNetwork, PolicySpec
from policy.preprocess import normalise
from policy.snapshot import unpack_snapshot


@dataclass(frozen=True, slots=True)
class _Live:
    """Networks and reduction of one snapshot: replaced as a whole, never changed."""

    data: bytes
    network: PolicyNetwork
    featurizer: Featurizer
    updates: int


class Policy:
    """Selects actions with the newest snapshot.

    `prepare` and `load_snapshot` may run in another thread than `select_action`: everything is built aside and one
    reference swapped, so a tick sees either the old policy or the new one.

    maps: of what it acts on, for whoever else looks at the same observations
    """

    def __init__(self, spec: PolicySpec, contract: Contract, encoder: Encoder) -> None:
        if (encoder.sha256, encoder.channels) != (spec.encoder.sha256, spec.encoder.channels):
            raise EncoderError(
                f"encoder {encoder.name!r} ({encoder.sha256[:12]}, {encoder.channels} channels), but the learner "
                f"trains on {spec.encoder.name!r} ({spec.encoder.sha256[:12]}, {spec.encoder.channels} channels); "
                f"set the same encoder on both ends"
            )
        self.spec = spec
        self._contract = contract
        self._encoder = encoder
        self.maps = SharedMaps(encoder, contract)
        self._actions = len(contract.action) - (spec.network.gripper == "discrete")
        self._prepared: _Live | None = None
        self._live: _Live | None = None

    @property
    def ready(self) -> bool:
        """True once a snapshot is loaded; before that there is nothing to act with."""
        return self._live is not None

    def prepare(self, data: bytes) -> None:
        """Unpack a snapshot ahead (5 ms), so that `load_snapshot` of the same bytes only swaps a reference.

        Raises `SnapshotError` unless the snapshot fits spec and contract exactly.
        """
        self._prepared = self._unpack(data)

    def load_snapshot(self, data: bytes) -> int:
        """Take over the policy in `data` from the next action on.

        Returns the learner's gradient updates up to it. Raises `SnapshotError`, and keeps the old policy, as `prepare`.
        """
        prepared = self._prepared
        live = prepared if prepared is not None and prepared.data is data else self._unpack(data)
        self._live = live
        return live.updates

    def select_action(
        self, observation: Observation, exploration: float, generator: torch.Generator
    ) -> NDArray[np.float32]:
        """The action for an observation: float32 (A,), -1..1.

        exploration: factor on the noise that is drawn with `generator`; 0 = the mode, as evaluation wants it
        """
        live = self._live
        if live is None:
            raise SnapshotError("no policy yet: no snapshot has arrived; wait for the learner before moving the arm")
        with torch.inference_mode():
            maps = live.featurizer.reduce(self.maps(observation)).cpu()  # (cameras, 1, channels, h, w)
            proprioception = normalise(observation.proprioception, self._contract.proprioception)
            noise = None if exploration == 0 else exploration * torch.randn(1, self._actions, generator=generator)
            action = live.network.act(maps, torch.from_numpy(proprioception)[None], noise)
        return action[0].numpy()

    def _unpack(self, data: bytes) -> _Live:
        snapshot = unpack_snapshot(data, self.spec, self._contract)
        featurizer = Featurizer(self._encoder, snapshot.reduction, self._contract)
        return _Live(data, snapshot.network, featurizer, snapshot.updates)
