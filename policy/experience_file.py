"""A look into an experience file: whole episodes of it, whatever a learner writes into it meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract, Frozen
from policy.errors import InvalidExperience
from policy.experience import Judgement, Reason, Step
from policy.step_schema import StoreDamaged, StoreError, connect_to_look, require_ours, store_error, stored_contract
from policy.step_table import read_episode
from policy.wire import unpack_step


class EpisodeSelection(Frozen):
    """Which episodes of an experience file are meant; those that never ended are never among them."""

    demonstrations: bool = Field(default=False, description="Only episodes that the operator drove from end to end.")
    session: str = Field(default="", description="First digits of the one session that is meant; empty: all.")
    episodes: tuple[int, ...] = Field(default=(), description="Numbers of its episodes; empty: all. Needs `session`.")
    rejected: bool = Field(default=False, description="Also episodes that are not to be learned from.")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows of the chosen episodes, in the order in which they began, and how many others were left out, by reason."""

    ids: tuple[int, ...]
    steps: int
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """One episode, without its steps.

    session: all of it, 32 digits; success: it ended with a reward
    demo_steps, human_steps: of its steps those of a demonstration, and interventions
    by_classifier: a classifier judged it, and no key said otherwise, so that its end is nobody's word
    """

    id: int
    session: str
    episode: int
    steps: int
    success: bool
    demo_steps: int = 0
    human_steps: int = 0
    by_classifier: bool = False


