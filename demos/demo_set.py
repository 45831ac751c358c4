"""Demo sets: named, never changed, and the same set wherever they are.

    demo_sets/lift-cube/3f9c02b7a1de/
        experience.sqlite    the set's episodes, like any file of experience
        demo_set.json        `DemoSetFacts`
        reference/           how the cameras saw them, `robot.cameras.reference`
        calibration/         the arm's, as it was, where it was given

The folder's name begins the hash of its content. A name that begins with a dot is work in progress, or what a killed
process has left of it; the next one who makes a set of that name removes it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from demos.content_hash import content_hash
from demos.coverage import Coverage
from demos.errors import DemoSetError
from demos.findings import Finding
from demos.settings import NAME
from demos.statistics import CameraStatistics, DimensionStatistics
from policy.contract import Contract, Frozen
from policy.step_schema import StoreError
from robot.cameras.reference import REFERENCE_FILE, Reference

EXPERIENCE_FILE, FACTS_FILE = "experience.sqlite", "demo_set.json"
REFERENCE, CALIBRATION = "reference", "calibration"
HASH_DIGITS = 12  # in the folder's name

_CURE = "take another copy of the set, or make it anew"


class DemoSetFacts(Frozen):
    """What `demo_set.json` says."""

    format: Literal[1] = 1
    name: str = Field(pattern=NAME)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of contract and steps, see `demos.content_hash`.")
    created: AwareDatetime
    contract: Contract
    contract_hash: str
    episodes: int
    steps: int
    proprioception: dict[str, DimensionStatistics]
    action: dict[str, DimensionStatistics]
    cameras: dict[str, CameraStatistics]
    coverage: Coverage | None = Field(description="None where the contract does not tell where an episode took place.")
    findings: tuple[Finding, ...] = Field(description="What the checks said; those that refuse were allowed by name.")
    files: dict[str, str] = Field(description="Sha256 of each file beside experience and this one, by path.")


@dataclass(frozen=True, slots=True)
class DemoSet:
    """A set that is what it says."""

    folder: Path
    facts: DemoSetFacts

    @property
    def experience(self) -> Path:
        """The file of its episodes."""
        return self.folder / EXPERIENCE_FILE

    @property
    def calibrations(self) -> list[Path]:
        """LeRobot's files of the arm, as they were."""
        return sorted(self.folder / path for path in self.facts.files if path.startswith(f"{CALIBRATION}/"))

    def reference(self) -> Reference | None:
        """How the cameras saw the demonstrations; None where there were too few pictures to tell."""
        if f"{REFERENCE}/{REFERENCE_FILE}" not in self.facts.files:
            return None
        return Reference.load(self.folder / REFERENCE, self.facts.contract)


def open_demo_set(folder: Path, contract: Contract | None = None) -> DemoSet:
    """A set, every byte of which was looked at: 0.1 s for 20 MB.

    contract: of the run that is to learn from it
    Raise `ContractMismatch` with the difference for another contract, `DemoSetError` for a set that is missing or has
    changed since it was made.
    """
    facts = read_facts(folder)
    if contract is not None:
        contract.require_equal(facts.contract, "this run", f"the demo set {facts.name} {facts.hash[:HASH_DIGITS]}")
    try:
        found = content_hash(folder / EXPERIENCE_FILE)
    except StoreError as error:
        raise DemoSetError(f"demo set {folder}: {error}") from error
    if found != facts.hash:
        raise DemoSetError(
            f"demo set {folder}: got content {found[:HASH_DIGITS]}, expected {facts.hash[:HASH_DIGITS]}: "
            f"it has changed since it was made; {_CURE}"
        )
    _require_files(folder, facts)
    return DemoSet(folder, facts)


def list_demo_sets(demos: Path) -> list[DemoSet]:
    """All sets below a folder, by name and then by age; what is in them was not looked at."""
    folders = [path.parent for path in demos.glob(f"[!.]*/[!.]*/{FACTS_FILE}")]
    found = [DemoSet(folder, read_facts(folder)) for folder in folders]
    return sorted(found, key=lambda each: (each.facts.name, each.facts.created))


def read_facts(folder: Path) -> DemoSetFacts:
    """What a set says of itself; raise `DemoSetError` where that cannot be."""
    path = folder / FACTS_FILE
    try:
        facts = DemoSetFacts.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DemoSetError(
            f"{path}: got {error}, expected the facts of a demo set; name its folder, or {_CURE}"
        ) from error
    if facts.contract.hash != facts.contract_hash or folder.name != facts.hash[:HASH_DIGITS]:
        raise DemoSetError(
            f"{path}: got contract {facts.contract.hash[:HASH_DIGITS]} in folder {folder.name}, expected "
            f"{facts.contract_hash[:HASH_DIGITS]} in {facts.hash[:HASH_DIGITS]}: somebody has changed it; {_CURE}"
        )
    return facts


def sha256_of(path: Path) -> str:
    """Of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_files(folder: Path, facts: DemoSetFacts) -> None:
    for name, expected in facts.files.items():
        path = folder / name
        if not path.is_file() or sha256_of(path) != expected:
            raise DemoSetError(
                f"demo set {folder}: {name} is missing or has changed, expected sha256 {expected[:12]}; {_CURE}"
            )
