"""A classifier as a folder, and back: nothing in it is believed.

classifiers/lift-1/
    classifier.safetensors    the trainable tensors
    classifier.json           `ClassifierFacts`
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from policy.contract import Contract, Frozen
from policy.durable import appearing_folder
from policy.encoder import Encoder
from policy.preprocess import normalise
from reward_classifier.calibration import probability_of
from reward_classifier.errors import ArtefactError
from reward_classifier.figures import Figures
from reward_classifier.judge import Judge, Rule
from reward_classifier.model import ClassifierSpec, SuccessNetwork
from reward_classifier.settings import ClassifierSettings

WEIGHTS_FILE, FACTS_FILE = "classifier.safetensors", "classifier.json"
HASH = r"^[0-9a-f]{64}$"
_CURE = "take another copy of it, or train it anew"


class DataFacts(Frozen):
    """What it learned from."""

    hash: str = Field(pattern=HASH, description="Of all frames and their labels.")
    label_version: int
    positives: int
    negatives: int
    episodes: tuple[str, ...] = Field(description="Digest of each episode: none of them may judge it later.")
    folds: tuple[int, ...] = Field(description="In which turn of the cross-validation each was predicted.")
    out_of_fold: tuple[tuple[float, ...], ...] = Field(
        default=(), description="Probability of each frame of each episode, by a network that had not seen the episode."
    )
    colours: dict[str, tuple[float, float, float]] = Field(description="Mean red, green, blue of each camera, 0..255.")


class ClassifierFacts(Frozen):
    """What `classifier.json` says."""

    format: Literal[1] = 1
    created: AwareDatetime
    weights_sha256: str = Field(pattern=HASH)
    spec: ClassifierSpec
    contract: Contract
    temperature: float = Field(gt=0)
    rule: Rule
    data: DataFacts
    settings: ClassifierSettings
    updates: int
    train_s: float
    figures: Figures = Field(description="On episodes that the networks of the cross-validation had not seen.")

    @property
    def name(self) -> str:
        """On the wire and in the store: a hash of all that decides, so that another threshold is another judge."""
        decides = {
            "contract": self.spec.contract_hash,
            "weights": self.weights_sha256,
            "temperature": self.temperature,
            "rule": self.rule.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class SuccessClassifier:
    """A trained classifier. `probability` may be called from one thread at a time."""

    facts: ClassifierFacts
    network: SuccessNetwork

    def probability(self, maps: Tensor, proprioception: NDArray[np.float32]) -> NDArray[np.float64]:
        """That each observation shows success: (B,) of 0..1.

        maps: float32 (cameras, B, channels, h, w) as the encoder gives them, of all the contract's cameras, not reduced
        proprioception: (B, P), not normalised
        """
        body = torch.from_numpy(normalise(proprioception, self.facts.contract.proprioception))
        with torch.inference_mode():
            logits = self.network(maps[self.network.cameras], body)
        return probability_of(logits.double().numpy(), self.facts.temperature)

    def judge(self) -> Judge:
        """A judge by this classifier's rule."""
        return Judge(self.facts.rule, self.facts.contract)


def save_classifier(classifier: SuccessClassifier, folder: Path) -> None:
    """Write a classifier; it appears whole or not at all. Raise `ArtefactError` where there is such a folder."""
    if folder.exists():
        raise ArtefactError(f"{folder}: there is such a folder, and a classifier never replaces one; give another path")
    try:
        with appearing_folder(folder) as partial:
            partial.mkdir(parents=True)
            (partial / WEIGHTS_FILE).write_bytes(pack_weights(classifier.network))
            (partial / FACTS_FILE).write_text(classifier.facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ArtefactError(f"{folder}: {error}; nothing was written; make room, or give another path") from error


def open_classifier(
    folder: Path, contract: Contract | None = None, encoder: Encoder | None = None
) -> SuccessClassifier:
    """A classifier from its folder, for a run of this contract and encoder.

    Raise `ContractMismatch` with the difference for another contract, `ArtefactError` for another encoder, or for a
    classifier that is missing, damaged or changed.
    """
    facts = read_facts(folder)
    if contract is not None:
        contract.require_equal(facts.contract, "this run", f"the classifier {folder}")
    theirs = facts.spec.encoder
    if encoder is not None and (encoder.sha256, encoder.channels) != (theirs.sha256, theirs.channels):
        raise ArtefactError(
            f"classifier {folder}: got encoder {encoder.name!r} ({encoder.sha256[:12]}), expected {theirs.name!r} "
            f"({theirs.sha256[:12]}), on whose features it was trained; set that encoder, or train the classifier anew"
        )
    try:
        data = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise ArtefactError(f"classifier {folder}: {error}; {_CURE}") from error
    if hashlib.sha256(data).hexdigest() != facts.weights_sha256:
        raise ArtefactError(f"classifier {folder}: {WEIGHTS_FILE} is not what its facts say; {_CURE}")
    network = SuccessNetwork(facts.spec, facts.contract)
    _load(network, data, folder)
    return SuccessClassifier(facts, network.eval().requires_grad_(False))


def read_facts(folder: Path) -> ClassifierFacts:
    """What a classifier says of itself. Raise `ArtefactError` where that cannot be."""
    path = folder / FACTS_FILE
    try:
        facts = ClassifierFacts.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtefactError(f"{path}: got {error}, expected the facts of a classifier; name its folder") from error
    if facts.contract.hash != facts.spec.contract_hash:
        raise ArtefactError(
            f"{path}: got contract {facts.contract.hash[:12]}, expected {facts.spec.contract_hash[:12]}: somebody has "
            f"changed it; {_CURE}"
        )
    return facts


def list_classifiers(folder: Path) -> list[Path]:
    """Folders of classifiers below a folder, by age."""
    found = [path.parent for path in folder.glob(f"[!.]*/{FACTS_FILE}")]
    return sorted(found, key=lambda each: (each / FACTS_FILE).stat().st_mtime)


def pack_weights(network: SuccessNetwork) -> bytes:
    """The tensors of a network as safetensors."""
    return save({name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()})


def _load(network: SuccessNetwork, data: bytes, folder: Path) -> None:
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ArtefactError(f"classifier {folder}: {WEIGHTS_FILE} cannot be read ({error}); {_CURE}") from error
    expected = network.state_dict()
    for name in sorted(tensors.keys() | expected.keys()):
        got, wanted = tensors.get(name), expected.get(name)
        fits = got is not None and wanted is not None and (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        if got is None or not fits or not torch.isfinite(got).all():
            raise ArtefactError(
                f"classifier {folder}: tensor {name} is missing, unknown, of another shape or not finite; {_CURE}"
            )
    network.load_state_dict(tensors)
