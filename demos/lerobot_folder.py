"""A LeRobotDataset v3 that lies on this machine, read through LeRobot's own loader; nothing is fetched."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demos.errors import ExchangeRefused

VISUAL = ("image", "video")
INFO_FILE = "meta/info.json"


def require_lerobot() -> None:
    """Raise `ExchangeRefused` where LeRobot's own classes for datasets are not installed."""
    missing = [name for name in ("lerobot", "datasets", "av") if importlib.util.find_spec(name) is None]
    if missing:
        raise ExchangeRefused(
            f"datasets of LeRobot: {', '.join(missing)} is not installed here, expected LeRobot with its extra "
            f"`dataset`; install nudge-so101[robot]"
        )


class LeRobotFolder:
    """Episodes of a dataset.

    features: LeRobot's description of each feature
    fps: rows per second of an episode [Hz]
    Raise `ExchangeRefused` for a folder that holds none, one of another layout, or only a part of one.
    """

    def __init__(self, folder: Path) -> None:
        _require_complete(folder)
        from datasets.exceptions import DatasetsError
        from lerobot.datasets.lerobot_dataset import LeRobotDataset

        try:
            # torchcodec needs libraries of a system's FFmpeg, pyav brings its own.
            self._dataset = LeRobotDataset(f"local/{folder.name}", root=folder, video_backend="pyav", return_uint8=True)
        except (OSError, ValueError, KeyError, TypeError, DatasetsError) as error:
            reason = " ".join(str(error.__cause__ or error).split())[:300]
            raise ExchangeRefused(f"{folder}: LeRobot cannot load this dataset: {reason}; fetch it again") from error
        self.folder = folder
        self.features: dict[str, dict[str, Any]] = self._dataset.features
        self.fps = float(self._dataset.fps)
        self.robot_type: str | None = self._dataset.meta.robot_type
        texts = [key for key, feature in self.features.items() if feature["dtype"] not in VISUAL]
        self._table = self._dataset.hf_dataset.with_format("arrow").select_columns(texts)
        self.episodes = int(self._dataset.meta.total_episodes)

    @property
    def cameras(self) -> dict[str, tuple[int, ...]]:
        """Key of each visual feature -> its shape (height, width, 3)."""
        return {key: tuple(ft["shape"]) for key, ft in self.features.items() if ft["dtype"] in VISUAL}

    @property
    def lossy(self) -> bool:
        """Whether a feature is a video."""
        return any(feature["dtype"] == "video" for feature in self.features.values())

    def columns(self, episode: int) -> dict[str, list[Any]]:
        """All rows of an episode, by feature, without frames."""
        begin, end = self._span(episode)
        return dict(self._table[begin:end].to_pydict())  # exact: as tensors, numbers would be rounded to float32

    def frames(self, episode: int, rows: Iterable[int]) -> Iterator[dict[str, NDArray[np.uint8]]]:
        """For each of these rows of an episode: key -> uint8 RGB (height, width, 3)."""
        begin, _ = self._span(episode)
        for row in rows:
            item = self._dataset[begin + row]
            yield {key: as_frame(item[key].numpy()) for key in self.cameras}

    def _span(self, episode: int) -> tuple[int, int]:
        about = self._dataset.meta.episodes[episode]
        return about["dataset_from_index"], about["dataset_to_index"]


def as_frame(channels_first: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 RGB (height, width, 3) of what LeRobot gives: uint8 of a video, of a picture float32 0..1; (3, H, W)."""
    if channels_first.dtype != np.uint8:
        channels_first = np.rint(channels_first * 255).astype(np.uint8)  # v / 255 of each v of 0..255 comes back as v
    return np.ascontiguousarray(channels_first.transpose(1, 2, 0))


def _require_complete(folder: Path) -> None:
    """Raise `ExchangeRefused` unless all files are here: LeRobot would look for others on the Hub."""
    if not (folder / INFO_FILE).is_file():
        raise ExchangeRefused(f"{folder}: no LeRobotDataset lies there, expected its file {INFO_FILE}")
    require_lerobot()
    from lerobot.datasets.dataset_metadata import CODEBASE_VERSION, LeRobotDatasetMetadata
    from lerobot.datasets.io_utils import load_info

    try:
        version = load_info(folder).codebase_version
        if version != CODEBASE_VERSION:
            raise ExchangeRefused(
                f"{folder}: got a LeRobotDataset of layout {version}, expected {CODEBASE_VERSION}; LeRobot converts "
                f"older ones: lerobot/scripts/convert_dataset_v21_to_v30.py"
            )
        _require_files(folder, {Path("meta/tasks.parquet"), Path("meta/stats.json"), Path("meta/episodes")})
        meta = LeRobotDatasetMetadata(f"local/{folder.name}", root=folder)
        episodes = range(meta.total_episodes)
        files = {meta.get_data_file_path(episode) for episode in episodes}
        files |= {meta.get_video_file_path(episode, key) for key in meta.video_keys for episode in episodes}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExchangeRefused(f"{folder}: LeRobot cannot read what meta/ says of this dataset: {reason}") from error
    if not episodes:
        raise ExchangeRefused(f"{folder}: this dataset has no episodes")
    _require_files(folder, files)


def _require_files(folder: Path, files: set[Path]) -> None:
    missing = sorted(str(file) for file in files if not (folder / file).exists())
    if missing:
        raise ExchangeRefused(
            f"{folder}: {len(missing)} of its files are missing, {missing[0]} for one; fetch all of it"
        )
