"""Options of the verbs of `nudge classifier`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from console.run_folder import STORE_FILE
from learner.disputes import DisputeSettings
from policy.contract import Frozen
from policy.experience_file import EpisodeSelection
from policy.settings import EncoderSettings
from reward_classifier.hard_frames import HardSettings
from reward_classifier.labels import Label
from reward_classifier.settings import ClassifierSettings, KeyLabelSettings

_JSON = tyro.conf.arg(name="json")


def labels_beside(experience: Path) -> Path:
    """Where the labels of some experience are, unless somebody says otherwise."""
    return experience.with_suffix(".labels.sqlite")


class StoreOptions(Frozen):
    """Which experience."""

    run: str = Field(default="demo", description="Run whose experience is meant.")
    runs: Path = Field(default=Path("runs"), description="Folder of all runs.")
    store: Path | None = Field(default=None, description="The experience itself, instead of that of a run.")

    @property
    def path(self) -> Path:
        """Where the experience is."""
        return self.store or self.runs / self.run / STORE_FILE

    @property
    def told(self) -> str:
        """The same as arguments of a command."""
        if self.store is not None:
            return shlex.join(["--store", str(self.store)])
        runs = [] if self.runs == Path("runs") else ["--runs", str(self.runs)]
        return shlex.join(["--run", self.run, *runs])


class ExperienceOptions(StoreOptions):
    """Which experience, and where its labels are."""

    labels: Path | None = Field(default=None, description="The file of its labels, instead of the one beside it.")
    selection: EpisodeSelection = EpisodeSelection()

    @property
    def label_path(self) -> Path:
        """Where its labels are."""
        return self.labels or labels_beside(self.path)


class LabelOptions(ExperienceOptions):
    """One of --page, --suggest, --from-key, --undo, or --frames of one episode."""

    page: bool = Field(default=False, description="Open a page on which frames are labelled with keys.")
    suggest: bool = Field(default=False, description="Print the frames that --classifier would have labelled next.")
    from_key: bool = Field(default=False, description="From how episodes ended, of all that have no label yet.")
    again: bool = Field(default=False, description="With --from-key: also those that have, whoever gave them.")
    undo: bool = Field(default=False, description="Take back the newest act; again, the one before.")
    frames: tuple[int, int] | None = Field(default=None, description="First and last frame, from 0, both included.")
    label: tyro.conf.EnumChoicesFromValues[Label] = Field(default=Label.UNSURE, description="What these frames show.")
    author: str = Field(default="", description="Who says so; empty: the one who is logged in.")
    keys: KeyLabelSettings = KeyLabelSettings()
    classifier: Path | None = Field(
        default=None, description="Folder of a classifier: its opinion of each frame is shown, and what it doubts."
    )
    hard: HardSettings = HardSettings()
    encoder: EncoderSettings = EncoderSettings()
    port: int = Field(default=8092, ge=0, le=65535, description="Port of the page, on 127.0.0.1 alone; 0: a free one.")


class TrainOptions(ExperienceOptions, ClassifierSettings):
    """What is learned from, and how."""

    out: Path = Field(description="Folder of the new classifier; there must be none.")
    version: int | None = Field(default=None, description="Labels as they were at this version; none: as they are.")
    cache: Path | None = Field(default=None, description="Folder of encoded frames, instead of the one beside.")
    encoder: EncoderSettings = EncoderSettings()

    @property
    def cache_path(self) -> Path:
        """Where encoded frames are kept."""
        return self.cache or self.path.with_suffix(".features")


class EvalOptions(ExperienceOptions):
    """Which classifier, on which experience."""

    classifier: tyro.conf.Positional[Path] = Field(description="Its folder.")
    unseen: bool = Field(default=False, description="Leave out the episodes that it has learned from.")
    report: Path | None = Field(default=None, description="Write a page with curves and the worst mistakes there.")
    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")
    encoder: EncoderSettings = EncoderSettings()


class AcceptOptions(StoreOptions):
    """Which classifier is to pay, in which run."""

    classifier: tyro.conf.Positional[Path] = Field(description="Its folder.")
    yes: bool = Field(default=False, description="Really let it pay, without a question.")
    encoder: EncoderSettings = EncoderSettings()


class DisputeOptions(StoreOptions, DisputeSettings):
    """In which run, and how many are too many."""

    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")


class ListOptions(Frozen):
    """Where to look."""

    folder: Path = Field(default=Path("classifiers"), description="Folder of classifiers.")
    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of a table.")
