"""Episodes of an experience file as a LeRobotDataset v3 folder, written by LeRobot itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from demos.errors import ExchangeRefused
from demos.lerobot_folder import LeRobotFolder, require_lerobot
from demos.lerobot_format import IMAGES, features_of, pack_row
from demos.sessions import shared_session
from policy.contract import Contract, Frozen
from policy.durable import appearing_folder
from policy.experience import Step
from policy.experience_file import EpisodeSelection, ExperienceFile

if TYPE_CHECKING:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

ROBOT_TYPE = "so101_nudge"  # its actions are tool deltas: LeRobot's own "so_follower" moves by joints
FRAMES_MEASURED = 32  # of those that video has changed, to state by how much

Watch = Callable[[Sequence[Any]], Iterable[Any]]
Frame = NDArray[np.uint8]


class LeRobotExportSettings(Frozen):
    """What of an experience file becomes a LeRobotDataset, and how."""

    select: EpisodeSelection = EpisodeSelection()
    frames: Literal["image", "video"] = Field(
        default="image",
        description="`image`: PNG, as they were stored. `video`: LeRobot's default codec, far smaller, not the same.",
    )
    task: str = Field(
        default="Grasp the cube and lift it.", min_length=1, description="The task in words, as LeRobot keeps it."
    )
    keep_sessions: bool = Field(
        default=False,
        description="Keep the true ids of sessions. Who knows one can speak for its actor: not for a dataset to share.",
    )


class VideoLoss(Frozen):
    """What video did to the frames of a camera, measured by reading some back.

    mean_db, worst_db: peak signal-to-noise ratio [dB]; above 40 hardly anybody sees a difference
    """

    camera: str
    frames: int
    mean_db: float
    worst_db: float


class LeRobotExportReport(Frozen):
    """What was exported, and what was not.

    left_out: reason -> episodes; bytes: size of the folder
    judged: steps of which a reward classifier had an opinion, which stays behind
    clipped: steps that say what the guard clipped, which stays behind, too
    """

    path: Path
    contract_hash: str
    episodes: int
    steps: int
    left_out: dict[str, int]
    frames: Literal["image", "video"]
    bytes: int
    losses: tuple[VideoLoss, ...] = ()
    judged: int = 0
    clipped: int = 0

    def __str__(self) -> str:
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items() if count)
        lines = [
            f"{self.path}: {self.episodes} episodes, {self.steps} steps, {self.bytes / 1e6:.1f} MB, contract "
            f"{self.contract_hash[:12]}",
            f"left out: {left_out or 'none'}",
            *([f"not taken along: the classifier's opinions on {self.judged} steps"] if self.judged else []),
            *([f"not taken along: what the guard clipped, of {self.clipped} steps"] if self.clipped else []),
            "frames: PNG, without loss" if self.frames == "image" else "frames: video, with loss",
            *(
                f"  {loss.camera}: PSNR {loss.mean_db:.1f} dB, at worst {loss.worst_db:.1f} dB, of {loss.frames} frames"
                for loss in self.losses
            ),
        ]
        return "\n".join(lines)


def export_dataset(
    store: Path, target: Path, settings: LeRobotExportSettings, watch: Watch = iter
) -> LeRobotExportReport:
    """Write the chosen episodes into a new folder, which appears whole or not at all; works while a learner runs.

    watch: gets the episodes and gives them one by one, to show progress
    Raise `ExchangeRefused` when `target` exists or LeRobot cannot hold the rate, `StoreError` for the store.
    """
    if target.exists():
        raise ExchangeRefused(f"{target}: there is such a folder, and an export never overwrites; give another path")
    require_lerobot()
    with closing(ExperienceFile(store)) as experience, _workshop(target) as partial:
        contract, chosen = experience.contract, experience.choose(settings.select)
        judged, clipped, sample = 0, 0, _Sample(chosen.steps if settings.frames == "video" else 0)
        dataset = _create(partial, contract, settings)
        try:
            for episode_id in watch(chosen.ids):
                steps = experience.episode(episode_id)
                judged += sum(step.judgement is not None for step in steps)
                clipped += sum(step.clipped is not None for step in steps)
                _add(dataset, steps, settings, sample)
        finally:
            dataset.finalize()
        losses = tuple(_losses(partial, contract, sample)) if sample.kept else ()
    return LeRobotExportReport(
        path=target,
        contract_hash=contract.hash,
        episodes=len(chosen.ids),
        steps=chosen.steps,
        left_out=chosen.left_out,
        frames=settings.frames,
        bytes=sum(file.stat().st_size for file in target.rglob("*") if file.is_file()),
        losses=losses,
        judged=judged,
        clipped=clipped,
    )


def psnr_db(original: Frame, changed: Frame) -> float:
    """Peak signal-to-noise ratio of two uint8 frames [dB]; that of equal ones is given as 100."""
    error = np.mean((original.astype(np.float64) - changed.astype(np.float64)) ** 2)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


class _Sample:
    """Some of the frames that go by, evenly spread over all steps.

    kept: (episode of the dataset, row) -> camera name -> frame
    """

    def __init__(self, steps: int) -> None:
        self._wanted = set(np.linspace(0, steps - 1, min(steps, FRAMES_MEASURED)).astype(int).tolist())
        self._seen = 0
        self.kept: dict[tuple[int, int], dict[str, Frame]] = {}

    def see(self, episode: int, step: Step) -> None:
        """The next step."""
        if self._seen in self._wanted:
            self.kept[episode, step.id.step] = step.observation.frames
        self._seen += 1


def _create(folder: Path, contract: Contract, settings: LeRobotExportSettings) -> LeRobotDataset:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    if contract.control_hz != round(contract.control_hz):
        raise ExchangeRefused(
            f"control_hz: got {contract.control_hz}, a LeRobotDataset holds whole rates only; export cannot change it"
        )
    video = settings.frames == "video"
    return LeRobotDataset.create(
        f"local/{folder.name}",
        fps=round(contract.control_hz),
        features=features_of(contract, video=video),
        root=folder,
        robot_type=ROBOT_TYPE,
        use_videos=video,
        video_backend="pyav",
        # Not encoded while frames come: LeRobot drops those that come too fast for it.
        streaming_encoding=False,
    )


def _add(dataset: LeRobotDataset, steps: Sequence[Step], settings: LeRobotExportSettings, sample: _Sample) -> None:
    from lerobot.utils.utils import SuppressProgressBars

    place = dataset.meta.total_episodes
    session = steps[0].id.session if settings.keep_sessions else shared_session(steps[0].id.session)
    rewarded = sum(step.reward for step in steps) > 0 and not steps[-1].rejected
    for step in steps:
        sample.see(place, step)
        dataset.add_frame(pack_row(step, settings.task, session=session, success=step.terminated and rewarded))
    with SuppressProgressBars():  # a bar for each episode
        dataset.save_episode(parallel_encoding=False)  # each process of its own would load all of LeRobot again


def _losses(folder: Path, contract: Contract, sample: _Sample) -> Iterator[VideoLoss]:
    written = LeRobotFolder(folder)
    found: dict[str, list[float]] = {camera.name: [] for camera in contract.cameras}
    for (episode, row), frames in sample.kept.items():
        (back,) = written.frames(episode, [row])
        for name, frame in frames.items():
            found[name].append(psnr_db(frame, back[f"{IMAGES}{name}"]))
    for name, values in found.items():
        yield VideoLoss(camera=name, frames=len(values), mean_db=float(np.mean(values)), worst_db=min(values))


@contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """Where to write it; the disk's errors become ours."""
    try:
        with appearing_folder(target) as partial:
            yield partial
    except OSError as error:
        raise ExchangeRefused(f"{target}: {error}; nothing was exported; make room, or take another folder") from error
