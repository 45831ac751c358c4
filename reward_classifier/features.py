"""Feature maps of labelled frames, encoded once: a file that is read while a classifier learns, and made anew when
anything that shapes it has changed.

    experience.features/
        3f9c02b7a1de/plain.f16    of every frame of the labelled episodes
                     views.f16    of several views of each frame that is learned from
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from policy.durable import fsync
from policy.encoder import Encoder
from policy.experience_file import ExperienceFile
from policy.features import Featurizer
from policy.file_lock import FileLock
from reward_classifier.augment import views_of
from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable, observations
from reward_classifier.settings import ViewSettings

PAGE = 32  # frames of each camera encoded at once
PLAIN_FILE, VIEWS_FILE = "plain.f16", "views.f16"
KEY_DIGITS = 12

Watch = Callable[[Sequence[int]], Iterable[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Maps in the table's order; float16, on the disk.

    plain: (N, cameras, channels, h, w); views: (S, views, cameras, channels, h, w) of the frames `rows` (S,)
    """

    plain: NDArray[np.float16]
    views: NDArray[np.float16]
    rows: NDArray[np.int64]


def learned_rows(table: FrameTable, settings: ViewSettings) -> NDArray[np.int64]:
    """Frames that are learned from: all labelled ones, or so many of a class, evenly chosen; ascending."""
    chosen = []
    for label, most in ((POSITIVE, settings.positives), (NEGATIVE, settings.negatives)):
        rows = np.flatnonzero(table.label == label)
        chosen.append(rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def features_of(
    experience: ExperienceFile,
    table: FrameTable,
    encoder: Encoder,
    settings: ViewSettings,
    seed: int,
    folder: Path,
    watch: Watch = iter,
) -> Features:
    """The maps, from the file in `folder` or encoded now. In memory are never more than those of an episode.

    watch: gets the episodes that are to be encoded and gives them one by one, to show progress
    Raise `LockHeld` while another process encodes into this folder.
    """
    featurizer = Featurizer(encoder, None, experience.contract)
    rows = learned_rows(table, settings)
    shapes = (len(table), *featurizer.shape), (len(rows), settings.views, *featurizer.shape)
    key = _key(experience, table, encoder, settings, seed)
    target = folder / key
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", f"{folder}: another process encodes these frames; wait for it"):
            _clear(folder)
            workshop = folder / ".partial"
            workshop.mkdir()
            plain, views = (
                np.memmap(workshop / name, np.float16, "w+", shape=shape)
                for name, shape in zip((PLAIN_FILE, VIEWS_FILE), shapes, strict=True)
            )
            made = Features(plain, views, rows)
            for episode in watch(range(len(table.outcomes))):
                _encode_episode(experience, table, featurizer, settings, seed, episode, made)
            for name in (PLAIN_FILE, VIEWS_FILE):
                fsync(workshop / name)
            workshop.rename(target)
    plain, views = (
        np.memmap(target / name, np.float16, "r", shape=shape)
        for name, shape in zip((PLAIN_FILE, VIEWS_FILE), shapes, strict=True)
    )
    return Features(plain, views, rows)


def encode(featurizer: Featurizer, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Frames uint8 (cameras, N, H, W, 3) -> maps float16 (N, cameras, channels, h, w)."""
    pages = [featurizer.maps(frames[:, start : start + PAGE]) for start in range(0, frames.shape[1], PAGE)]
    maps = torch.cat(pages, dim=1).to(device="cpu", dtype=torch.float16)
    return np.asarray(maps.transpose(0, 1).numpy(), np.float16)


def _encode_episode(
    experience: ExperienceFile,
    table: FrameTable,
    featurizer: Featurizer,
    settings: ViewSettings,
    seed: int,
    episode: int,
    made: Features,
) -> None:
    seen = [featurizer.stack(each.frames) for each in observations(experience, table.outcomes[episode])]
    here = table.rows(episode)
    made.plain[here] = encode(featurizer, np.stack(seen, axis=1))
    for place in range(*np.searchsorted(made.rows, [here.start, here.stop])):
        row = int(made.rows[place])
        views = views_of(seen[row - here.start], settings, np.random.default_rng([seed, row]))
        made.views[place, 0] = made.plain[row]
        if settings.views > 1:
            made.views[place, 1:] = encode(featurizer, views[:, 1:])


def _key(experience: ExperienceFile, table: FrameTable, encoder: Encoder, settings: ViewSettings, seed: int) -> str:
    """Of all that shapes the maps; which frames are labelled is part of it, what they are called is not."""
    told = {
        "contract": experience.contract.hash,
        "encoder": encoder.sha256,
        "arithmetic": str(encoder.dtype),
        "views": settings.model_dump(mode="json"),
        "seed": seed,
        "episodes": table.digests,
        "rows": learned_rows(table, settings).tolist(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]


def _clear(folder: Path) -> None:
    """Away with what is out of date or was left by a killed process: who still reads a file keeps it."""
    for old in folder.iterdir():
        if old.name == ".partial" or (old / VIEWS_FILE).is_file():
            shutil.rmtree(old)
