"""Classifiers made by hand, for tests of whoever asks them: one that thinks the same of every picture, and its gate."""

from __future__ import annotations

import datetime as dt
import hashlib

import numpy as np

from policy.contract import Contract
from policy.encoder import Encoder
from reward_classifier.artefact import ClassifierFacts, DataFacts, SuccessClassifier, pack_weights
from reward_classifier.figures import Figures, frame_figures
from reward_classifier.gate import Gate, Limits
from reward_classifier.judge import Rule
from reward_classifier.model import make_spec, new_network
from reward_classifier.settings import ClassifierSettings, ModelSettings
from reward_classifier.threshold import Seen, episode_figures

# A jaw that is closed on the cube of the simulated desk, and lifted.
HELD_UP = Gate(
    limits=(
        Limits(dimension="joint.gripper", unit="rad", low=0.05, high=0.45),
        Limits(dimension="tool.z", unit="m", low=0.07, high=None),
    )
)


def made_classifier(contract: Contract, encoder: Encoder, gate: Gate, *, seed: int | None = None) -> SuccessClassifier:
    """One of random weights; without a seed it takes every picture for a success, so that the gate decides."""
    settings = ClassifierSettings(model=ModelSettings(spatial_features=2, width=4, hidden=4))
    spec = make_spec(contract, encoder, settings.model)
    network = new_network(spec, contract, (seed or 0,)).eval().requires_grad_(False)
    if seed is None:
        network.out.weight.zero_()
        network.out.bias.fill_(4.0)  # sigmoid(4) = 0.982
    rule = Rule(threshold=0.5, k=2, n=3, minimum_step=3, gate=gate)
    seen = [Seen(np.ones(5), np.ones(5, bool), np.zeros(5, bool), success) for success in (True, True)]
    frames = frame_figures(np.array([0.1, 0.9]), np.array([0, 1]), rule.threshold)
    facts = ClassifierFacts(
        created=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        weights_sha256=hashlib.sha256(pack_weights(network)).hexdigest(),
        spec=spec,
        contract=contract,
        temperature=1.0,
        rule=rule,
        data=DataFacts(
            hash="0" * 64, label_version=1, positives=1, negatives=1, episodes=(), folds=(),
            colours={camera.name: (0.0, 0.0, 0.0) for camera in contract.cameras},
        ),
        settings=settings,
        updates=0,
        train_s=0.0,
        figures=Figures(frames=frames, episodes=episode_figures(seen, rule), mistakes=()),
    )  # fmt: skip
    return SuccessClassifier(facts, network)
