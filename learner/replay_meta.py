"""What a replay's files are and how far they go, in `replay.json`: files of another kind are made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from learner.columns import row_bytes
from learner.disk import write_atomically
from learner.replay_layout import ReplayLayout

FORMAT_VERSION = 4
_META = "replay.json"


@dataclass(frozen=True, slots=True)
class ReplayMeta:
    """How far the files go. What they hold beyond that counts for nothing: a process died before it was all there.

    capacity, used: slots that there is room for, that are taken
    steps, cursor: of the store that are in, and the last of them
    whole, views_cursor: slots, from the first on, whose views are all in, and the last step of them
    sessions: in the order in which they came
    """

    capacity: int
    used: int = 0
    steps: int = 0
    cursor: int = 0
    whole: int = 0
    views_cursor: int = 0
    sessions: tuple[str, ...] = ()


def read_meta(folder: Path, layout: ReplayLayout, key: Mapping[str, str]) -> ReplayMeta | None:
    """How far the files go; None, with no file left, for those of another key or layout, or if any is damaged."""
    path = folder / _META
    if path.is_file():
        stored: dict[str, Any] = json.loads(path.read_text())
        identity = _identity(layout, key)
        if all(stored.get(name) == value for name, value in identity.items()):
            found = {name: value for name, value in stored.items() if name not in identity}
            meta = ReplayMeta(**found | {"sessions": tuple(found["sessions"])})
            if _is_whole(folder, layout, meta.capacity):
                return meta
    delete_replay(folder)  # another encoder, reduction or contract: encode afresh
    return None


def write_meta(folder: Path, layout: ReplayLayout, key: Mapping[str, str], meta: ReplayMeta) -> None:
    """Say how far the files go, once all that is on the disk."""
    content = {**_identity(layout, key), **asdict(meta)}
    write_atomically(folder / _META, json.dumps(content, indent=1).encode())


def delete_replay(folder: Path) -> None:
    """Remove the files of a replay that is not wanted: it is only a cache, and is made again."""
    # The meta data first: without them the rest counts for nothing.
    for file in (folder / _META, *folder.glob("*.bin")):
        file.unlink(missing_ok=True)


def _identity(layout: ReplayLayout, key: Mapping[str, str]) -> dict[str, Any]:
    views = layout.views
    shapes = [views.name, list(views.shape), layout.proprioception, layout.action]
    return {"format_version": FORMAT_VERSION, "key": dict(key), "layout": shapes}


def _is_whole(folder: Path, layout: ReplayLayout, capacity: int) -> bool:
    """False when a file is missing or short: what is not there would be read as zeros."""
    sizes = {folder / f"{name}.bin": row_bytes(*column) for name, column in layout.columns.items()}
    return all(path.is_file() and path.stat().st_size >= size * capacity for path, size in sizes.items())
