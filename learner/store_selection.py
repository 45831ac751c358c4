"""Which episodes of a store are meant: all, those of a session, one, or those that never ended."""

from __future__ import annotations

from dataclasses import dataclass

from learner.store_reader import StoreReader
from policy.errors import NudgeError


class SelectionError(NudgeError):
    """No episode is meant, or it is not clear which."""


@dataclass(frozen=True, slots=True)
class ChosenEpisode:
    """One episode. id: its row; newest: no later one of its session is here, so its actor may go on after it."""

    id: int
    session: str
    index: int
    steps: int
    complete: bool
    newest: bool


def choose_episodes(
    store: StoreReader, session: str = "", episode: int | None = None, *, unfinished: bool = False
) -> list[ChosenEpisode]:
    """The episodes that fit all that is given, in the order in which they began; all of them when nothing is.

    session: the first digits of one, enough to tell it from the others
    Raise `SelectionError` for a session or an episode that is not there, and for an episode without its session.
    """
    if episode is not None and not session:
        raise SelectionError(f"episode {episode}: every session counts its own; give the session too")
    with store.snapshot() as connection:
        rows = connection.execute(
            "SELECT id, session, episode, steps, (terminated OR truncated) AS done, "
            "episode = MAX(episode) OVER (PARTITION BY session) AS newest FROM episodes ORDER BY id"
        ).fetchall()
    _require_one_session(session, {row["session"] for row in rows})
    chosen = [
        ChosenEpisode(row["id"], row["session"], row["episode"], row["steps"], bool(row["done"]), bool(row["newest"]))
        for row in rows
        if row["session"].startswith(session)
        and (episode is None or row["episode"] == episode)
        and not (unfinished and row["done"])
    ]
    if episode is not None and not chosen:
        raise SelectionError(f"{store.path}: session {session[:8]} has no such episode {episode} here")
    return chosen


def _require_one_session(start: str, sessions: set[str]) -> None:
    fitting = sorted(name for name in sessions if name.startswith(start))
    if start and len(fitting) != 1:
        known = ", ".join(sorted(name[:8] for name in fitting or sessions)) or "none"
        raise SelectionError(f"session {start[:8]!r}: got {len(fitting)} that begin so, expected one of {known}")
