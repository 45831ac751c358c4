"""`nudge export` and `nudge import`: experience as a LeRobotDataset v3, back again, and datasets of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.console import Console
from rich.progress import track

from console.errors import ConsoleError
from console.experience import SOURCE_HELP, find_experience
from console.presets.load import load_preset, parse_options, take_preset
from console.settings import Settings
from demos.import_report import LeRobotImportReport
from demos.joint_settings import JointSpaceSettings
from demos.lerobot_export import LeRobotExportSettings, export_dataset
from demos.lerobot_folder import INFO_FILE
from demos.lerobot_hub import pull_dataset, push_dataset
from demos.lerobot_import import import_dataset
from policy.contract import Frozen

_JSON = tyro.conf.arg(name="json")
_SOURCE, _FOLDER, _FILE = (tyro.conf.arg(metavar=name) for name in ("SOURCE", "FOLDER", "FILE"))


class ExportOptions(LeRobotExportSettings):
    """Write experience as a LeRobotDataset v3, for LeRobot's training, its viewer and the Hub. Works while a learner
    writes into the store. The folder appears whole or not at all.
    """

    source: Annotated[str, tyro.conf.Positional, _SOURCE] = Field(
        description=f"{SOURCE_HELP} With --push alone: a dataset's folder."
    )
    out: Annotated[Path | None, tyro.conf.Positional, _FOLDER] = Field(
        default=None, description="The new folder; it must not exist."
    )
    runs: Path = Field(default=Path("runs"), description="Folder of all runs.")
    push: str = Field(default="", description="Upload it to this dataset of the Hub, `owner/name`.")
    public: bool = Field(default=False, description="Whoever likes may see it there; else only its owner.")
    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")


class ImportOptions(Frozen):
    """Make a new file of experience of a LeRobotDataset v3: one that Nudge has exported, bit by bit, or one of an
    SO-101's joint angles, which forward kinematics bring under the contract of --preset; a report says what was taken
    for granted.
    """

    dataset: Annotated[Path, tyro.conf.Positional, _FOLDER] = Field(
        description="The dataset's folder; with --pull where it is downloaded to."
    )
    out: Annotated[Path, tyro.conf.Positional, _FILE] = Field(
        description="The new file, such as demos.sqlite; it must not exist."
    )
    pull: str = Field(default="", description="Download this dataset of the Hub first, `owner/name`.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of it; none: the newest.")
    joints: JointSpaceSettings = Field(
        default=JointSpaceSettings(), description="Of joint angles: what their dataset does not say."
    )
    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")


def export(argv: list[str]) -> int:
    """Write the dataset, and upload it where that is asked for."""
    options = parse_options(ExportOptions, argv, "nudge export", flags=True)
    folder = options.out
    if folder is None:
        folder = _dataset_to_push(options)
    else:
        store = find_experience(options.source, options.runs)
        report = export_dataset(store, folder, options, lambda ids: _progress(ids, "exporting episodes"))
        print(report.model_dump_json() if options.as_json else report)
    if options.push:
        push_dataset(folder, options.push, private=not options.public)
        _tell(f"uploaded {folder} to https://huggingface.co/datasets/{options.push}")
    return 0


def import_(argv: list[str]) -> int:
    """Make the file, of what was downloaded where that is asked for."""
    preset, rest = take_preset(argv, "")
    options = parse_options(ImportOptions, rest, "nudge import [--preset NAME_OR_PATH]", flags=True)
    if options.pull:
        pull_dataset(options.pull, options.dataset, options.revision)
        _tell(f"downloaded {options.pull} to {options.dataset}")
    report = _import(options, load_preset(Settings, preset) if preset else None)
    print(report.model_dump_json() if options.as_json else report)
    return 0


def _import(options: ImportOptions, settings: Settings | None) -> LeRobotImportReport:
    """settings: of a preset; None takes the contract that the dataset carries."""
    return import_dataset(
        options.dataset,
        options.out,
        settings.contract if settings else None,
        options.joints,
        settings.arm.controller if settings else None,
        lambda episodes: _progress(episodes, "importing episodes"),
    )


def _dataset_to_push(options: ExportOptions) -> Path:
    """The dataset that is there already and is only to be uploaded."""
    folder = Path(options.source)
    if options.push and (folder / INFO_FILE).is_file():
        return folder
    raise ConsoleError(
        f"export {options.source}: got no folder for the dataset, expected `nudge export {options.source} FOLDER`; "
        f"only a dataset that is there already can be uploaded without one, with --push owner/name"
    )


def _progress[T](items: Sequence[T], what: str) -> Iterable[T]:
    """The items, with a bar on stderr while they go by."""
    return track(items, what, console=Console(stderr=True), transient=True)


def _tell(line: str) -> None:
    """Beside the report, which programs may read."""
    Console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)