class ExperienceFile:
    """A look into an experience file of one moment, whatever a learner writes into it meanwhile. One thread.

    contract: what the steps were taken under
    Raise `StoreError` for a file that is missing, damaged or something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect_to_look(path)
        try:
            require_ours(self._connection, path)
            self.contract: Contract = stored_contract(self._connection, path)
            self._connection.execute("BEGIN")
        except BaseException:
            self._connection.close()
            raise

    def choose(self, selection: EpisodeSelection) -> Chosen:
        """The episodes that are meant. Raise `StoreError` where none is, or where it is not clear which."""
        found = self.find(selection)
        if not found.ids:
            reasons = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items() if count)
            raise StoreError(f"{self._path}: no episode is left ({reasons or 'none is there'}); choose others")
        return found

    def find(self, selection: EpisodeSelection) -> Chosen:
        """The same, where there may be none."""
        chosen: list[sqlite3.Row] = []
        left_out = {"unfinished": 0, "rejected": 0, "not a demonstration": 0}
        for row in self._rows(selection):
            if not (row["terminated"] or row["truncated"]):
                left_out["unfinished"] += 1
            elif row["rejected"] and not selection.rejected:
                left_out["rejected"] += 1
            elif selection.demonstrations and row["steps"] != row["demo_steps"]:
                left_out["not a demonstration"] += 1
            else:
                chosen.append(row)
        return Chosen(tuple(row["id"] for row in chosen), sum(row["steps"] for row in chosen), left_out)

    def outcomes(self, selection: EpisodeSelection) -> list[EpisodeOutcome]:
        """What the episodes that are meant have come to, in the order in which they began."""
        wanted, judged = set(self.find(selection).ids), self._last_reasons()
        return [
            EpisodeOutcome(
                id=row["id"],
                session=row["session"],
                episode=row["episode"],
                steps=row["steps"],
                success=bool(row["terminated"] and row["reward"] > 0),
                demo_steps=row["demo_steps"],
                human_steps=row["human_steps"],
                by_classifier=_by_classifier(row, judged.get(row["id"])),
            )
            for row in self._rows(selection)
            if row["id"] in wanted
        ]

    def episode(self, episode_id: int) -> list[Step]:
        """All steps of an episode. Raise `StoreDamaged` where they are not what was stored."""
        return self.unpack(self.messages(episode_id))

    def messages(self, episode_id: int) -> list[pb.Step]:
        """The same as they were stored, unchecked."""
        try:
            return read_episode(self._connection, episode_id)
        except sqlite3.Error as error:
            raise store_error(self._path, error, "it cannot be read") from error

    def unpack(self, messages: Sequence[pb.Step]) -> list[Step]:
        """Their steps. Raise `StoreDamaged` where they are not what was stored."""
        try:
            return [unpack_step(message, self.contract) for message in messages]
        except InvalidExperience as error:
            raise StoreDamaged(f"{self._path}: {error}; `nudge store verify` names all that is damaged") from error

    def picture(self, episode_id: int, frame: int, camera: str) -> bytes | None:
        """A frame of an episode as PNG, as it came; of T steps there are T + 1. None where there is no such frame."""
        rows = self._connection.execute(
            "SELECT f.png FROM steps s JOIN frames f ON f.seq = s.seq AND f.camera = ? AND f.final = (s.step < ?) "
            "WHERE s.episode_id = ? AND s.step IN (? - 1, ?) ORDER BY s.step DESC LIMIT 1",
            (camera, frame, episode_id, frame, frame),
        )
        found = rows.fetchone()
        return None if found is None else bytes(found["png"])

    def judgements(self, outcomes: Sequence[EpisodeOutcome]) -> list[list[Judgement | None]]:
        """What the judge of the actor thought of each step of some episodes; None where no classifier was asked."""
        found: dict[int, list[Judgement | None]] = {each.id: [None] * each.steps for each in outcomes}
        if self._has_judgements():
            for row in self._connection.execute(
                "SELECT episode_id, step, judged_probability, judged_reason FROM steps WHERE judged_reason IS NOT NULL"
            ):
                if row["episode_id"] in found:
                    reason = Reason(row["judged_reason"])
                    found[row["episode_id"]][row["step"]] = Judgement(row["judged_probability"], reason)
        return [found[each.id] for each in outcomes]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _last_reasons(self) -> dict[int, int]:
        """Of each episode that a classifier has judged, its reason at the last step; layout 2 knows of none."""
        if not self._has_judgements():
            return {}
        rows = self._connection.execute(
            "SELECT s.episode_id, s.judged_reason FROM steps s JOIN episodes e ON e.id = s.episode_id "
            "WHERE s.step = e.steps - 1 AND s.judged_reason IS NOT NULL"
        )
        return {row["episode_id"]: row["judged_reason"] for row in rows}

    def _has_judgements(self) -> bool:
        return "judged_reason" in {row["name"] for row in self._connection.execute("PRAGMA table_info(steps)")}

    def _rows(self, selection: EpisodeSelection) -> list[sqlite3.Row]:
        if selection.episodes and not selection.session:
            raise StoreError(f"episodes {list(selection.episodes)}: every session counts its own; give the session too")
        try:
            rows = self._connection.execute("SELECT * FROM episodes ORDER BY id").fetchall()
        except sqlite3.Error as error:
            raise store_error(self._path, error, "it cannot be read") from error
        sessions = sorted({row["session"] for row in rows})
        fitting = [session for session in sessions if session.startswith(selection.session)]
        if selection.session and len(fitting) != 1:
            known = ", ".join(session[:8] for session in fitting or sessions) or "none"
            raise StoreError(
                f"session {selection.session[:8]!r}: got {len(fitting)} that begin so, expected one of {known}"
            )
        rows = [row for row in rows if row["session"] in fitting]
        missing = set(selection.episodes) - {row["episode"] for row in rows}
        if missing:
            raise StoreError(f"{self._path}: session {selection.session[:8]} has no episodes {sorted(missing)}")
        return [row for row in rows if not selection.episodes or row["episode"] in selection.episodes]


def _by_classifier(row: sqlite3.Row, reason: int | None) -> bool:
    """Whether an episode ended as a classifier had it. reason: the classifier's, at the last step; None: it had none"""
    if reason is None:
        return False
    paid = row["reward"] > 0
    # A key says success where the classifier does not, or failure; no classifier ends an episode without paying.
    return bool(paid and reason == Reason.SUCCESS) if row["terminated"] else True
