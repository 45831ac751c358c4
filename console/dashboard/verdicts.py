"""Who said how an episode ended: the classifier that pays, the operator's key, the simulator, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from learner.disputes import is_disputed
from learner.judged import JudgedEpisode, read_judged
from learner.judges import PayingJudge
from learner.store_reader import EpisodeRecord, StoreReader

DEMO_SET_SESSION = 5  # version of the UUIDs that demo sets give to their sessions; an actor draws those of version 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one episode. who: in a word; empty while nobody has said anything

    probability: of success at its end, by the classifier; None where none was asked
    disputed: the operator's key and the newest judge contradict each other
    """

    who: str = ""
    probability: float | None = None
    disputed: bool = False


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of a run. judge: who pays in it; judged: episodes in which a classifier was asked, by the number of their row"""

    judge: PayingJudge | None
    judged: Mapping[int, JudgedEpisode]

    def of(self, row: int, record: EpisodeRecord) -> Verdict:
        """Who has ended this one."""
        asked = self.judged.get(row)
        if not record.complete:
            return Verdict()
        who = "refused" if record.rejected else self._who(record, asked)
        if asked is None:
            return Verdict(who)
        return Verdict(who, asked.probability, disputed=is_disputed(asked) and not record.rejected)

    def _who(self, record: EpisodeRecord, asked: JudgedEpisode | None) -> str:
        if asked is not None and asked.asked_last:
            return "key" if asked.word is not None else "classifier" if record.success else ""
        if not record.terminated:
            return ""  # its time was up
        if UUID(record.session).version == DEMO_SET_SESSION:
            return "demo set"
        # Who presses success in a run that the simulator pays leaves no trace of it. Only a key says failure.
        by_simulator = record.success and self.judge is not None and self.judge.name == "simulator"
        return "simulator" if by_simulator else "key"


def read_verdicts(store: StoreReader) -> Verdicts:
    """Of what a store holds. Reads no frames."""
    return Verdicts(store.judge(), {each.id: each for each in read_judged(store)})
