"""Settings of a run that is there: as it was started last, unless the command line names a preset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from console.errors import ConsoleError
from console.presets.load import PRESET_OPTION
from console.run_folder import LEARNER_SETTINGS_FILE, SETTINGS_FILE
from console.settings import Settings


def settings_of_run[T](argv: list[str], load: Callable[[list[str]], T], settings_in: Callable[[T], Settings]) -> T:
    """What `load` makes of the arguments, upon the settings that lie in the folder of the run that they name.

    settings_in: the settings in what was loaded
    Raises `ConsoleError` where there is no such run.
    """
    options = load(argv)
    folder = settings_in(options).folder
    if PRESET_OPTION not in argv and not any(each.startswith(f"{PRESET_OPTION}=") for each in argv):
        options = load([*_preset_in(folder), *argv])
    if not folder.is_dir():
        raise ConsoleError(f"{folder}: there is no such run; expected the folder of one, see --run and --runs")
    return options


def _preset_in(folder: Path) -> list[str]:
    for name in (LEARNER_SETTINGS_FILE, SETTINGS_FILE):
        if (folder / name).is_file():
            return [PRESET_OPTION, str(folder / name)]
    return []
