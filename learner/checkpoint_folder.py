"""The checkpoints of a run: which there are, which stay, and which policy versions are spent.

    checkpoints/update-000012000/    a checkpoint (`learner.checkpoint`); evaluation.json once it was evaluated
    checkpoints/rolled-back-1/       what a rollback has set aside (`learner.rollback`)
    checkpoints/versions.json        up to where versions of the policy may have been published

A name that begins with a dot is work in progress: `tidy` ends or removes what a killed process has left.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from learner.disk import write_atomically
from learner.evaluations import best_of_each
from policy.durable import fsync
from policy.errors import NudgeError

CHECKPOINTS = "checkpoints"  # their folder in the run folder
META, POLICY = "checkpoint.json", "policy.safetensors"
VERSIONS = "versions.json"
_REPLACED = ".replaced"


class CheckpointError(NudgeError):
    """A checkpoint that is missing, damaged, or of another contract, encoder or architecture."""


def checkpoint_name(updates: int) -> str:
    """Name of the folder of a checkpoint; by name they are in the order of their updates."""
    return f"update-{updates:09d}"


def updates_of(folder: Path) -> int:
    """The updates that a checkpoint's name says."""
    return int(folder.name.removeprefix("update-"))


def list_checkpoints(root: Path) -> list[Path]:
    """Folders of complete checkpoints below `root`, oldest first."""
    return sorted(path for path in root.glob("update-*") if (path / META).is_file())


def put_in_place(temporary: Path, target: Path) -> None:
    """Let a finished checkpoint appear under its name, in the place of one that is there; durable when this returns."""
    aside = target.with_name(f".{target.name}{_REPLACED}")
    if target.exists():  # the same update saved again, e.g. on stopping right after a checkpoint
        target.rename(aside)  # a process that is killed here leaves it to `tidy`, which puts it back
    temporary.rename(target)
    fsync(target.parent)
    if aside.exists():
        shutil.rmtree(aside)


def prune(root: Path, keep: int) -> None:
    """Delete all checkpoints but the newest `keep` and the best evaluated one; see `best_of_each`."""
    found = list_checkpoints(root)
    staying = {*found[-keep:], *best_of_each(found)}
    for old in found:
        if old not in staying:
            # Renamed first: half of a checkpoint must not pass for one.
            shutil.rmtree(old.rename(old.with_name(f".{old.name}.removed")))


def tidy(root: Path) -> None:
    """End or remove what a process that was killed in the middle of a checkpoint has left."""
    for left in root.glob(".update-*"):
        whole = root / left.name.removeprefix(".").removesuffix(_REPLACED)
        if left.name.endswith(_REPLACED) and not whole.exists():
            left.rename(whole)
        else:
            shutil.rmtree(left)
    (root / f".{VERSIONS}.partial").unlink(missing_ok=True)


def last_policy_version(root: Path, publish_every_updates: int, checkpoint_every_updates: int) -> int:
    """A version that no snapshot of this run exceeds, however often it died between checkpoints; 0 for a new run."""
    path = root / VERSIONS
    if path.is_file():
        try:
            return int(json.loads(path.read_text())["reserved"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: got {path.read_text()[:80]!r}, expected the last policy version as "
                f'{{"reserved": NUMBER}}; write one that is above all that actors of this run have seen'
            ) from error
    versions = [int(json.loads(meta.read_text())["policy_version"]) for meta in root.rglob(META)]
    return max(versions) + _until_next_note(publish_every_updates, checkpoint_every_updates) if versions else 0


def reserve_policy_versions(
    root: Path, version: int, publish_every_updates: int, checkpoint_every_updates: int
) -> None:
    """Note durably how far versions may come before the next note, when `version` is the last one by now.

    To be called before anything is published and with every checkpoint. Raise `DiskFull` when there is no room.
    """
    path = root / VERSIONS
    reach = version + _until_next_note(publish_every_updates, checkpoint_every_updates)
    noted = last_policy_version(root, publish_every_updates, checkpoint_every_updates) if path.is_file() else 0
    if reach > noted:
        root.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps({"reserved": reach}) + "\n").encode())


def _until_next_note(publish_every_updates: int, checkpoint_every_updates: int) -> int:
    """The most snapshots from one note to the next: those of the updates between, one on resuming, one on stopping."""
    return -(-checkpoint_every_updates // publish_every_updates) + 2
