"""Where the operator's key says otherwise than the classifier that pays: how often of late, and in which episodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import Field

from learner.judged import JudgedEpisode
from learner.relabelling import agrees
from policy.contract import Frozen


class DisputeSettings(Frozen):
    """When the operator and the classifier disagree too often."""

    newest: int = Field(default=20, gt=0, description="So many of the newest judged episodes count.")
    share: float = Field(
        default=0.1, ge=0, le=1, description="Above this share of them a flag is raised: label what was disputed."
    )


@dataclass(frozen=True, slots=True)
class Disputes:
    """What was found.

    disputed: episodes that the operator has ended otherwise than the newest judge would, in the order of their begin
    rejected: episodes for which it pays, and of which nothing is learned since they were to be recorded again or their
        actions contradict their motion; that says nothing of the task, so they count nowhere
    recent: how many episodes the share is of; recent_disputed: how many of them are disputed
    flagged: the share is above the one of the settings
    """

    disputed: tuple[JudgedEpisode, ...]
    rejected: tuple[JudgedEpisode, ...]
    recent: int
    recent_disputed: int
    flagged: bool

    @property
    def share(self) -> float:
        """Of the newest judged episodes; 0 where there are none."""
        return self.recent_disputed / self.recent if self.recent else 0.0


def is_disputed(episode: JudgedEpisode) -> bool:
    """Whether the operator's key and the newest judge contradict each other."""
    return episode.word is not None and not agrees(episode.word, episode.paid_at)


def find_disputes(judged: Iterable[JudgedEpisode], settings: DisputeSettings) -> Disputes:
    """Of the episodes of a store, as `read_judged` gives them. Those count whose judge was asked to the end."""
    complete = [each for each in judged if each.complete and each.asked_last]
    counting = [each for each in complete if not each.rejected]
    recent = counting[-settings.newest :]
    recent_disputed = sum(map(is_disputed, recent))
    return Disputes(
        disputed=tuple(filter(is_disputed, counting)),
        rejected=tuple(each for each in complete if each.rejected and each.paid_at is not None),
        recent=len(recent),
        recent_disputed=recent_disputed,
        flagged=recent_disputed > settings.share * len(recent),
    )
