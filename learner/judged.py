"""The episodes of a store in which a classifier was asked: what the newest one has of each, and what the operator."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from learner.rejudged import NEWEST, has_endings
from learner.relabelling import Ending, operators_word
from learner.store_reader import StoreReader
from policy.experience import Reason

_JUDGED = f"""
SELECT e.id, e.session, e.episode, e.rejected, l.step, l.reward, l.terminated, l.truncated, l.judged_reason AS reason,
    COALESCE((SELECT probability FROM rejudged WHERE judge = {NEWEST} AND episode_id = e.id
        AND step = COALESCE(n.last_step, l.step)), l.judged_probability) AS probability,
    n.last_step, n.reward AS new_reward, n.terminated AS new_terminated, n.truncated AS new_truncated,
    EXISTS (SELECT 1 FROM rejudged WHERE judge = {NEWEST} AND episode_id = e.id) AS anew,
    (SELECT MIN(step) FROM rejudged WHERE judge = {NEWEST} AND episode_id = e.id AND reason = {int(Reason.SUCCESS)})
        AS paid_anew
FROM episodes e
JOIN steps l ON l.episode_id = e.id AND l.step = e.steps - 1
LEFT JOIN endings n ON n.episode_id = e.id AND n.judge = {NEWEST}
WHERE EXISTS (SELECT 1 FROM steps WHERE episode_id = e.id AND judged_reason IS NOT NULL)
ORDER BY e.id
"""


@dataclass(frozen=True, slots=True)
class JudgedEpisode:
    """One of them.

    recorded, now: where it ended, and where it does by the newest judge
    asked_last: whether a judge was asked of its last step, which is not so where a fault has ended it
    paid_at: the step at which the newest judge pays, whatever the operator said; None where it does not
    probability: that its end shows success, by the newest judge that was asked of it; None where none was
    """

    id: int
    session: str
    index: int
    rejected: bool
    recorded: Ending
    now: Ending
    word: bool | None
    asked_last: bool
    paid_at: int | None
    probability: float | None

    @property
    def complete(self) -> bool:
        """Whether its last step is here."""
        return self.recorded.terminated or self.recorded.truncated

    @property
    def stands(self) -> bool:
        """Whether it ended as the operator, or the check of a demonstration, said: no judge changes that."""
        return self.word is not None or self.rejected


def read_judged(store: StoreReader) -> list[JudgedEpisode]:
    """All of them, in the order in which they began. Reads no frames."""
    with store.snapshot() as connection:
        rows = connection.execute(_JUDGED).fetchall() if has_endings(connection) else []
    return [_judged(row) for row in rows]


def _judged(row: sqlite3.Row) -> JudgedEpisode:
    recorded = now = Ending(row["step"], row["reward"], bool(row["terminated"]), bool(row["truncated"]))
    if row["last_step"] is not None:
        now = Ending(row["last_step"], row["new_reward"], bool(row["new_terminated"]), bool(row["new_truncated"]))
    reason = None if row["reason"] is None else Reason(row["reason"])
    paid_when_made = row["step"] if reason is Reason.SUCCESS else None  # a judge that pays ends the episode
    return JudgedEpisode(
        id=row["id"],
        session=row["session"],
        index=row["episode"],
        rejected=bool(row["rejected"]),
        recorded=recorded,
        now=now,
        word=operators_word(recorded, reason),
        asked_last=reason is not None,
        paid_at=row["paid_anew"] if row["anew"] else paid_when_made,
        probability=row["probability"],
    )
