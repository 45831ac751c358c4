"""Labels of frames: which show the success, which do not, said by whom and when. Nothing that was said is lost.

A file of SQLite beside the experience. Each act (a key, an edit) adds labels for spans of frames, or clears them; of a
frame the newest act counts. Undoing is an act too: it takes one back, which another may take back again. A version is
an act's number: whoever learned from version 7 can be shown just what that was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from policy.step_schema import connect, store_error, transaction
from reward_classifier.errors import LabelConflict, LabelError
from reward_classifier.label_acts import UNDO, Act, counting, newest_stroke

APPLICATION_ID = 0x4E55444C  # "NUDL" in the header of the file
LAYOUT = 1
NOTHING_SAID = 0  # version of an empty book
_CLEARED = ""  # label of frames of which nothing is said any more
_READING = "its labels cannot be read"

_SCHEMA = """
CREATE TABLE acts (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,                  -- `key`, `edit`, `hold`, `undo`
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
    """Frames `first` to `last` of an episode, both included. N steps have N + 1 frames: one is seen after the last.

    label: None clears them
    """

    key: EpisodeKey
    first: int
    last: int
    label: Label | None

    @property
    def frames(self) -> range:
        """All of them."""
        return range(self.first, self.last + 1)

    def __str__(self) -> str:
        what = "cleared" if self.label is None else self.label
        which = f"frame {self.first}" if self.first == self.last else f"frames {self.first} to {self.last}"
        return f"episode {self.key}, {which}: {what}"


@dataclass(frozen=True, slots=True)
class Said:
    """What counts of a frame, and the act that said so."""

    label: Label
    act: Act


type Labels = Mapping[EpisodeKey, Mapping[int, Label]]  # by frame
type Sayings = dict[EpisodeKey, dict[int, Said]]  # by frame; no episode of which nothing is said


def take_in(sayings: Sayings, act: Act, spans: Sequence[Span]) -> None:
    """Add what an act says."""
    for span in spans:
        frames = sayings.setdefault(span.key, {})
        if span.label is not None:
            frames.update(dict.fromkeys(span.frames, Said(span.label, act)))
        else:
            for frame in span.frames:
                frames.pop(frame, None)
        if not frames:
            del sayings[span.key]


def labels_of(sayings: Sayings) -> Labels:
    """The same without who said so."""
    return {key: {frame: said.label for frame, said in frames.items()} for key, frames in sayings.items()}


class LabelBook:
    """The labels in a file, made where there is none. One thread; several processes may have it open.

    Raise `StoreError` for a file that cannot be opened, `LabelError` for one of something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path)
        try:
            with self._explained("expected a file of labels, or a path where none is yet"):
                self._adopt()
        except BaseException:
            self._connection.close()
            raise

    def add(self, spans: Sequence[Span], source: str, author: str, wall_ns: int, seen: int | None = None) -> int:
        """Label frames, or clear them; durable when this returns. Returns the version.

        seen: version that the author looks at; where these frames have changed since, raise `LabelConflict`
        """
        for span in spans:
            if not 0 <= span.first <= span.last:
                raise LabelError(
                    f"labels of episode {span.key}: got frames {span.first} to {span.last}, expected the first one "
                    f"not after the last, counted from 0"
                )
        rows = [(*span.key, span.first, span.last, _CLEARED if span.label is None else span.label) for span in spans]
        with self._explained("nothing was labelled"), transaction(self._connection):
            if seen is not None and self.version > seen:
                self._require_unchanged(spans, seen)
            version = self._act(source, author, wall_ns, None)
            self._connection.executemany(f"INSERT INTO spans VALUES ({version}, ?, ?, ?, ?, ?)", rows)
        return version

    def undo(self, author: str, wall_ns: int, version: int | None = None) -> int:
        """Take an act back; None: the newest that counts and labels. Returns the version of this act.

        Raise `LabelError` where there is nothing to take back.
        """
        with self._explained("nothing was undone"), transaction(self._connection):
            acts = counting(self.acts())
            labelling = [act.version for act in acts if act.undoes is None]
            if version is None and labelling:
                version = labelling[-1]
            if version not in [act.version for act in acts]:
                raise LabelError(
                    f"undo: got version {version}, expected one that counts: "
                    f"{', '.join(str(act.version) for act in acts) or 'there is none'}"
                )
            return self._act(UNDO, author, wall_ns, version)

    def undo_stroke(self, author: str, wall_ns: int) -> list[Span]:
        """Take back the newest thing that an author did by hand: an edit with what was added while its key was held.

        Returns what it had labelled, oldest first. Raise `LabelError` where nothing that the author did counts.
        """
        with self._explained("nothing was undone"), transaction(self._connection):
            stroke = newest_stroke(self.acts(), author)
            if not stroke:
                raise LabelError(f"undo: {author} has labelled nothing by hand here that counts, expected an edit")
            for version in stroke:
                self._act(UNDO, author, wall_ns, version)
            return [span for version in reversed(stroke) for span in self._spans().get(version, ())]

    def labels(self, version: int | None = None) -> Labels:
        """What counts: of now, or as it was at a version."""
        return labels_of(self.sayings(version))

    def sayings(self, version: int | None = None) -> Sayings:
        """The same, with who said so."""
        acts = counting([act for act in self.acts() if version is None or act.version <= version])
        spans = self._spans()  # after the acts: each has its spans from the first moment on
        found: Sayings = {}
        for act in acts:
            take_in(found, act, spans.get(act.version, ()))
        return found

    def acts(self) -> list[Act]:
        """All that was done, oldest first."""
        with self._explained(_READING):
            return [Act(*row) for row in self._connection.execute("SELECT * FROM acts ORDER BY version")]

    @property
    def version(self) -> int:
        """Of the newest act."""
        with self._explained(_READING):
            (newest,) = self._connection.execute("SELECT MAX(version) FROM acts").fetchone()
        return NOTHING_SAID if newest is None else int(newest)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _spans(self) -> dict[int, list[Span]]:
        """What each act labelled or cleared, by version."""
        found: dict[int, list[Span]] = {}
        with self._explained(_READING):
            for row in self._connection.execute("SELECT * FROM spans ORDER BY rowid"):
                label = None if row["label"] == _CLEARED else Label(row["label"])
                span = Span(EpisodeKey(row["session"], row["episode"]), row["first"], row["last"], label)
                found.setdefault(row["version"], []).append(span)
        return found

    def _require_unchanged(self, spans: Sequence[Span], seen: int) -> None:
        then, now = self.sayings(seen), self.sayings()
        for span in spans:
            before, after = then.get(span.key, {}), now.get(span.key, {})
            changed = [frame for frame in span.frames if before.get(frame) != after.get(frame)]
            if changed:
                said = after.get(changed[0])
                how = "cleared" if said is None else f"labelled {said.label} by {said.act.author}"
                raise LabelConflict(
                    f"episode {span.key}, frames {changed[0]} to {changed[-1]}: got them {how} since version {seen}, "
                    f"which you saw, expected no change; nothing was labelled: look at them, and say it again"
                )

    def _act(self, source: str, author: str, wall_ns: int, undoes: int | None) -> int:
        values = (source, author, wall_ns, undoes)
        made = self._connection.execute(
            "INSERT INTO acts (source, author, wall_ns, undoes) VALUES (?, ?, ?, ?)", values
        )
        assert made.lastrowid is not None  # an INSERT has one
        return made.lastrowid

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """SQLite's errors as ours. what: came of it"""
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(self.path, error, what) from error

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
