"""Going back to an earlier checkpoint: later ones move aside, nothing is deleted, and experience stays.

`checkpoints/rollback.json` tells of the last rollback. Writing it is the moment at which it happens: what is not moved
by then, because the process was killed, the next start moves. From it also follows how the ratio counts on
(`learner.ratio`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from learner.checkpoint_folder import CheckpointError, list_checkpoints, updates_of
from learner.disk import write_atomically
from policy.contract import Frozen
from policy.durable import fsync

ROLLBACK = "rollback.json"


class Rollback(Frozen):
    """The last rollback of a run."""

    updates: int = Field(ge=0, description="updates of the checkpoint that it went back to")
    env_steps: int = Field(ge=0, description="steps in the experience store at that moment")
    folder: str = Field(description="where later checkpoints went, e.g. rolled-back-1")
    pending: tuple[str, ...] = Field(default=(), description="checkpoints that have yet to move there")


def roll_back(root: Path, target: Path, env_steps: int) -> Path:
    """Make `target` the newest checkpoint; returns the folder that later ones moved to. No learner may be running.

    env_steps: steps in the experience store now; for those updates are not owed again
    Raise `CheckpointError` when there is nothing later.
    """
    later = [folder.name for folder in list_checkpoints(root) if folder.name > target.name]
    if not later:
        raise CheckpointError(f"{target.name} is the newest checkpoint already; there is nothing to go back from")
    number = next(n for n in range(1, 1_000_000) if not (root / f"rolled-back-{n}").exists())
    rollback = Rollback(
        updates=updates_of(target), env_steps=env_steps, folder=f"rolled-back-{number}", pending=tuple(later)
    )
    _write(root, rollback)
    finish_rollback(root)
    return root / rollback.folder


def finish_rollback(root: Path) -> None:
    """Move what the last rollback has yet to move; nothing, unless its process was killed."""
    rollback = read_rollback(root)
    if rollback is None or not rollback.pending:
        return
    folder = root / rollback.folder
    folder.mkdir(exist_ok=True)
    for name in rollback.pending:
        if (root / name).exists():
            (root / name).rename(folder / name)
    fsync(folder)
    _write(root, rollback.model_copy(update={"pending": ()}))


def read_rollback(root: Path) -> Rollback | None:
    """The last rollback; None for a run that never went back."""
    path = root / ROLLBACK
    if not path.is_file():
        return None
    try:
        return Rollback.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); move it away: no checkpoint needs it") from error


def _write(root: Path, rollback: Rollback) -> None:
    write_atomically(root / ROLLBACK, (rollback.model_dump_json(indent=1) + "\n").encode())
    fsync(root)
