"""Labels of frames: which show the success, which do not, said by whom and when. Nothing that was said is lost.

A file of SQLite beside the experience. Each act (a key, an edit) adds labels for spans of frames; of a frame the newest
act counts. Undoing is an act too: it takes one back, which another may take back again. A version is an act's number:
whoever learned from version 7 can be shown just what that was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from policy.step_schema import connect, store_error, transaction
from reward_classifier.errors import LabelError

APPLICATION_ID = 0x4E55444C  # "NUDL" in the header of the file
LAYOUT = 1
NOTHING_SAID = 0  # version of an empty book

_SCHEMA = """
CREATE TABLE acts (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,                  -- `key`, `edit`, `undo`
    author TEXT NOT NULL,
    wall_ns INTEGER NOT NULL,
    undoes INTEGER REFERENCES acts (version)
);
CREATE TABLE spans (
    version INTEGER NOT NULL REFERENCES acts (version),
    session TEXT NOT NULL,
    episode INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL CHECK (last >= first AND first >= 0),
    label TEXT NOT NULL
);
"""
_REFUSALS = "".join(
    f"CREATE TRIGGER no_{verb}_of_{table} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'labels only grow'); END;"
    for table in ("acts", "spans")
    for verb in ("update", "delete")
)


class Label(StrEnum):
    """What a frame shows."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNSURE = "unsure"  # looked at, and nobody can tell: nothing is learned from it


class EpisodeKey(NamedTuple):
    """Which episode. session: all of it, 32 digits"""

    session: str
    episode: int

    def __str__(self) -> str:
        return f"{self.session[:8]}/{self.episode}"  # who knows a whole session can speak for its actor


@dataclass(frozen=True, slots=True)
class Span:
    """Frames `first` to `last` of an episode, both included. N steps have N + 1 frames: one is seen after the last."""

    key: EpisodeKey
    first: int
    last: int
    label: Label


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that somebody did to the labels. undoes: the version that it takes back; None where it labels"""

    version: int
    source: str
    author: str
    wall_ns: int
    undoes: int | None


type Labels = Mapping[EpisodeKey, Mapping[int, Label]]  # by frame


class LabelBook:
    """The labels in a file, made where there is none. One thread; several processes may have it open.

    Raise `StoreError` for a file that cannot be opened, `LabelError` for one of something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path)
        try:
            self._adopt()
        except sqlite3.Error as error:
            self._connection.close()
            raise store_error(path, error, "expected a file of labels, or a path where none is yet") from error
        except BaseException:
            self._connection.close()
            raise

    def add(self, spans: Sequence[Span], source: str, author: str, wall_ns: int) -> int:
        """Label frames; durable when this returns. Returns the version."""
        for span in spans:
            if not 0 <= span.first <= span.last:
                raise LabelError(
                    f"labels of episode {span.key}: got frames {span.first} to {span.last}, expected the first one "
                    f"not after the last, counted from 0"
                )
        rows = [(span.key.session, span.key.episode, span.first, span.last, span.label.value) for span in spans]
        try:
            with transaction(self._connection):
                version = self._act(source, author, wall_ns, None)
                self._connection.executemany(f"INSERT INTO spans VALUES ({version}, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise store_error(self.path, error, "nothing was labelled") from error
        return version

    def undo(self, author: str, wall_ns: int, version: int | None = None) -> int:
        """Take an act back; None: the newest that counts and labels. Returns the version of this act.

        Raise `LabelError` where there is nothing to take back.
        """
        try:
            with transaction(self._connection):
                counting = _counting(self.acts())
                labelling = [act.version for act in counting if act.undoes is None]
                if version is None and labelling:
                    version = labelling[-1]
                if version not in [act.version for act in counting]:
                    raise LabelError(
                        f"undo: got version {version}, expected one that counts: "
                        f"{', '.join(str(act.version) for act in counting) or 'there is none'}"
                    )
                return self._act("undo", author, wall_ns, version)
        except sqlite3.Error as error:
            raise store_error(self.path, error, "nothing was undone") from error

    def labels(self, version: int | None = None) -> Labels:
        """What counts: of now, or as it was at a version."""
        acts = [act for act in self.acts() if version is None or act.version <= version]
        found: dict[EpisodeKey, dict[int, Label]] = {}
        for act in _counting(acts):
            rows = self._connection.execute("SELECT * FROM spans WHERE version = ? ORDER BY rowid", (act.version,))
            for row in rows:
                frames = found.setdefault(EpisodeKey(row["session"], row["episode"]), {})
                frames.update(dict.fromkeys(range(row["first"], row["last"] + 1), Label(row["label"])))
        return found

    def acts(self) -> list[Act]:
        """All that was done, oldest first."""
        try:
            rows = self._connection.execute("SELECT * FROM acts ORDER BY version").fetchall()
        except sqlite3.Error as error:
            raise store_error(self.path, error, "its labels cannot be read") from error
        return [Act(*row) for row in rows]

    @property
    def version(self) -> int:
        """Of the newest act."""
        acts = self.acts()
        return acts[-1].version if acts else NOTHING_SAID

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _act(self, source: str, author: str, wall_ns: int, undoes: int | None) -> int:
        values = (source, author, wall_ns, undoes)
        made = self._connection.execute(
            "INSERT INTO acts (source, author, wall_ns, undoes) VALUES (?, ?, ?, ?)", values
        )
        assert made.lastrowid is not None  # an INSERT has one
        return made.lastrowid

    def _adopt(self) -> None:
        with transaction(self._connection):
            (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            if tables == 0:
                self._make()
            (application,) = self._connection.execute("PRAGMA application_id").fetchone()
            (layout,) = self._connection.execute("PRAGMA user_version").fetchone()
        if (application, layout) != (APPLICATION_ID, LAYOUT):
            raise LabelError(
                f"{self.path}: got a database of id {application:#x}, layout {layout}, expected labels "
                f"({APPLICATION_ID:#x}, layout {LAYOUT}); give another path, or use the Nudge that wrote it"
            )

    def _make(self) -> None:
        for statement in _SCHEMA.split(";"):
            self._connection.execute(statement)
        for statement in _REFUSALS.split("END;"):
            if statement:
                self._connection.execute(f"{statement}END")
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {LAYOUT}")


def read_labels(path: Path, version: int | None = None) -> tuple[Labels, int]:
    """What counts in a file of labels, and its version. version: as it was then

    Raise `LabelError` where there is no such file, or no such version.
    """
    if not path.is_file():
        raise LabelError(
            f"{path}: there is no such file, expected labels; `nudge classifier label --from-key` makes some of what "
            f"the operator's key said"
        )
    with closing(LabelBook(path)) as book:
        newest = book.version
        if version is not None and not NOTHING_SAID <= version <= newest:
            raise LabelError(f"{path}: got version {version}, expected one of 0 to {newest}")
        return book.labels(version), newest if version is None else version


def _counting(acts: Sequence[Act]) -> list[Act]:
    """Those that no act takes back that itself counts; oldest first."""
    taken_back: set[int] = set()
    counting = []
    for act in reversed(acts):
        if act.version in taken_back:
            continue
        counting.append(act)
        if act.undoes is not None:
            taken_back.add(act.undoes)
    return counting[::-1]
