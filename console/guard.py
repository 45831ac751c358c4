"""A guard at the start: the rooms that Python would import are the rooms of this project.

The rooms have short names, and on package indices some of them stand for other distributions too (`teleop`, `robot`).
Where such a one is installed in the same environment, Python might import its code, or half of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

from policy.errors import NudgeError

DISTRIBUTION = "nudge-so101"
ROOMS = ("policy", "robot", "teleop", "reward_classifier", "actor", "learner", "demos", "console")
HOME = Path(__file__).resolve().parents[1]


class ShadowedRoom(NudgeError):
    """Another distribution stands where a room of this project should."""


def require_own_rooms(rooms: Sequence[str] = ROOMS, home: Path = HOME, search: list[str] | None = None) -> None:
    """Raise `ShadowedRoom`, naming the distribution, unless each room comes from `home` and from nowhere else.

    rooms: names as in `import name`
    home: the folder that has the rooms; a checkout, or site-packages
    search: folders to search, as `sys.path`; None is `sys.path` itself
    """
    for room in rooms:
        found = _location(room, search)
        if found.parent != home.resolve():
            raise ShadowedRoom(f"room {room!r}: Python would import {found}, expected {home / room}. {_cure(room)}")
    if home.name in ("site-packages", "dist-packages"):
        # Installed as a wheel, all distributions share one folder: only their lists of files tell them apart.
        owners = packages_distributions()
        for room in rooms:
            if _others(owners, room):
                raise ShadowedRoom(f"room {room!r}: another distribution writes into {home / room}. {_cure(room)}")


def _location(room: str, search: list[str] | None) -> Path:
    """The folder that `import room` would take, without importing it."""
    spec = PathFinder.find_spec(room, search)
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise ShadowedRoom(
            f"room {room!r}: Python finds no such package; the installation is incomplete. Run `make clean test` in a "
            f"checkout, or install {DISTRIBUTION} again"
        )
    locations = list(spec.submodule_search_locations or [])
    return Path(locations[0] if locations else str(spec.origin)).resolve()


def _cure(room: str) -> str:
    others = _others(packages_distributions(), room)
    if not others:
        return "Move what is found there, or take its folder out of PYTHONPATH."
    return (
        f"It belongs to the distribution {' and '.join(others)}: uninstall that here, or give Nudge an environment of "
        f"its own."
    )


def _others(owners: Mapping[str, list[str]], room: str) -> list[str]:
    return sorted({name for name in owners.get(room, []) if name != DISTRIBUTION})
