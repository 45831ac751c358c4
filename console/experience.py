"""Which experience is meant on a command line: a run, a demo set, a recording, or any file of experience."""

from __future__ import annotations

from pathlib import Path

from console.errors import ConsoleError
from console.run_folder import SPOOL_FILE, STORE_FILE
from demos.demo_set import FACTS_FILE, open_demo_set

SOURCE_HELP = "A run, by name or folder; the folder of a demo set or of a recording; or a file of experience."


def find_experience(source: str, runs: Path) -> Path:
    """The file of experience that `source` names.

    source: a file; a folder with an experience store, a demo set or a recording in it; or the name of a run
    runs: folder of all runs
    Raise `ConsoleError` where there is none, `DemoSetError` for a demo set that has changed since it was made.
    """
    named = Path(source)
    if named.is_file():
        return named
    for folder in (named, runs / source):
        if (folder / FACTS_FILE).is_file():
            return open_demo_set(folder).experience
        for name in (STORE_FILE, SPOOL_FILE):  # a run's spool has only what its learner has not got yet
            if (folder / name).is_file():
                return folder / name
    below = sorted(path.parent for path in named.glob(f"[!.]*/{FACTS_FILE}"))
    if below:
        sets = ", ".join(map(str, below))
        raise ConsoleError(f"{source}: a set of demonstrations has its hash in its folder's name; name one of {sets}")
    raise ConsoleError(
        f"{source}: got neither a file of experience, nor a folder with {STORE_FILE} in it, nor the name of a run in "
        f"{runs}/; name one of them, or give the folder of your runs with --runs"
    )
