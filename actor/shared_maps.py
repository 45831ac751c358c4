"""Feature maps of what was seen, encoded once for all who ask: the policy that acts on it, and the judge of it."""

from __future__ import annotations

from torch import Tensor

from policy.contract import Contract
from policy.encoder import Encoder
from policy.experience import Observation
from policy.features import Featurizer


class SharedMaps:
    """Remembers the maps of the newest observation. One thread; nobody changes an observation's frames.

    The judge looks at what an action has led to, and at the next tick the policy looks at the same observation: both
    together cost one encoding, which is nearly all that either costs.
    """

    def __init__(self, encoder: Encoder, contract: Contract) -> None:
        self.encoder = encoder
        self._featurizer = Featurizer(encoder, None, contract)
        self._newest: tuple[Observation, Tensor] | None = None

    def __call__(self, observation: Observation) -> Tensor:
        """float32 (cameras, 1, channels, h, w) as the encoder gives them, not reduced, on its device."""
        if self._newest is None or self._newest[0] is not observation:
            frames = self._featurizer.stack(observation.frames)  # (cameras, H, W, 3)
            self._newest = observation, self._featurizer.maps(frames[:, None])
        return self._newest[1]
