"""Another classifier within a run: it judges anew what those before it have judged, and pays from then on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from learner.judged import JudgedEpisode
from learner.judges import PayingJudge, told
from learner.rejudged import NEWEST
from learner.relabelling import Ending, Opinions, new_ending, paid_at
from policy.errors import NudgeError


class NothingToReplace(NudgeError):
    """A run in which no classifier pays, or in which this one does already."""


@dataclass(frozen=True, slots=True)
class Rejudged:
    """An episode as another judge has it. opinions: one for each step"""

    episode: JudgedEpisode
    opinions: Opinions

    @property
    def ending(self) -> Ending:
        """Where it ends by them."""
        return new_ending(self.episode.recorded, stands=self.episode.stands, opinions=self.opinions)

    @property
    def paid_at(self) -> int | None:
        """The step at which that judge pays, whatever the operator said."""
        return paid_at(self.opinions)

    @property
    def gained(self) -> bool:
        """Whether the episode succeeds that did not so far."""
        return self.ending.paid and not self.episode.now.paid

    @property
    def lost(self) -> bool:
        """Whether it does not that did so far."""
        return self.episode.now.paid and not self.ending.paid

    @property
    def steps_later(self) -> int:
        """By how many steps it succeeds later than so far; negative: earlier. 0 where it does not both times."""
        both = self.episode.now.paid and self.ending.paid
        return self.ending.last_step - self.episode.now.last_step if both else 0


def require_replaceable(name: str, known: PayingJudge | None) -> PayingJudge:
    """The judge that the classifier of this name can follow. Raise `NothingToReplace` where there is none."""
    if known is None or not known.is_classifier:
        who = "nobody has said" if known is None else told(known.name)
        raise NothingToReplace(
            f"rewards by {who}: only a classifier that pays in a run can be followed by another one; to let one pay, "
            f"begin a run with it: --task.judge classifier --judge.classifier FOLDER"
        )
    if known.name == name:
        raise NothingToReplace(f"{told(name)} pays in this run already; name the folder of another one")
    return known


def write_rejudged(connection: sqlite3.Connection, episodes: Iterable[Rejudged]) -> None:
    """Keep what the newest judge thinks, inside a transaction. An episode that ends as recorded needs no ending."""
    (judge,) = connection.execute(f"SELECT {NEWEST}").fetchone()
    for each in episodes:
        episode_id, ending = each.episode.id, each.ending
        connection.executemany(
            "INSERT INTO rejudged (judge, episode_id, step, probability, reason) VALUES (?, ?, ?, ?, ?)",
            [
                (judge, episode_id, step, opinion.probability, int(opinion.reason))
                for step, opinion in enumerate(each.opinions)
                if opinion is not None
            ],
        )
        if ending != each.episode.recorded:
            connection.execute(
                "INSERT INTO endings (judge, episode_id, last_step, reward, terminated, truncated) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (judge, episode_id, ending.last_step, ending.reward, ending.terminated, ending.truncated),
            )
