"""Acts: who did what to the labels, and which of it counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Where an act comes from: the operator's key about whole episodes; a person's hand; what a hand goes on to label while
# it keeps the key of its last edit down; somebody who takes an act back.
KEY: Final = "key"
EDIT: Final = "edit"
HOLD: Final = "hold"
UNDO: Final = "undo"
BY_HAND = (EDIT, HOLD)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that somebody did to the labels. undoes: the version that it takes back; None where it labels"""

    version: int
    source: str
    author: str
    wall_ns: int
    undoes: int | None


def counting(acts: Sequence[Act]) -> list[Act]:
    """Those that no act takes back that itself counts; oldest first."""
    taken_back: set[int] = set()
    found = []
    for act in reversed(acts):
        if act.version in taken_back:
            continue
        found.append(act)
        if act.undoes is not None:
            taken_back.add(act.undoes)
    return found[::-1]


def newest_stroke(acts: Sequence[Act], author: str) -> list[int]:
    """Versions of the newest thing that counts and that an author did by hand, newest first; empty: nothing.

    An edit is one with all that was labelled while its key was held.
    """
    stroke = []
    for act in reversed([act for act in counting(acts) if act.author == author and act.source in BY_HAND]):
        stroke.append(act.version)
        if act.source == EDIT:
            break
    return stroke
